"""Weights files are read as arrays and loaded layer by layer, or refused with a reason."""

import zipfile

import h5py
import keras
import numpy as np
import pytest

from classify.errors import ModelError
from classify.models import ARCHITECTURES, backbone_of, build
from classify.models.backbones import BACKBONES
from classify.models.weights import load


def network(name, size=80):
    make = getattr(keras.applications, BACKBONES[name].keras_name)
    return make(include_top=False, weights=None, input_shape=(size, size, 3))


def write_legacy(model, path):
    """Write the format of Keras 2, which keras.applications and efficientnet still publish."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [layer.name.encode() for layer in model.layers]
        for layer in model.layers:
            group = file.create_group(layer.name)
            names = [f"{layer.name}/{i}:0".encode() for i in range(len(layer.weights))]
            group.attrs["weight_names"] = names
            for name, value in zip(names, layer.get_weights(), strict=True):
                group[name.decode()] = value


def randomised(model, seed=0):
    rng = np.random.default_rng(seed)
    model.set_weights([rng.uniform(0.1, 1, w.shape) for w in model.get_weights()])
    return model


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("mobilenetv2", "weights.h5"),
        ("mobilenetv2", "keras"),
        ("mobilenetv2", "h5"),
        ("inceptionv3", "weights.h5"),  # layers without names of their own
    ],
)
def test_weights_are_loaded_from_every_file_format(name, kind, tmp_path):
    donor, path = randomised(network(name)), tmp_path / f"donor.{kind}"
    if kind == "weights.h5":
        donor.save_weights(path)
    elif kind == "keras":
        donor.save(path)
    else:
        write_legacy(donor, path)
    model = network(name)
    load(model, path)
    for mine, theirs in zip(model.get_weights(), donor.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_the_backbone_of_a_trained_run_is_loaded(tmp_path):
    donor = build("mobilenetv2", 5, size=48, head="gap")
    randomised(backbone_of(donor))
    donor.save(tmp_path / "best.keras")
    weights = str(tmp_path / "best.keras")
    model = build("mobilenetv2", 2, size=64, weights=weights, head="flatten")
    theirs = backbone_of(donor).get_weights()
    for mine, other in zip(backbone_of(model).get_weights(), theirs, strict=True):
        np.testing.assert_array_equal(mine, other)


def as_keras_2(path):
    """Rename the arrays of a whole model as Keras 2 did."""
    with h5py.File(path, "r+") as file:
        for layer in file["model_weights"].attrs["layer_names"]:
            group = file["model_weights"][layer]
            names = list(group.attrs["weight_names"])
            for name in names:
                group.move(name, f"{name}:0")
            if names:
                group.attrs["weight_names"] = [f"{name}:0".encode() for name in names]


@pytest.mark.parametrize(
    ("name", "frozen", "nested"),
    [
        ("efficientnetb0", 100, True),  # some layers; all but one have unique names
        ("inceptionv3", 1000, True),  # all layers; their names are numbered
        ("mobilenetv2", 0, False),
    ],
)
def test_the_backbone_of_a_whole_model_in_hdf5_is_loaded(name, frozen, nested, tmp_path):
    donor = randomised(network(name))
    expected = donor.get_weights()
    for layer in donor.layers[:frozen]:
        layer.trainable = False
    inputs = keras.Input((80, 80, 3)) if nested else donor.input
    maps = donor(inputs) if nested else donor.output
    whole = keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(maps))
    keras.Model(inputs, whole).save(tmp_path / "m.h5")
    as_keras_2(tmp_path / "m.h5")
    model = network(name)
    load(model, tmp_path / "m.h5")
    for mine, theirs in zip(model.get_weights(), expected, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    if nested:
        with pytest.raises(ModelError, match=r"m\.h5 does not fit") as refused:
            load(network("vgg16"), tmp_path / "m.h5")
        assert len(str(refused.value)) < 400


@pytest.mark.parametrize(
    ("donor", "model", "kind", "message"),
    [
        ("efficientnetb1", "efficientnetb0", "weights.h5", "layer block2a_expand_conv has"),
        ("efficientnetb0", "efficientnetb1", "h5", "layer block1b_dwconv has"),
        ("vgg16", "vgg19", "weights.h5", "layer block3_conv4 has"),
        ("vgg16", "vgg19", "h5", "layer block3_conv4 has"),
    ],
)
def test_weights_of_another_network_are_refused_naming_the_first_layer(
    donor, model, kind, message, tmp_path
):
    path = tmp_path / f"w.{kind}"
    network(donor).save_weights(path) if kind == "weights.h5" else write_legacy(
        network(donor), path
    )
    with pytest.raises(ModelError, match=f"does not fit: {message}"):
        load(network(model), path)


def test_a_file_of_another_network_does_not_change_the_weights(tmp_path):
    network("vgg16", 32).save_weights(tmp_path / "w.weights.h5")
    model = network("vgg19", 32)
    before = [w.copy() for w in model.get_weights()]
    with pytest.raises(ModelError):
        load(model, tmp_path / "w.weights.h5")
    for mine, kept in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(mine, kept)


@pytest.mark.parametrize("content", [b"", b"garbage", b"PK\x03\x04garbage"])
def test_garbage_is_named(content, tmp_path):
    path = tmp_path / "garbage.weights.h5"
    path.write_bytes(content)
    with pytest.raises(ModelError, match="garbage"):
        build("efficientnetb0", 2, size=32, weights=str(path))


def test_an_archive_without_weights_is_named(tmp_path):
    path = tmp_path / "m.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "{}")
    with pytest.raises(ModelError, match=r"m\.keras"):
        build("efficientnetb0", 2, size=32, weights=str(path))


def test_offline_the_error_says_what_to_fetch_and_how_to_pass_it(monkeypatch):
    def offline(*args, origin=None, **kwargs):
        raise Exception(f"URL fetch failure on {origin or args[1]}: None -- no network")

    monkeypatch.setattr("keras.src.utils.file_utils.get_file", offline)
    monkeypatch.setattr("keras.src.applications.efficientnet.file_utils.get_file", offline)
    monkeypatch.setattr("keras.utils.get_file", offline)
    with pytest.raises(ModelError, match=r"https://\S*efficientnetb0_notop\.h5 .*--weights PATH"):
        build("efficientnetb0", 2, size=32, weights="imagenet")
    with pytest.raises(ModelError, match=r"efficientnet-b0_noisy-student_notop\.h5 .*--weights"):
        build("efficientnetb0", 2, size=32, weights="noisy-student")


def pixel_after_normalisation(model, value):
    """The input of B0's first convolution for a grey image, per channel."""
    backbone = backbone_of(model)
    stem = next(x for x in backbone.layers if x.name == "stem_conv_pad")
    head = keras.Model(backbone.input, stem.input)
    grey = np.full((1, *backbone.input.shape[1:]), value, np.float32)
    return keras.ops.convert_to_numpy(head(grey))[0, 0, 0]


