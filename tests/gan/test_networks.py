"""The networks of the DCGAN."""

import dataclasses

import keras
import numpy as np
import pytest

from classify.gan.dcgan import build_dcgan
from tests.helpers.gans import TINY_GAN, batch


def test_the_networks_are_those_of_the_dcgan_paper():
    model = build_dcgan(dataclasses.replace(TINY_GAN, size=64, filters=8))
    maps = [layer.output.shape[1:] for layer in model.generator.layers if "conv" in layer.name]
    assert maps == [(8, 8, 32), (16, 16, 16), (32, 32, 8), (64, 64, 3)]
    generated = keras.ops.convert_to_numpy(model.generator(batch(TINY_GAN)[0][1]))
    assert generated.shape == (8, 64, 64, 3)
    assert np.abs(generated).max() <= 1
    leaks = [x.negative_slope for x in model.discriminator.layers if "leaky" in x.name]
    assert leaks == pytest.approx([0.2] * 4)
    kernels = [w for w in model.weights if w.path.endswith("kernel")]
    assert len(kernels) == 10
    largest = max(kernels, key=lambda w: np.prod(w.shape))
    assert np.std(keras.ops.convert_to_numpy(largest)) == pytest.approx(0.02, rel=0.02)
    assert not np.array_equal(*(keras.ops.convert_to_numpy(k).ravel()[:9] for k in kernels[1:3]))
    assert float(model.optimizer.learning_rate) == pytest.approx(0.0002)
    assert (model.optimizer.beta_1, type(model.optimizer).__name__) == (0.5, "Adam")
