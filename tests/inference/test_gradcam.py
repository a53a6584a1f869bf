import base64

import cv2
import keras
import numpy as np
import pytest

from classify.errors import ClassifyError, ModelError
from classify.evaluation.predict import predict_probabilities
from classify.inference.gradcam import cams, explain
from classify.inference.gradcam_files import coloured, write_explanations
from classify.models import build
from classify.reporting.formatting import face_uri
from ffpp_tools.video.image import read_image
from tests.helpers.pages import Page, files_with_pictures, pictures_in
from tests.helpers.runs import train_tiny

SIDE = 64
KINDS = (("sheet", "jpg"), ("mean", "png"))


def bright_corner(units):
    """A hand-made network: bright images are of class 0, and one feature map is the brightness."""
    inputs = keras.Input((SIDE, SIDE, 3))
    x = keras.layers.Rescaling(1 / 255)(inputs)
    x = keras.layers.Conv2D(2, 5, strides=4, padding="same", name="maps")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    activation = "softmax" if units == 2 else "sigmoid"
    x = keras.layers.Dense(units, activation=activation, name="probability")(x)
    model = keras.Model(inputs, x)
    kernel = np.zeros((5, 5, 3, 2), np.float32)
    kernel[..., 0], kernel[..., 1] = 1 / 75, -1 / 75  # brightness, and its opposite
    dense = np.array([[5, -5], [-5, 5]], np.float32)[:, :units]
    bias = np.full(units, -0.2, np.float32)
    model.get_layer("maps").set_weights([kernel, np.zeros(2, np.float32)])
    model.get_layer("probability").set_weights([dense, bias])
    return model


@pytest.mark.parametrize("units", [1, 2])
def test_the_map_is_where_the_evidence_for_the_class_is(units):
    images = np.zeros((2, SIDE, SIDE, 3), np.uint8)
    images[0, :16, 48:] = 255  # upper right
    images[1, 40:56, 8:24] = 255  # lower left
    maps, probabilities = cams(bright_corner(units), images, classes=[0, 0])
    assert maps.shape == (2, SIDE, SIDE)
    assert maps[0, 4:12, 52:60].min() > 0.8
    assert maps[0, 24:, :].max() < 0.01
    assert maps[1, 44:52, 12:20].min() > 0.8
    assert maps[1, :32, :].max() < 0.01
    np.testing.assert_allclose(
        probabilities, predict_probabilities(bright_corner(units), images), atol=1e-5
    )


def test_evidence_against_a_class_is_not_in_its_map():
    images = np.zeros((1, SIDE, SIDE, 3), np.uint8)
    images[0, :16, 48:] = 255
    against, _ = cams(bright_corner(2), images, classes=[1])
    assert against.max() == 0  # brightness speaks against class 1 everywhere


@pytest.mark.parametrize("arch", ["sepconv", "cnn3", "mobilenetv2", "efficientnetb0", "vgg16"])
def test_the_probabilities_are_those_of_the_network(arch):
    head = "gap" if arch not in ("sepconv", "cnn3") else None
    model = build(arch, 3, SIDE, head=head)
    images = np.random.default_rng(0).integers(0, 256, (3, SIDE, SIDE, 3), np.uint8)
    maps, probabilities = cams(model, images)
    np.testing.assert_allclose(probabilities, predict_probabilities(model, images), atol=1e-5)
    assert maps.min() >= 0
    assert maps.max() == pytest.approx(1)


@pytest.mark.parametrize("options", [{"output": "sigmoid"}, {"channels": "r"}], ids=str)
def test_networks_of_one_probability_or_one_channel_are_explained_too(options):
    model = build("mobilenetv2", 2, SIDE, head="gap", **options)
    images = np.random.default_rng(0).integers(0, 256, (3, SIDE, SIDE, 3), np.uint8)
    _, probabilities = cams(model, images)
    np.testing.assert_allclose(probabilities, predict_probabilities(model, images), atol=1e-5)


