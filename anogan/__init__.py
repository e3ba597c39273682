"""anogan: train a GAN on what is normal, flag what is not. Public names: `__init__.pyi`."""

import lazy_loader

__version__ = "0.1.0"

# Imported at first use: `anogan --help` must not wait for torch.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
