"""Shards, read by tarfile and by the webdataset package."""

import json
import tarfile

import pytest

from ffpp_tools.errors import SettingsError
from ffpp_tools.exchange.crops import crop_tables
from ffpp_tools.exchange.export import export_manifest
from ffpp_tools.exchange.webdataset import shard_names, written
from ffpp_tools.store.schema import SPLITS
from tests.helpers.files import hashes

SIZE = 20


@pytest.fixture(scope="module")
def folder(videos_manifest, tmp_path_factory):
    out = tmp_path_factory.mktemp("made") / "e"
    return export_manifest(videos_manifest, "webdataset", out, {"shard_size": SIZE}).folder


def samples_in(path):
    """The samples of a shard: (name, suffix of the image, image, class index, row)."""
    with tarfile.open(path) as tar:
        members = tar.getmembers()
        contents = [tar.extractfile(member).read() for member in members]
    for i in range(0, len(members), 3):
        names = [member.name.partition(".") for member in members[i : i + 3]]
        assert len({name for name, _, _ in names}) == 1
        assert [suffix for _, _, suffix in names[1:]] == ["cls", "json"]
        image, index, row = contents[i : i + 3]
        yield names[0][0], names[0][2], image, int(index), json.loads(row)


@pytest.mark.parametrize("split", SPLITS)
def test_the_shards_of_a_split_contain_every_sample_once(folder, videos_manifest, split):
    shards = sorted(folder.glob(f"{split}-*.tar"))
    samples = [sample for path in shards for sample in samples_in(path)]
    by_id = videos_manifest.samples(split).set_index("face_id", drop=False)
    assert len(samples) == len(by_id)
    assert len({name for name, *_ in samples}) == len(by_id)
    for name, suffix, image, index, row in samples:
        expected = by_id.loc[row["face_id"]].to_dict()
        assert image == (videos_manifest.root / expected.pop("path")).read_bytes()
        assert row == expected
        assert index == row["class_index"]
        assert (name, suffix) == (row["face_id"].replace("/", "_"), "png")


def test_shards_have_the_requested_size_and_mix_classes(folder, videos_manifest):
    shards = sorted(folder.glob("train-*.tar"))
    assert [path.name for path in shards[:2]] == ["train-000000.tar", "train-000001.tar"]
    sizes = [len(list(samples_in(path))) for path in shards]
    assert set(sizes[:-1]) == {SIZE}
    assert sum(sizes) == len(videos_manifest.samples("train"))
    assert len({index for *_, index, _ in samples_in(shards[0])}) > 2


def test_the_bytes_depend_on_the_seed_and_on_nothing_else(folder, videos_manifest, tmp_path):
    options = {"shard_size": SIZE}
    again = export_manifest(videos_manifest, "webdataset", tmp_path / "again", options).folder
    assert hashes(again) == hashes(folder)
    other = export_manifest(
        videos_manifest, "webdataset", tmp_path / "other", options | {"seed": 1}
    ).folder
    first = "train-000000.tar"
    assert hashes(other)[first] != hashes(folder)[first]
    names = [
        sorted(n for p in f.glob("train-*") for n, *_ in samples_in(p)) for f in (other, folder)
    ]
    assert names[0] == names[1]


def test_headers_have_no_time_and_no_owner(folder):
    with tarfile.open(folder / "val-000000.tar") as tar:
        for member in tar:
            assert (member.mtime, member.uid, member.gid, member.uname) == (0, 0, 0, "")


def test_the_names_of_the_shards_are_known_before_they_are_written(folder, videos_manifest):
    names = written(crop_tables(videos_manifest), shard_size=SIZE, seed=3)
    assert sorted(names) == sorted(path.name for path in folder.glob("*.tar"))


def test_a_size_of_zero_is_refused(videos_manifest):
    with pytest.raises(SettingsError, match=r"shard_size \(0\) must be > 0"):
        shard_names(crop_tables(videos_manifest)[0], 0)


@pytest.mark.slow
def test_the_webdataset_package_reads_images_and_labels(folder, videos_manifest):
    webdataset = pytest.importorskip("webdataset")
    shards = [str(path) for path in sorted(folder.glob("train-*.tar"))]
    pipeline = webdataset.WebDataset(shards, shardshuffle=False).decode("pil")
    read = list(pipeline.to_tuple("png;jpg", "cls", "json"))
    by_id = videos_manifest.samples("train").set_index("face_id")
    assert len(read) == len(by_id)
    for image, index, row in read:
        assert index == by_id.loc[row["face_id"], "class_index"]
        assert image.mode == "RGB"


@pytest.mark.slow
def test_hugging_face_datasets_reads_the_shards(folder, videos_manifest, tmp_path):
    datasets = pytest.importorskip("datasets")
    read = datasets.load_dataset("webdataset", data_dir=str(folder), cache_dir=str(tmp_path))
    for split, name in zip(SPLITS, ("train", "validation", "test"), strict=True):
        by_id = videos_manifest.samples(split).set_index("face_id")
        assert sorted(row["face_id"] for row in read[name]["json"]) == sorted(by_id.index)
