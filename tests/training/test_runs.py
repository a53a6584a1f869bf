"""Run folders are written and read."""

import dataclasses
import json
import shutil
import tomllib
from pathlib import Path

import pytest

from classify.errors import ClassifyError, RunError
from classify.training.run_folder import environment_here
from classify.training.runs import FACES, OLDER, Run, faces_of, trained_classes
from ffpp_tools.splits.manifest import Manifest
from tests.helpers.runs import TINY


@pytest.fixture
def made(videos_manifest, tmp_path):
    """A run before its first epoch, with its manifest next to it."""
    shutil.copytree(videos_manifest.folder, tmp_path / "manifest")
    manifest = Manifest.read(tmp_path / "manifest")
    (tmp_path / "r").mkdir()
    run = Run.of(tmp_path / "r", TINY, manifest)
    run.create()
    return run


def test_a_run_is_read_as_it_was_written_and_finds_its_manifest(made):
    found = Run.read(made.folder)
    assert found == made
    assert found.settings == TINY
    assert found.manifest_path == "../manifest"
    assert found.environment == environment_here()


def test_a_configuration_for_another_folder_refers_to_the_same_manifest(made, tmp_path):
    config = tomllib.loads(made.config_for(tmp_path / "elsewhere/deep", epochs=9))
    assert config["manifest"]["path"] == "../../manifest"
    assert (config["training"]["epochs"], config["training"]["arch"]) == (9, "sepconv")


def test_a_manifest_that_changed_is_refused(made):
    path = made.folder.parent / "manifest/manifest.json"
    path.write_text(path.read_text() + "\n")
    with pytest.raises(RunError, match="has changed since"):
        Run.read(made.folder).manifest  # noqa: B018


def test_a_folder_without_a_run_or_epoch_is_refused_with_a_remedy(made, tmp_path):
    with pytest.raises(RunError, match=r"no config\.toml.*classify train"):
        Run.read(tmp_path)
    with pytest.raises(RunError, match="no epoch of this run has finished"):
        made.checkpoint  # noqa: B018
    with pytest.raises(RunError, match=OLDER):
        made.faces  # noqa: B018


def test_each_split_has_its_own_report_folder(made):
    assert made.report_folder("test") == made.folder / "report"
    assert made.report_folder("val", "explain") == made.folder / "explain-val"
    with pytest.raises(ClassifyError, match="choose from test, val, train"):
        made.report_folder("holdout")


def test_crop_settings_are_saved_for_videos_without_the_dataset(made, videos_manifest):
    faces = faces_of(videos_manifest)
    assert "stills" not in faces  # the manifest has none
    made.keep_faces(faces)
    assert made.classes == videos_manifest.classes
    assert made.faces["crop"] == faces["crop"]
    (made.folder / FACES).write_text(json.dumps({"classes": {}}))
    with pytest.raises(RunError, match=OLDER):
        made.faces  # noqa: B018


def manifest_of(classes):
    return Manifest(Path("m"), {"classes": classes})


VIDEOS = {"Deepfakes": "fake", "FaceSwap": "fake", "Youtube": "real"}
BINARY = {"fake": "fake", "real": "real"}
BLEND, BLEND_CLASS = ({"blend": 0.5}, {"blend": 0.5, "blend_class": True})


def test_blends_of_a_class_of_their_own_are_fakes_in_alphabetical_order():
    given = manifest_of({"Actors": "real", **VIDEOS})
    with_blends = trained_classes(given, dataclasses.replace(TINY, **BLEND_CLASS))
    assert list(with_blends) == ["Actors", "Blended", "Deepfakes", "FaceSwap", "Youtube"]
    assert with_blends["Blended"] == "fake"
    assert trained_classes(given, TINY) == given.classes


def test_blends_in_a_binary_manifest_are_fakes():
    assert trained_classes(manifest_of(BINARY), dataclasses.replace(TINY, **BLEND)) == BINARY


@pytest.mark.parametrize(
    ("classes", "settings", "message"),
    [
        (VIDEOS, BLEND, r"add blend_class \(--blend-class\)"),
        (VIDEOS, {"blend": 1.0}, r"none of them: use a manifest of real and fake"),
        (BINARY, BLEND_CLASS, "omit blend_class"),
        ({"Deepfakes": "fake", "FaceSwap": "fake"}, BLEND_CLASS, "no real crops"),
        ({**VIDEOS, "Blended": "fake"}, BLEND_CLASS, "class Blended of its own"),
    ],
)
def test_blends_that_do_not_fit_the_classes_are_refused(classes, settings, message):
    with pytest.raises(ClassifyError, match=message):
        trained_classes(manifest_of(classes), dataclasses.replace(TINY, **settings))


def test_a_runs_classes_include_that_of_blends(made, videos_manifest):
    settings = dataclasses.replace(TINY, **BLEND_CLASS)
    made.keep_faces(faces_of(videos_manifest, settings))
    assert made.classes == dict(sorted({**made.manifest.classes, "Blended": "fake"}.items()))