@pytest.mark.parametrize("power", [1, 2])
def test_normalisation_is_right_for_files_with_deviations_or_variances(tmp_path, power):
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


def test_noisy_student_weights_predict_as_in_the_efficientnet_package(tmp_path):
    # A file in the package's layout, from its own network, which requires tensorflow.keras.
    if keras.backend.backend() != "tensorflow":
        pytest.skip("the efficientnet package needs the TensorFlow backend")
    from efficientnet.tfkeras import EfficientNetB0, preprocess_input

    theirs = EfficientNetB0(weights=None, input_shape=(64, 64, 3), include_top=False)
    rng = np.random.default_rng(0)
    kept = [w + 0.01 * rng.normal(size=w.shape) for w in theirs.get_weights()]
    theirs.set_weights([np.abs(w) if w.ndim == 1 else w for w in kept])
    path = tmp_path / "efficientnet-b0_noisy-student_notop.h5"
    write_legacy(theirs, path)
    model = build("efficientnetb0", 2, size=64, weights=str(path))
    images = rng.uniform(0, 255, (2, 64, 64, 3)).astype(np.float32)
    expected = theirs(preprocess_input(images.copy()), training=False).numpy()
    found = keras.ops.convert_to_numpy(backbone_of(model)(images, training=False))
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


