"""The imagefolder layout, by its files and by the libraries that read it."""

import json

import pytest

from ffpp_tools.errors import SettingsError
from ffpp_tools.exchange import imagefolder
from ffpp_tools.exchange.crops import CropTable
from ffpp_tools.exchange.export import export_manifest
from ffpp_tools.splits.manifest import Manifest
from ffpp_tools.store.schema import SPLITS


@pytest.fixture(scope="module")
def folder(videos_manifest, tmp_path_factory):
    return export_manifest(
        videos_manifest, "imagefolder", tmp_path_factory.mktemp("made") / "e"
    ).folder


def rows_of(folder, split):
    return [json.loads(line) for line in (folder / split / "metadata.jsonl").open()]


@pytest.mark.parametrize("split", SPLITS)
def test_every_sample_is_an_image_in_its_class_with_a_row_of_metadata(
    folder, videos_manifest, split
):
    samples = videos_manifest.samples(split)
    rows = rows_of(folder, split)
    images = sorted(p.relative_to(folder / split).as_posix() for p in (folder / split).glob("*/*"))
    assert sorted(row["file_name"] for row in rows) == images
    assert len(rows) == len(samples)
    for row, sample in zip(rows, samples.to_dict("records"), strict=True):
        name, path = row.pop("file_name"), sample.pop("path")
        assert row == sample
        assert name.split("/")[0] == row["class"]
        original = videos_manifest.root / path
        assert (folder / split / name).read_bytes() == original.read_bytes()
        assert (folder / split / name).samefile(original)  # a hard link


def test_copies_share_no_file_with_the_dataset(videos_manifest, tmp_path):
    made = export_manifest(videos_manifest, "imagefolder", tmp_path / "e", {"copy": True})
    assert made.linked == 0
    first = next((tmp_path / "e/val").glob("*/*.png"))
    assert first.stat().st_nlink == 1


def test_without_hard_links_the_crops_are_copied(videos_manifest, tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError("another file system")

    monkeypatch.setattr("ffpp_tools.files.os.link", refuse)
    made = export_manifest(videos_manifest, "imagefolder", tmp_path / "e")
    assert made.linked == 0
    assert len(list((tmp_path / "e").glob("*/*/*.png"))) == sum(made.samples.values())


@pytest.mark.parametrize("name", ["", "..", "a/b", "a\0"])
def test_a_class_that_cannot_be_a_folder_is_refused(name, tmp_path):
    table = CropTable(Manifest(tmp_path, {"classes": {"fake": "fake", name: "real"}}), "train", [])
    with pytest.raises(SettingsError, match="cannot be the name of a folder"):
        imagefolder.write([table], tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_torchvision_reads_the_classes_of_the_manifest(folder, videos_manifest):
    datasets = pytest.importorskip("torchvision.datasets")
    for split in SPLITS:
        read = datasets.ImageFolder(folder / split)
        assert read.classes == list(videos_manifest.classes)
        rows = {str(folder / split / row["file_name"]): row for row in rows_of(folder, split)}
        assert len(read) == len(rows)
        assert all(index == rows[path]["class_index"] for path, index in read.samples)


@pytest.mark.slow
def test_hugging_face_datasets_reads_the_labels_of_the_manifest(folder, videos_manifest, tmp_path):
    datasets = pytest.importorskip("datasets")
    np = pytest.importorskip("numpy")
    image = pytest.importorskip("PIL.Image")
    read = datasets.load_dataset("imagefolder", data_dir=str(folder), cache_dir=str(tmp_path))
    for split, name in zip(SPLITS, ("train", "validation", "test"), strict=True):
        samples = videos_manifest.samples(split)
        table = read[name]
        assert set(table.column_names) == {"image", *samples.columns} - {"path"}
        by_id = samples.set_index("face_id")
        assert sorted(table["face_id"]) == sorted(by_id.index)
        for column in ("label", "class", "class_index", "frame", "pair"):
            assert list(table[column]) == by_id.loc[list(table["face_id"]), column].tolist()
        path = videos_manifest.root / by_id.loc[table[0]["face_id"], "path"]
        assert np.array_equal(np.asarray(table[0]["image"]), np.asarray(image.open(path)))
