"""YuNet: its model files, and its faces on drawn frames where a model file is given."""

import hashlib
import shutil
from dataclasses import replace

import pytest

from ffpp_tools.errors import SettingsError
from ffpp_tools.extraction.pipeline import extract_dataset, extract_still_dataset
from ffpp_tools.extraction.settings import StillSettings
from ffpp_tools.extraction.settings_file import recorded_settings
from ffpp_tools.extraction.workers import Workers
from ffpp_tools.faces import detect, yunet
from ffpp_tools.faces.crop import CropSettings, cut
from ffpp_tools.faces.detect import FindSettings, HogDetector, find_faces, near
from ffpp_tools.sources.stills import find_stills
from ffpp_tools.store.tables import read_faces, read_frames
from ffpp_tools.video.image import Picture
from tests.helpers.faces import scene
from tests.helpers.files import hashes
from tests.helpers.worlds import SETTINGS

MODEL = b"not a network"
SHA256 = hashlib.sha256(MODEL).hexdigest()


class StandIn(HogDetector):
    """HOG under the name of a detector that has a model file."""

    name = "yunet"

    def __init__(self, model_file):
        assert model_file.read_bytes() == MODEL
        super().__init__()


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """A model file, and a detector that takes it in place of YuNet."""
    monkeypatch.setitem(detect.DETECTORS, "yunet", StandIn)
    detect._loaded_from.cache_clear()
    (tmp_path / "model.onnx").write_bytes(MODEL)
    yield tmp_path / "model.onnx"
    detect._loaded_from.cache_clear()


def test_without_a_file_the_error_says_where_it_comes_from():
    with pytest.raises(SettingsError, match="--detector-model") as refusal:
        FindSettings("yunet")
    for words in ("2023mar.onnx or face_detection_yunet_2026may.onnx", "MIT", yunet.SOURCE):
        assert words in str(refusal.value)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"detector": "hog"}, "detector hog has no model file"),
        ({"detector": "yunet", "search": "full"}, "use search fast"),
        ({"detector": "yunet", "detector_sha256": "0" * 64}, "another model file than the one"),
    ],
)
def test_settings_that_contradict_the_model_file_are_refused(stand_in, settings, words):
    with pytest.raises(SettingsError, match=words):
        FindSettings(**settings, model_file=stand_in)


def test_files_that_are_no_model_are_refused(tmp_path):
    with pytest.raises(SettingsError, match=r"absent\.onnx: cannot be read"):
        FindSettings("yunet", model_file=tmp_path / "absent.onnx")
    (tmp_path / "text.onnx").write_bytes(MODEL)
    with pytest.raises(SettingsError, match=r"text\.onnx: OpenCV .* cannot run this file"):
        detect.load(FindSettings("yunet", model_file=tmp_path / "text.onnx"))


@pytest.mark.parametrize(
    ("name", "label"), [("2023mar", "yunet-2023mar"), ("unknown", f"yunet-unknown-{SHA256[:12]}")]
)
def test_known_files_are_named_and_others_have_their_hash(stand_in, monkeypatch, name, label):
    if name != yunet.UNKNOWN:
        monkeypatch.setattr(yunet, "KNOWN", {SHA256: name})
    settings = FindSettings("yunet", model_file=stand_in)
    assert (settings.detector_model, settings.detector_sha256) == (name, SHA256)
    assert settings.detector_label == label


def test_a_file_that_changes_after_it_was_named_is_not_loaded(stand_in):
    settings = FindSettings("yunet", model_file=stand_in)
    stand_in.write_bytes(b"another")
    with pytest.raises(SettingsError, match="has changed"):
        detect.load(settings)


