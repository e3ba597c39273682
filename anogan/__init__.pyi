from .config.detectors import NeighbourConfig as NeighbourConfig
from .config.detectors import PlacesConfig as PlacesConfig
from .config.detectors import SubspaceConfig as SubspaceConfig
from .config.gan import EncoderConfig as EncoderConfig
from .config.gan import GANConfig as GANConfig
from .config.gan import LocatorConfig as LocatorConfig
from .config.gan import SearchConfig as SearchConfig
from .detectors import DETECTORS as DETECTORS
from .detectors import AnoGAN as AnoGAN
from .detectors import Detector as Detector
from .detectors import FAnoGAN as FAnoGAN
from .detectors import Hybrid as Hybrid
from .detectors import LocatorGAN as LocatorGAN
from .detectors import NeighbourGAN as NeighbourGAN
from .detectors import SubspaceGAN as SubspaceGAN
from .digits.model import DigitModel as DigitModel
from .kinds import load as load
from .photos.model import PhotoModel as PhotoModel
from .sensors.model import SensorModel as SensorModel

__version__: str
