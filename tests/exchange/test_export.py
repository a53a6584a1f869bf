"""Exports as a whole: complete or absent, refused where the data has changed."""

import json
import shutil

import pytest

from ffpp_tools.errors import CropError, FfppError, SettingsError
from ffpp_tools.exchange.export import ABOUT, FORMATS, NOTICE, export_manifest
from ffpp_tools.splits.build import SplitSettings, make_manifest
from ffpp_tools.store.incomplete import writing_folder
from tests.helpers.files import hashes

each_format = pytest.mark.parametrize("kind", FORMATS)
with_images = pytest.mark.parametrize("kind", [k for k, f in FORMATS.items() if f.has_images])


@pytest.fixture
def changed(dataset, tmp_path):
    """A manifest of a dataset in which one crop of test differs from its recorded hash."""
    copy = shutil.copytree(dataset, tmp_path / "dataset")
    manifest = make_manifest(copy, tmp_path / "m", SplitSettings("videos", ratios=(50, 25, 25)))
    path = copy / manifest.samples("test")["path"].iloc[-1]
    path.write_bytes(path.read_bytes() + b" ")
    return manifest, path


@with_images
def test_a_changed_crop_is_refused_and_nothing_is_left(kind, changed, tmp_path):
    manifest, path = changed
    with pytest.raises(CropError, match=f"{path.name}: differs from the crop"):
        export_manifest(manifest, kind, tmp_path / "e")
    assert not (tmp_path / "e").exists()


@with_images
@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_an_interrupted_export_leaves_nothing_and_can_be_repeated(
    kind, error, videos_manifest, tmp_path
):
    def interrupting(text):
        def tracked(items, total):
            for number, item in enumerate(items):
                if text == "exporting val" and number == 3:
                    raise error
                yield item

        return tracked

    with pytest.raises((KeyboardInterrupt, OSError, FfppError)):
        export_manifest(videos_manifest, kind, tmp_path / "e", progress=interrupting)
    assert not (tmp_path / "e").exists()
    made = export_manifest(videos_manifest, kind, tmp_path / "e")
    assert made.samples["val"] == len(videos_manifest.samples("val"))


@with_images
def test_an_empty_folder_is_kept_if_the_export_fails(kind, changed, tmp_path):
    (tmp_path / "e").mkdir()
    with pytest.raises(CropError):
        export_manifest(changed[0], kind, tmp_path / "e")
    assert not list((tmp_path / "e").iterdir())


@each_format
def test_the_output_of_a_killed_export_is_replaced(kind, videos_manifest, tmp_path):
    folder = tmp_path / "e"
    names = ["train", "train-000009.tar", "croissant.json"]
    with pytest.raises(RuntimeError), writing_folder(folder, "ffpp-export", names):
        (folder / "train").mkdir()
        (folder / "train/old.png").touch()
        (folder / "train-000009.tar").touch()
        (folder / "croissant.json").touch()
        raise RuntimeError  # as a killed process, it deletes nothing
    export_manifest(videos_manifest, kind, folder)
    assert hashes(folder) == hashes(export_manifest(videos_manifest, kind, tmp_path / "f").folder)


@each_format
def test_a_folder_with_other_files_is_refused(kind, videos_manifest, tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(FfppError, match="is not empty: choose another --out"):
        export_manifest(videos_manifest, kind, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@with_images
def test_the_manifest_is_described_and_the_terms_of_the_images_are_named(
    kind, videos_manifest, tmp_path
):
    folder = export_manifest(videos_manifest, kind, tmp_path / "e").folder
    about = json.loads((folder / ABOUT).read_text())
    assert about["format"] == kind
    assert list(about["classes"].items()) == [(n, i) for i, n in enumerate(videos_manifest.classes)]
    assert about["samples"] == {
        s: len(videos_manifest.samples(s)) for s in ("train", "val", "test")
    }
    assert about["manifest_sha256"] == videos_manifest.sha256
    notice = (folder / NOTICE).read_text()
    assert "Deepfakes, Face2Face, FaceSwap, NeuralTextures, Youtube" in notice
    assert "FaceForensics Terms of Use" in notice


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("coco", {}, "format ('coco') must be one of imagefolder, webdataset, croissant"),
        ("imagefolder", {"shard_size": 9}, "--shard-size is an option of the format webdataset"),
        ("webdataset", {"copy": True}, "--copy is an option of the format imagefolder"),
        ("webdataset", {"shard_size": 0}, "shard_size (0) must be > 0"),
        ("webdataset", {"creator": "me"}, "--creator is an option of the format croissant"),
    ],
)
def test_unknown_formats_and_options_of_others_are_refused(
    kind, options, message, videos_manifest, tmp_path
):
    with pytest.raises(SettingsError) as caught:
        export_manifest(videos_manifest, kind, tmp_path / "e", options)
    assert message in str(caught.value)
    assert not (tmp_path / "e").exists()
