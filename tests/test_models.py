import keras
import numpy as np
import pytest

from classify.errors import ModelError
from classify.models import ARCHITECTURES, build


def counts(model):
    """Parameters of each layer that has any, in order."""
    return [layer.count_params() for layer in model.layers if layer.count_params()]


def test_the_papers_separable_layers_have_its_parameter_counts():
    model = build("baseline", 7, size=32)
    convolutions = counts(model)[:3]
    assert convolutions == [39, 123, 1816]
    assert sum(convolutions) == 1978


def test_the_baseline_is_the_papers_text():
    model = build("baseline", 2, size=32)
    layers = [layer for layer in model.layers if layer.count_params()]
    convolutions, dense = layers[:3], layers[3:]
    assert [(c.filters, c.kernel_size, c.strides, c.padding) for c in convolutions] == [
        (f, (3, 3), (1, 1), "valid") for f in (3, 24, 64)
    ]
    assert [d.units for d in dense] == [300, 128, 2]
    activations = [layer.activation.__name__ for layer in layers]
    assert activations == ["linear"] * 5 + ["softmax"]
    relu = build("baseline", 2, size=32, activation="relu")
    activations = [x.activation.__name__ for x in relu.layers if x.count_params()]
    assert activations == ["relu"] * 5 + ["softmax"]


@pytest.mark.slow
def test_the_baseline_at_full_size_has_286_million_weights_in_its_first_dense_layer():
    model = build("baseline", 7)
    assert counts(model)[3] == 122 * 122 * 64 * 300 + 300 == 285_773_100
    assert model(np.zeros((1, 128, 128, 3))).shape == (1, 7)


def test_b0_has_the_papers_parameter_counts_and_kerass_seven_more():
    model = build("efficientnetb0", 2, weights="none")
    backbone, *head = model.layers
    normalisation = next(x for x in backbone.layers if x.name.startswith("normalization"))
    assert normalisation.count_params() == 7  # mean 3, variance 3, count 1
    assert backbone.count_params() - 7 == 4_049_564
    assert [x.count_params() for x in head if x.count_params()] == [384_300, 90_300, 602]
    assert model.count_params() - 7 == 4_524_766
    fixed = sum(int(np.prod(w.shape)) for w in model.non_trainable_weights)
    assert fixed - 7 == 42_016
    assert model.count_params() - fixed == 4_482_750


def test_the_papers_own_package_counts_the_same_backbone():
    # It builds on tensorflow.keras, so it serves the TensorFlow backend only.
    if keras.backend.backend() != "tensorflow":
        pytest.skip("the efficientnet package needs the TensorFlow backend")
    from efficientnet.tfkeras import EfficientNetB0

    theirs = EfficientNetB0(weights=None, input_shape=(128, 128, 3), include_top=False)
    assert theirs.count_params() == 4_049_564


def test_b0_has_the_papers_head():
    model = build("efficientnetb0", 7, weights="none")
    head = model.layers[1:]
    assert [type(x).__name__ for x in head] == ["Dense", "Dropout", "Dense", "Dropout", "Dense"]
    assert [x.rate for x in head[1::2]] == [0.2, 0.2]
    for dense in head[0:4:2]:
        assert dense.units == 300
        assert dense.activation.__name__ == "relu"
        penalty = dense.kernel_regularizer
        assert (float(penalty.l1), float(penalty.l2)) == pytest.approx((0.001, 0.001))
    assert isinstance(model.layers[0].layers[-1], keras.layers.GlobalMaxPooling2D)


@pytest.mark.parametrize("arch", ARCHITECTURES)
@pytest.mark.parametrize("classes", [2, 7])
def test_every_network_gives_probabilities_for_raw_pixels(arch, classes):
    model = build(arch, classes, size=48, weights="none")
    images = np.random.default_rng(0).integers(0, 256, (3, 48, 48, 3), dtype=np.uint8)
    probabilities = np.asarray(model(images, training=False))
    assert probabilities.shape == (3, classes)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    assert len(np.unique(probabilities, axis=0)) == 3  # the pixels matter


def test_sepconv_is_small():
    assert build("sepconv", 5).count_params() < 30_000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"arch": "resnet1000"}, "sepconv"),
        ({"arch": "sepconv", "weights": "imagenet"}, "no pretrained weights"),
        ({"arch": "efficientnetb0", "weights": "/no/such.h5"}, "/no/such.h5"),
        ({"arch": "sepconv", "activation": "relu"}, "baseline"),
    ],
)
def test_what_cannot_be_built_is_refused_with_a_remedy(arguments, message):
    with pytest.raises(ModelError, match=message):
        build(classes=2, **arguments)


def test_weights_of_another_network_are_refused(tmp_path):
    path = tmp_path / "other.weights.h5"
    build("sepconv", 2, size=32).save_weights(path)
    with pytest.raises(ModelError, match="not the weights of EfficientNetB0"):
        build("efficientnetb0", 2, size=32, weights=str(path))
    garbage = tmp_path / "garbage.weights.h5"
    garbage.write_text("garbage")
    with pytest.raises(ModelError, match="garbage"):
        build("efficientnetb0", 2, size=32, weights=str(garbage))


def pixel_after_normalisation(model, value):
    """What B0's first convolution sees of a grey image, per channel."""
    backbone = model.layers[0]
    stem = next(x for x in backbone.layers if x.name == "stem_conv_pad")
    head = keras.Model(backbone.input, stem.input)
    grey = np.full((1, *backbone.input.shape[1:]), value, np.float32)
    return np.asarray(head(grey))[0, 0, 0]


@pytest.mark.parametrize("power", [1, 2])
def test_a_weights_file_normalises_right_whether_it_holds_deviations_or_variances(tmp_path, power):
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    donor = keras.applications.EfficientNetB0(include_top=False, weights=None)
    layer = next(x for x in donor.layers if isinstance(x, keras.layers.Normalization))
    layer.set_weights([mean, deviation**power, np.array(0)])
    path = tmp_path / "b0.weights.h5"
    donor.save_weights(path)
    model = build("efficientnetb0", 2, size=32, weights=str(path))
    expected = (200 / 255 - mean) / deviation
    np.testing.assert_allclose(pixel_after_normalisation(model, 200), expected, rtol=1e-3)
    model.save(tmp_path / "m.keras")
    again = keras.models.load_model(tmp_path / "m.keras")
    np.testing.assert_allclose(pixel_after_normalisation(again, 200), expected, rtol=1e-3)


def test_the_imagenet_weights_at_hand_fit(real_data):
    path = real_data / "weights/efficientnetb0_imagenet_notop.weights.h5"
    pretrained = build("efficientnetb0", 2, size=64, weights=str(path))
    random = build("efficientnetb0", 2, size=64, weights="none")
    kernels = [
        next(x for x in m.layers[0].layers if x.name == "stem_conv").kernel.numpy()
        for m in (pretrained, random)
    ]
    assert kernels[0].shape == (3, 3, 3, 32)
    expected = (200 / 255 - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225])
    np.testing.assert_allclose(pixel_after_normalisation(pretrained, 200), expected, rtol=1e-3)
    assert not np.allclose(*kernels)
