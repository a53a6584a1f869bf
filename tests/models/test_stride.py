import keras
import numpy as np
import pytest

from classify.errors import ModelError
from classify.models import build
from classify.models.stride import up_to_stride


def shortened(name, stride):
    network = getattr(keras.applications, name)(
        include_top=False, weights=None, input_shape=(128, 128, 3)
    )
    return up_to_stride(network, stride)


@pytest.mark.parametrize(
    ("name", "stride", "layer", "side"),
    [
        ("EfficientNetB0", 16, "block5c_add", 8),
        ("EfficientNetB0", 8, "block3b_add", 16),
        ("MobileNetV2", 16, "block_12_add", 8),
        ("MobileNet", 16, "conv_pw_11_relu", 8),  # no branches,
        ("ResNet50", 16, "conv4_block6_out", 8),  # not within the shortcut's block
        ("DenseNet121", 16, "pool4_relu", 8),
        ("InceptionV3", 16, "mixed7", 6),  # convolutions without padding
    ],
)
def test_a_backbone_ends_at_the_last_block_of_a_stride(name, stride, layer, side):
    part = shortened(name, stride)
    assert part.layers[-1].name == layer
    assert part.output_shape[1:3] == (side, side)


def test_a_shortened_backbone_computes_the_features_of_the_whole_one():
    keras.utils.set_random_seed(0)
    whole = keras.applications.MobileNetV2(include_top=False, weights=None, input_shape=(64, 64, 3))
    part = up_to_stride(whole, 8)
    images = np.random.default_rng(0).uniform(-1, 1, (2, 64, 64, 3))
    layer = keras.Model(whole.input, whole.get_layer("block_5_add").output)
    np.testing.assert_array_equal(part(images), layer(images))
    assert part.count_params() < whole.count_params() / 20


def test_a_stride_of_32_is_the_whole_backbone():
    whole, stride_32 = (
        build("mobilenetv2", 5, 64, head="gap", stride=stride) for stride in (None, 32)
    )
    assert whole.count_params() == stride_32.count_params()
    assert whole.get_layer("backbone").output_shape == (None, 2, 2, 1280)


def test_a_network_is_built_on_a_shortened_backbone():
    network = build("mobilenetv2", 5, 64, head="gap", stride=16)
    assert network.output_shape == (None, 5)
    assert network.get_layer("backbone").output_shape == (None, 4, 4, 96)


def test_a_backbone_without_features_of_the_stride_is_refused():
    with pytest.raises(ModelError, match=r"stride \(5\) must be one of 4, 8, 16, 32"):
        build("mobilenetv2", 5, 64, stride=5)
    with pytest.raises(ModelError, match="sepconv has no backbone that could end early"):
        build("sepconv", 5, 64, stride=16)
    small = keras.Sequential([keras.Input((32, 32, 3)), keras.layers.Conv2D(4, 3, 2)])
    with pytest.raises(ModelError, match="no features of stride 16"):
        up_to_stride(small, 16)
