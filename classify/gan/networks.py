"""The two networks of a DCGAN (Radford, Metz and Chintala, 2016)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras

LEAK = 0.2  # of the discriminator's LeakyReLU
WEIGHT_DEVIATION = 0.02  # of the normal distribution that weights start from
KERNEL = 4  # a multiple of the stride, so that no pixel is written more often than its neighbour
FIRST_SIDE = 4  # of the generator's first feature maps


def generator(size: int, latent: int, filters: int) -> keras.Model:
    """Noise to pictures, by transposed convolutions that double the side each.

    Args:
        size: side of the pictures in pixels: 4 times a power of two.
        latent: how many numbers a picture is made from.
        filters: of the last layer before the picture; every earlier one has twice as many as the
            next.

    Returns:
        A model from (n, latent) to (n, size, size, 3) RGB from -1 to 1.
    """
    import keras

    stages = _stages(size)
    noise = keras.Input((latent,), name="noise")
    widest = filters * 2 ** (stages - 1)
    x = keras.layers.Dense(FIRST_SIDE**2 * widest, use_bias=False, **_start())(noise)
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
            **_start(),
        )(x)
    pictures = keras.layers.Activation("tanh", dtype="float32")(x)
    return keras.Model(noise, pictures, name="generator")


def discriminator(size: int, filters: int) -> keras.Model:
    """Pictures to one logit, above 0 for real, by convolutions that halve the side each.

    Args:
        size: as the generator's.
        filters: of the first layer; every further one has twice as many.

    Returns:
        A model from (n, size, size, 3) RGB of -1 to 1 to (n, 1).
    """
    import keras

    pictures = keras.Input((size, size, 3), name="pictures")
    x = pictures
    for stage in range(_stages(size)):
        x = keras.layers.Conv2D(
            filters * 2**stage,
            KERNEL,
            strides=2,
            padding="same",
            use_bias=False,
            **_start(),
        )(x)
        x = keras.layers.LeakyReLU(LEAK)(_normalised(x) if stage else x)
    x = keras.layers.Flatten()(x)
    logit = keras.layers.Dense(1, dtype="float32", **_start())(x)
    return keras.Model(pictures, logit, name="discriminator")


def _stages(size: int) -> int:
    """How often the first feature maps double to the picture."""
    return (size // FIRST_SIDE).bit_length() - 1


def _start() -> dict[str, Any]:
    """Where a layer's weights start; a new initializer each, else all would start alike."""
    import keras

    return {"kernel_initializer": keras.initializers.RandomNormal(stddev=WEIGHT_DEVIATION)}


def _normalised(x: keras.KerasTensor) -> keras.KerasTensor:
    import keras

    return keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(x)