def test_a_dataset_records_the_model_and_refuses_others(few, world, stand_in, tmp_path):
    find = FindSettings("yunet", model_file=stand_in)
    folder = tmp_path / "dataset"
    extract_dataset(few[:1], folder, replace(SETTINGS, find=find))
    recorded = {"detector_model": "unknown", "detector_sha256": SHA256}
    assert recorded_settings(folder)["find"] == {"detector": "yunet", "search": "fast", **recorded}
    assert set(read_faces(folder)["detector"]) == {find.detector_label}
    stills = find_stills(world / "CelebA", "CelebA", limit=2)
    with pytest.raises(SettingsError, match=r"detector yunet, .*; requested: detector hog, "):
        extract_still_dataset(stills, folder)
    moved = shutil.copy(stand_in, tmp_path / "moved.onnx")  # the path does not matter
    extract_still_dataset(stills, folder, StillSettings(find=replace(find, model_file=moved)))
    without_file = FindSettings(**recorded_settings(folder)["find"])
    assert without_file == find
    with pytest.raises(SettingsError, match=f"needs the model file unknown .*{SHA256}"):
        detect.load(without_file)


def test_the_command_line_names_the_file(typed, ffpp, stand_in, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["ffpp-extract", ffpp, "--limit", 1, "--category", "Youtube", "--workers", 1]
    status, _, err = typed(*words, "--detector", "yunet")
    assert (status, yunet.SOURCE in err) == (1, True)
    assert not (tmp_path / "dataset").exists()
    assert typed(*words, "--detector", "yunet", "--detector-model", "model.onnx")[0] == 0
    assert recorded_settings(tmp_path / "dataset")["find"]["detector_sha256"] == SHA256


@pytest.mark.parametrize(
    "faces",
    [[(3, 320, 100, 50)], [(1, 120, 40, 40), (2, 160, 300, 200)], [(3, 30, 100, 100)]],
    ids=["large", "two", "tiny"],
)
def test_yunet_finds_drawn_faces_of_any_size(yunet_file, faces):
    settings = FindSettings("yunet", model_file=yunet_file)
    picture = Picture(scene(480, 640, faces))
    found = sorted(find_faces(picture, settings), key=lambda face: face.box.x)
    assert len(found) == len(faces)
    for face, (_, size, x, y) in zip(found, faces, strict=True):
        # a drawn face spans 0.5 of its canvas, slightly above the middle
        assert face.box.centre == pytest.approx((x + size / 2, y + size / 2), abs=size / 10)
        assert face.box.side == pytest.approx(0.44 * size, rel=0.25)
        (again,) = near(picture, face.box, detect.load(settings))
        assert again.box.iou(face.box) > 0.6


def test_an_image_gives_the_same_faces_after_images_of_other_sizes(yunet_file):
    settings = FindSettings("yunet", model_file=yunet_file)
    picture = Picture(scene(480, 640, [(3, 320, 100, 50)]))
    first = find_faces(picture, settings)
    find_faces(Picture(scene(300, 200, [(1, 120, 40, 40)])), settings)
    assert find_faces(picture, settings) == first


def test_fakes_have_the_boxes_of_their_originals_and_faces_are_aligned(yunet_file, few, tmp_path):
    find = FindSettings("yunet", model_file=yunet_file)
    settings = replace(SETTINGS, find=find, crop=CropSettings(align=True))
    extract_dataset(few, tmp_path / "one", settings, Workers(1))
    extract_dataset(few, tmp_path / "two", settings, Workers(2))
    faces, frames = read_faces(tmp_path / "one"), read_frames(tmp_path / "one")
    assert (frames["status"] == "ok").all()
    is_fake = faces["frame_id"].str.startswith("FaceSwap")
    assert set(faces["box_from"][is_fake]) == {"twin"}
    assert (faces["score"] >= yunet.MIN_SCORE).all()
    assert hashes(tmp_path / "one" / "faces") == hashes(tmp_path / "two" / "faces")


def test_faces_are_aligned_as_with_hog(yunet_file):
    """The eyes are found within the box, and the boxes of both detectors are good enough for it."""
    picture = Picture(scene(480, 640, [(3, 320, 100, 50)]))
    of_hog, of_yunet = (
        cut(picture, find_faces(picture, find)[0].box, CropSettings(align=True))[1]
        for find in (FindSettings(), FindSettings("yunet", model_file=yunet_file))
    )
    assert of_yunet.width == pytest.approx(of_hog.width, rel=0.15)
    for name in ("x", "y"):
        centres = [getattr(w, name) + w.width / 2 for w in (of_hog, of_yunet)]
        assert centres[0] == pytest.approx(centres[1], abs=0.08 * of_hog.width)
