"""A DCGAN so small that it trains in seconds, and batches for it."""

import numpy as np

from classify.gan.dcgan import GENERATED, GENERATOR, REAL
from classify.gan.real_faces import ARRAY
from classify.gan.settings import GanSettings

TINY_GAN = GanSettings(size=16, latent=8, filters=4, batch_size=8, epochs=4, every=2)


def batches_of(run):
    return np.load(run.folder / ARRAY)


def batch(settings, seed=0):
    """Images and noise, with the targets of the discriminator and the generator."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (8, settings.size, settings.size, 3), np.uint8)
    noise = rng.standard_normal((8, settings.latent), np.float32)
    real = np.ones((8, 1), np.float32)
    return (images, noise), {REAL: real, GENERATED: 0 * real, GENERATOR: real}
