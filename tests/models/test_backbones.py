"""Backbones and their input scaling."""

import keras
import numpy as np
import pytest

from classify.models import backbone_of, build
from classify.models.backbones import BACKBONES


def test_all_28_backbones_are_registered():
    families = {
        "efficientnetb": 8,
        "efficientnetv2b": 4,
        "inception": 2,
        "mobilenet": 2,
        "vgg": 2,
        "xception": 1,
        "resnet": 6,
        "densenet": 3,
    }
    for family, number in families.items():
        assert len([name for name in BACKBONES if name.startswith(family)]) == number
    assert len(BACKBONES) == sum(families.values()) == 28


def test_the_backbone_has_the_parameter_count_of_the_package_used_in_the_paper():
    # It builds on tensorflow.keras, so it serves the TensorFlow backend only.
    if keras.backend.backend() != "tensorflow":
        pytest.skip("the efficientnet package needs the TensorFlow backend")
    from efficientnet.tfkeras import EfficientNetB0

    theirs = EfficientNetB0(weights=None, input_shape=(128, 128, 3), include_top=False)
    assert theirs.count_params() == 4_049_564


@pytest.mark.parametrize(
    ("arch", "expected"),
    [
        ("mobilenetv2", lambda rgb: rgb / 127.5 - 1),
        ("vgg16", lambda rgb: rgb[::-1] - [103.939, 116.779, 123.68]),  # blue first
        ("densenet121", lambda rgb: (rgb / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]),
    ],
)
def test_backbones_get_pixels_scaled_as_in_pretraining(arch, expected):
    model = build(arch, 2, size=32, head="gap")
    scaling = keras.Model(model.input, backbone_input(model))
    rgb = np.array([200.0, 100.0, 50.0], np.float32)
    image = np.broadcast_to(rgb, (1, 32, 32, 3))
    scaled = keras.ops.convert_to_numpy(scaling(image))[0, 5, 5]
    np.testing.assert_allclose(scaled, expected(rgb), rtol=1e-5, atol=1e-5)


def backbone_input(model):
    """The tensor that a network gives to its backbone."""
    (node,) = [n for n in backbone_of(model)._inbound_nodes if n.output_tensors[0] is not None][-1:]
    return node.input_tensors[0]