@pytest.fixture(scope="module")
def run(videos_manifest, tmp_path_factory):
    return train_tiny(videos_manifest.folder, tmp_path_factory.mktemp("runs") / "r", epochs=8)


def test_randomised_weights_give_other_maps(run):
    """The sanity check of Adebayo et al., Sanity Checks for Saliency Maps (2018)."""
    found = explain(run)
    images = np.stack([face for e in found for face in e.faces])
    model = run.best_model()
    trained, probabilities = cams(model, images)
    predicted = probabilities.argmax(axis=1)
    again, _ = cams(run.best_model(), images, classes=predicted)
    rng = np.random.default_rng(0)
    model.set_weights([rng.permutation(w.ravel()).reshape(w.shape) for w in model.get_weights()])
    randomised, _ = cams(
        model, images
    )  # for its new predictions: the old class may have an empty map

    def correlation(some, other):
        pairs = [
            np.corrcoef(a.ravel(), b.ravel())[0, 1]
            for a, b in zip(some, other, strict=True)
            if a.std() and b.std()
        ]
        assert len(pairs) > len(some) / 2
        return np.mean(pairs)

    assert correlation(trained, again) == pytest.approx(1)
    assert correlation(trained, randomised) < 0.5


def test_every_class_is_explained_on_its_own_faces(run, tmp_path):
    found = explain(run)
    assert [e.name for e in found] == list(run.manifest.classes)
    test = run.manifest.samples("test")
    for e in found:
        own = test[test["class"] == e.name]
        assert e.looked == len(own)
        assert set(e.samples["face_id"]) <= set(own["face_id"])
        assert len(e.faces) == len(e.maps) == len(e.samples) == min(12, len(own))
        assert e.samples["predicted"].isin(list(run.manifest.classes)).all()
    write_explanations(tmp_path / "e", found, "Split: <b>.")
    page = Page()
    html = (tmp_path / "e/explain.html").read_text()
    page.feed(html)
    assert "Split: &lt;b&gt;." in html
    assert all(address.startswith("data:") for address in page.fetched)
    assert len(page.alts) == sum(2 + len(e.faces) for e in found)
    for e in found:
        assert (tmp_path / f"e/sheet-{e.name}.jpg").stat().st_size > 1000
        assert (tmp_path / f"e/mean-{e.name}.png").is_file()


def test_explanations_without_faces_show_mean_maps_alone(run, tmp_path):
    found = explain(run)
    write_explanations(tmp_path, found, "Split.")
    (tmp_path / "mine.txt").write_text("mine")
    named = {f"{kind}-{e.name}.{end}" for e in found for kind, end in KINDS}
    assert files_with_pictures(tmp_path) == named
    write_explanations(tmp_path, found, "Split.", faces=False)
    assert {p.name for p in tmp_path.iterdir()} == {
        "explain.html",
        "mine.txt",
        *(f"mean-{e.name}.png" for e in found),
    }
    maps = [coloured(e.mean_map) for e in found]
    for e, heat in zip(found, maps, strict=True):
        drawn = read_image(tmp_path / f"mean-{e.name}.png")
        assert np.array_equal(
            drawn, cv2.resize(heat, drawn.shape[:2], interpolation=cv2.INTER_AREA)
        )
    assert pictures_in(tmp_path / "explain.html") == [
        base64.b64decode(face_uri(heat).partition("base64,")[2]) for heat in maps
    ]
    assert "Faces are omitted" in (tmp_path / "explain.html").read_text()


def test_an_unknown_split_is_refused(run):
    with pytest.raises(ClassifyError, match="test, val, train"):
        run.report_folder("holdout", "explain")


def test_a_network_without_convolutions_has_no_maps():
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Dense(2, activation="softmax")(keras.layers.Flatten()(inputs))
    with pytest.raises(ModelError, match="no convolution"):
        cams(keras.Model(inputs, x, name="flat"), np.zeros((1, 8, 8, 3), np.uint8))
