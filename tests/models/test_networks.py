import keras
import numpy as np
import pytest

from classify.errors import ModelError
from classify.models import ARCHITECTURES, backbone_of, build, freeze

OWN = [name for name, arch in ARCHITECTURES.items() if not arch.pretrained]


def counts(model):
    """Parameters of each layer that has any, in order."""
    return [layer.count_params() for layer in model.layers if layer.count_params()]


def trainable(model):
    return sum(int(np.prod(w.shape)) for w in model.trainable_weights)


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
    model = build("efficientnetb0", 2)
    backbone, *head = [layer for layer in model.layers if layer.count_params()]
    normalisation = next(x for x in backbone.layers if x.name.startswith("normalization"))
    assert normalisation.count_params() == 7  # mean 3, variance 3, count 1
    assert backbone.count_params() - 7 == 4_049_564
    assert [x.count_params() for x in head] == [384_300, 90_300, 602]
    assert model.count_params() - 7 == 4_524_766
    assert model.count_params() - 7 - trainable(model) == 42_016
    assert trainable(model) == 4_482_750


def test_inception_resnet_v2_has_the_dcgan_studys_parameter_counts():
    model = build("inceptionresnetv2", 2, size=128, head="gap")
    assert model.count_params() == 54_339_810
    assert trainable(model) == 54_279_266
    assert counts(model)[-1] == 3_074


def test_the_cnns_have_the_layers_of_their_listings():
    cnn3 = build("cnn3", 2, output="sigmoid")
    assert cnn3.input_shape == (None, 256, 256, 3)
    assert counts(cnn3) == [896, 18_496, 36_928, 30 * 30 * 64 * 64 + 64, 65]
    assert [x.rate for x in cnn3.layers if isinstance(x, keras.layers.Dropout)] == [0.2, 0.2]
    cnn6 = build("cnn6", 4)
    convolutions = [896, 18_496, 73_856, 295_168, 590_080, 1_180_160]
    assert counts(cnn6) == [*convolutions, 2 * 2 * 512 * 512 + 512, 512 * 4 + 4]
    cnn9 = build("cnn9", 2)
    assert cnn9.input_shape == (None, 96, 96, 3)
    maps = [x.output.shape[1:] for x in cnn9.layers if isinstance(x, keras.layers.Conv2D)]
    assert len(maps) == 9
    assert maps[0] == (96, 96, 64)
    assert len([x for x in cnn9.layers if isinstance(x, keras.layers.LeakyReLU)]) == 9


def test_the_small_networks_have_the_listed_parameter_counts():
    for name in ("sepconv", "cnn3", "cnn6", "cnn9"):
        assert build(name, 2).count_params() == ARCHITECTURES[name].parameters
    assert ARCHITECTURES["sepconv"].parameters < 30_000


@pytest.mark.parametrize("arch", [*OWN, "efficientnetb0"])
@pytest.mark.parametrize("classes", [2, 7])
def test_every_network_gives_probabilities_for_raw_pixels(arch, classes):
    size = max(48, ARCHITECTURES[arch].least)
    model = build(arch, classes, size=size)
    images = np.random.default_rng(0).integers(0, 256, (3, size, size, 3), dtype=np.uint8)
    probabilities = keras.ops.convert_to_numpy(model(images, training=False))
    assert probabilities.shape == (3, classes)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    features = keras.Model(model.inputs, model.layers[-1].input)(images, training=False)
    features = keras.ops.convert_to_numpy(features)
    assert np.ptp(features, axis=0).max() > 0.01 * np.abs(features).max()  # the pixels matter


def test_one_sigmoid_is_one_probability():
    model = build("sepconv", 2, size=48, output="sigmoid")
    assert model.output_shape == (None, 1)
    assert model.layers[-1].activation.__name__ == "sigmoid"


