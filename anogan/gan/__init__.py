"""The core: networks, losses, training, latent search and scores, as the papers say."""
