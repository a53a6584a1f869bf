"""Run folders are written and read."""

import json
import shutil
import tomllib

import pytest

from classify.errors import ClassifyError, RunError
from classify.training.run_folder import environment_here
from classify.training.runs import FACES, OLDER, Run, faces_of
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