@pytest.mark.parametrize(("channel", "position"), [("r", 0), ("g", 1), ("b", 2)])
def test_one_channel_replaces_all_three(channel, position, tmp_path):
    model = build("sepconv", 2, size=32, channels=channel)
    rng = np.random.default_rng(1)
    image = rng.uniform(0, 255, (1, 32, 32, 3)).astype(np.float32)
    other = image.copy()
    for unseen in {0, 1, 2} - {position}:
        other[..., unseen] = rng.uniform(0, 255, (1, 32, 32))
    first, second = (keras.ops.convert_to_numpy(model(x)) for x in (image, other))
    np.testing.assert_array_equal(first, second)
    other[..., position] = 255 - image[..., position]
    assert not np.array_equal(first, keras.ops.convert_to_numpy(model(other)))
    model.save(tmp_path / "m.keras")
    again = keras.models.load_model(tmp_path / "m.keras", safe_mode=True)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(again(image)), first)


@pytest.mark.parametrize(("what", "frozen"), [("none", 0), ("all", None), ("10", 10), ("-10", -10)])
def test_freezing_is_a_slice_of_the_backbone(what, frozen):
    model = build("mobilenetv2", 2, size=32, head="gap")
    freeze(model, what, batch_norm=False)
    layers = backbone_of(model).layers
    expected = {layer.name for layer in layers[:frozen]}
    assert {layer.name for layer in layers if not layer.trainable} == expected
    assert bool(backbone_of(model).trainable_weights) == (what != "all")
    assert model.layers[-1].trainable_weights
    freeze(model, "none", batch_norm=False)
    assert all(layer.trainable for layer in backbone_of(model).layers)


@pytest.mark.slow
def test_frozen_batch_norm_keeps_its_statistics_in_training():
    model = build("resnet50", 2, size=32, head="gap")
    freeze(model, "none", batch_norm=True)
    layers = backbone_of(model).layers
    norms = [x for x in layers if isinstance(x, keras.layers.BatchNormalization)]
    before = [keras.ops.convert_to_numpy(x.moving_mean) for x in norms]
    last = next(x for x in reversed(layers) if isinstance(x, keras.layers.Conv2D))
    kernel = keras.ops.convert_to_numpy(last.kernel)
    model.compile("adam", "categorical_crossentropy", run_eagerly=True)
    images = np.random.default_rng(0).uniform(0, 255, (8, 32, 32, 3))
    model.fit(images, np.eye(2)[[0, 1] * 4], verbose=0)
    for layer, mean in zip(norms, before, strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(layer.moving_mean), mean)
    assert not np.allclose(keras.ops.convert_to_numpy(last.kernel), kernel)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"arch": "resnet1000"}, "sepconv"),
        ({"arch": "sepconv", "weights": "imagenet"}, "no pretrained weights"),
        ({"arch": "efficientnetb0", "weights": "/no/such.h5"}, "/no/such.h5"),
        ({"arch": "sepconv", "activation": "relu"}, "baseline"),
        ({"arch": "baseline", "activation": "tanh"}, "linear, relu"),
        ({"arch": "sepconv", "head": "gap"}, "its own head"),
        ({"arch": "vgg16", "head": "gapp"}, "flatten-1024"),
        ({"arch": "vgg16", "channels": "x"}, "rgb"),
        ({"arch": "vgg16", "classes": 7, "output": "sigmoid"}, "two classes"),
        ({"arch": "xception", "size": 64}, "71 pixels"),
        ({"arch": "cnn6", "size": 64}, "at least 190 pixels"),
        ({"arch": "resnet50", "weights": "noisy-student"}, "efficientnetb0 to b7"),
    ],
)
def test_invalid_settings_are_refused_with_a_remedy(arguments, message):
    with pytest.raises(ModelError, match=message):
        build(**{"classes": 2, **arguments})


@pytest.mark.parametrize("what", ["some", "1000", "-1000"])
def test_an_invalid_number_of_frozen_layers_is_refused(what):
    with pytest.raises(ModelError, match="a number up to"):
        freeze(build("mobilenetv2", 2, size=32), what, batch_norm=False)


def test_a_network_without_backbone_is_not_frozen():
    with pytest.raises(ModelError, match="backbone"):
        freeze(build("sepconv", 2, size=32), "all", batch_norm=False)