def test_the_available_imagenet_weights_fit(real_data):
    path = real_data / "weights/efficientnetb0_imagenet_notop.weights.h5"
    pretrained = build("efficientnetb0", 2, size=64, weights=str(path))
    random = build("efficientnetb0", 2, size=64, weights="none")
    kernels = [
        next(x for x in backbone_of(m).layers if x.name == "stem_conv").get_weights()[0]
        for m in (pretrained, random)
    ]
    assert kernels[0].shape == (3, 3, 3, 32)
    expected = (200 / 255 - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225])
    np.testing.assert_allclose(pixel_after_normalisation(pretrained, 200), expected, rtol=1e-3)
    assert not np.allclose(*kernels)
    assert ARCHITECTURES["efficientnetb0"].pretrained


def elsewhere(group, name, shape):
    """A link to an array in another file."""
    group[name] = h5py.ExternalLink("secret.h5", "/x")


def outside(group, name, shape):
    """An array whose bytes are stored in another file."""
    group.create_dataset(name, shape, "f4", external=[("secret.bin", 0, h5py.h5f.UNLIMITED)])


def virtual(group, name, shape):
    """An array assembled from those of another file."""
    layout = h5py.VirtualLayout(shape, "f4")
    layout[:] = h5py.VirtualSource("secret.h5", "x", shape)
    group.create_virtual_dataset(name, layout)


def softly(group, name, shape):
    """A link within the file to a link to another file."""
    group.file["out"] = h5py.ExternalLink("secret.h5", "/x")
    group[name] = h5py.SoftLink("/out")


def endless(group, name, shape):
    """A terabyte that takes no space in the file."""
    group.create_dataset(name, (1 << 38,), "f4", chunks=(1 << 20,), fillvalue=1)


@pytest.mark.parametrize("trick", [elsewhere, outside, virtual, softly, endless])
def test_arrays_of_other_files_and_of_any_size_are_refused(trick, tmp_path):
    model = network("mobilenetv2")
    path = tmp_path / "theirs.h5"
    write_legacy(model, path)
    with h5py.File(tmp_path / "secret.h5", "w") as secret:
        secret["x"] = np.ones(model.layers[1].weights[0].shape, "f4")
    with h5py.File(path, "r+") as file:
        layer = next(x for x in model.layers if x.weights)
        name = f"{layer.name}/0:0"
        del file[layer.name][name]
        trick(file[layer.name], name, tuple(layer.weights[0].shape))
    before = model.get_weights()
    with pytest.raises(ModelError, match=r"theirs\.h5.*(links to another file|\(274877906944,\))"):
        load(model, path)
    assert all(np.array_equal(*pair) for pair in zip(before, model.get_weights(), strict=True))


def test_an_archive_that_unpacks_to_gigabytes_is_refused(tmp_path):
    path, mebibyte = tmp_path / "bomb.keras", bytes(1 << 20)
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("model.weights.h5", "w") as file,
    ):
        for _ in range(400):
            file.write(mebibyte)
    assert path.stat().st_size < 1 << 20
    with pytest.raises(ModelError, match="unpacked it would be 419,430,400 bytes"):
        load(network("mobilenetv2"), path)


def test_a_layer_of_another_file_is_refused(tmp_path):
    model = network("mobilenetv2")
    path = tmp_path / "theirs.h5"
    write_legacy(model, path)
    (tmp_path / "secret.h5").write_bytes(path.read_bytes())
    name = next(x for x in model.layers if x.weights).name
    with h5py.File(path, "r+") as file:
        del file[name]
        file[name] = h5py.ExternalLink("secret.h5", f"/{name}")
    with pytest.raises(ModelError, match=r"theirs\.h5.*links to another file"):
        load(model, path)
