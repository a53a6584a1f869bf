"""The Fréchet distance between real and generated faces."""

import cv2
import numpy as np
import pytest
from scipy.linalg import sqrtm

from classify.gan.frechet import feature_network, features, frechet_distance
from classify.models import build


def test_the_distance_equals_the_definition():
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(60, 4)), rng.normal(1, 2, size=(80, 4))
    means = ((one.mean(0) - other.mean(0)) ** 2).sum()
    a, b = np.cov(one.T), np.cov(other.T)
    expected = means + np.trace(a + b - 2 * sqrtm(a @ b).real)
    assert frechet_distance(one, other) == pytest.approx(expected)
    # It is symmetric, also with fewer rows than features.
    wide = rng.normal(size=(5, 40)), rng.normal(size=(7, 40))
    assert frechet_distance(*wide) == pytest.approx(frechet_distance(*wide[::-1]))
    assert frechet_distance(wide[0], wide[0]) == pytest.approx(0, abs=1e-9)


@pytest.mark.slow
def test_the_features_are_the_pooled_maps_of_efficientnet(tmp_path):
    network = build("efficientnetb0", 2, 128, head="gap")
    network.get_layer("backbone").save_weights(tmp_path / "b0.weights.h5")
    images = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), np.uint8)
    found = features(feature_network(str(tmp_path / "b0.weights.h5")), images)
    assert found.shape == (3, 1280)
    larger = np.stack([cv2.resize(i, (128, 128), interpolation=cv2.INTER_CUBIC) for i in images])
    maps = network.get_layer("backbone")(larger)
    np.testing.assert_allclose(found, np.mean(maps, axis=(1, 2)), atol=1e-4)
