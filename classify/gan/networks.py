"""The two networks of a DCGAN (Radford, Metz and Chintala, 2016)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras

LEAK = 0.2  # of the discriminator's LeakyReLU
WEIGHT_DEVIATION = 0.02  # standard deviation of the initial weights
KERNEL = 4  # a multiple of the stride, so that all pixels are written equally often
FIRST_SIDE = 4  # side of the generator's first feature maps


def generator(size: int, latent: int, filters: int) -> keras.Model:
    """Build the generator: noise to images, by transposed convolutions that each double the side.

    Args:
        size: side of the images in pixels: 4 times a power of two.
        latent: dimension of the latent vector.
        filters: of the last layer before the image; each earlier layer has twice as many as the
            next.

    Returns:
        A model from (n, latent) to (n, size, size, 3) RGB from -1 to 1.
    """
    import keras

    stages = _stages(size)
    noise = keras.Input((latent,), name="noise")
    widest = filters * 2 ** (stages - 1)
    x = keras.layers.Dense(FIRST_SIDE**2 * widest, use_bias=False, **_initialised())(noise)
    x = keras.layers.Reshape((FIRST_SIDE, FIRST_SIDE, widest))(x)
    for stage in range(stages):
        x = keras.layers.ReLU()(_normalised(x))
        last = stage == stages - 1
        x = keras.layers.Conv2DTranspose(
            3 if last else widest // 2 ** (stage + 1),
            KERNEL,
            strides=2,
            padding="same",
            use_bias=last,
            **_initialised(),
        )(x)
    images = keras.layers.Activation("tanh", dtype="float32")(x)
    return keras.Model(noise, images, name="generator")


def discriminator(size: int, filters: int) -> keras.Model:
    """Build the discriminator: images to a logit, above 0 for real, by strided convolutions.

    Each convolution halves the side.

    Args:
        size: side of the images, as for the generator.
        filters: of the first layer; each further layer has twice as many.

    Returns:
        A model from (n, size, size, 3) RGB from -1 to 1 to (n, 1).
    """
    import keras

    images = keras.Input((size, size, 3), name="pictures")
    x = images
    for stage in range(_stages(size)):
        x = keras.layers.Conv2D(
            filters * 2**stage,
            KERNEL,
            strides=2,
            padding="same",
            use_bias=False,
            **_initialised(),
        )(x)
        x = keras.layers.LeakyReLU(LEAK)(_normalised(x) if stage else x)
    x = keras.layers.Flatten()(x)
    logit = keras.layers.Dense(1, dtype="float32", **_initialised())(x)
    return keras.Model(images, logit, name="discriminator")


def _stages(size: int) -> int:
    """Return how often the side of the first feature maps doubles up to the image."""
    return (size // FIRST_SIDE).bit_length() - 1


def _initialised() -> dict[str, Any]:
    """Return layer options with a new initializer: a shared one would repeat the same weights."""
    import keras

    return {"kernel_initializer": keras.initializers.RandomNormal(stddev=WEIGHT_DEVIATION)}


def _normalised(x: keras.KerasTensor) -> keras.KerasTensor:
    import keras

    return keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(x)
