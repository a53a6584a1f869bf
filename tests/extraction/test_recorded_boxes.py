"""Extraction from a table of boxes: the same dataset without a detector, on the same videos."""

import shutil
from collections import Counter
from dataclasses import replace

import pytest

from ffpp_tools.errors import DataNotFoundError, FormatError, SettingsError, TableError
from ffpp_tools.exchange.boxes import export_boxes
from ffpp_tools.extraction import settings_file
from ffpp_tools.extraction.pipeline import extract_boxes, extract_clips
from ffpp_tools.extraction.recorded_boxes import read_recorded_boxes
from ffpp_tools.extraction.settings import ClipSettings
from ffpp_tools.extraction.workers import Workers
from ffpp_tools.faces import detect, select
from ffpp_tools.faces.crop import CropSettings
from ffpp_tools.faces.detect import FindSettings
from ffpp_tools.sources.faceforensics import find_clips
from ffpp_tools.store.boxes import BoxTable
from ffpp_tools.store.tables import read_frames
from ffpp_tools.video.sampling import FramePlan
from tests.helpers.boxes import changed, with_rows
from tests.helpers.files import hashes
from tests.helpers.videos import gradient, shortened_with_index_first, write
from tests.helpers.worlds import SETTINGS

VIDEOS = "original_sequences/youtube/c23/videos"


@pytest.fixture(scope="module")
def root(ffpp, tmp_path_factory):
    """A fake and its original, and clips that are empty of faces, cut off and unreadable."""
    root = tmp_path_factory.mktemp("copy") / "FaceForensics++"
    fake = find_clips(ffpp, ["Deepfakes"], limit=1)[0]
    own = ffpp / VIDEOS / f"{fake.target_id}.mp4"
    for path in (fake.path, own, ffpp / "splits/test.json"):
        copy = root / path.relative_to(ffpp)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    folder = root / VIDEOS
    write(folder / "900.mp4", [gradient(i, 128, 96) for i in range(25)])
    other = next(c.path for c in find_clips(ffpp, ["Youtube"]) if c.path != own)
    (folder / "901.mp4").write_bytes(
        shortened_with_index_first(other, tmp_path_factory.mktemp("cut"))
    )
    (folder / "902.mp4").write_bytes(b"no video")
    return root


@pytest.fixture(scope="module")
def dataset(root, tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "dataset"
    extract_clips(root, find_clips(root), folder, SETTINGS)
    return folder


@pytest.fixture(scope="module")
def boxes(dataset):
    return export_boxes(dataset, dataset.parent / "boxes.parquet").path


def rebuilt(boxes, root, folder, **options):
    return extract_boxes(root, read_recorded_boxes(boxes, root), folder, **options)


def fail(*arguments):
    raise AssertionError("a face was searched or selected")


@pytest.mark.parametrize("workers", [1, 2])
def test_all_files_of_the_dataset_are_rebuilt_without_a_detector(
    boxes, dataset, root, tmp_path, monkeypatch, workers
):
    for module, name in ((detect, "load"), (select, "largest_face")):
        monkeypatch.setattr(module, name, fail)
    made = rebuilt(boxes, root, tmp_path / "d", workers=Workers(workers))
    assert hashes(tmp_path / "d") == hashes(dataset)
    assert {"ok", "no_face", "truncated", "unreadable"} <= set(made.frames["status"])
    assert (made.comparison.equal, made.comparison.differing) == (len(made.faces), 0)
    assert (made.comparison.missing, made.comparison.failed) == (0, {})


@pytest.mark.parametrize(
    "settings",
    [
        ClipSettings(FramePlan(None, 3), CropSettings(format="jpg", size="40x30"), faces="all"),
        ClipSettings(FramePlan(10), CropSettings(align=True), faces="tracked", smooth=3),
        ClipSettings(
            FramePlan(12), CropSettings(1.0, "box", 30), FindSettings(search="full"), twins=False
        ),
    ],
    ids=["all", "aligned", "boxes"],
)
def test_the_settings_are_those_of_the_table(settings, root, tmp_path):
    extract_clips(root, find_clips(root), tmp_path / "a", settings)
    rebuilt(export_boxes(tmp_path / "a", tmp_path / "b").path, root, tmp_path / "c")
    assert hashes(tmp_path / "c") == hashes(tmp_path / "a")


def test_unchanged_fakes_and_later_rules_are_rebuilt(root, tmp_path, monkeypatch):
    """A fake that is a copy of its original is unchanged; its crops are kept."""
    copy = shutil.copytree(root, tmp_path / "FaceForensics++")
    (fake,) = find_clips(copy, ["Deepfakes"])
    shutil.copy(copy / VIDEOS / f"{fake.target_id}.mp4", fake.path)
    settings = replace(SETTINGS, keep_unchanged=True)
    made = extract_clips(copy, [fake], tmp_path / "a", settings)
    assert set(made.frames["status"]) == {"unchanged_fake"}
    path = export_boxes(tmp_path / "a", tmp_path / "b").path
    monkeypatch.setattr("ffpp_tools.extraction.settings_guard.CLIPS_VERSION", 3)
    monkeypatch.setattr(settings_file, "CLIPS_VERSION", 3)
    rebuilt(path, copy, tmp_path / "c")  # by a release with other rules of detection
    assert hashes(tmp_path / "c") == hashes(tmp_path / "a")


def test_missing_and_other_videos_get_rows_and_the_rest_is_extracted(
    boxes, dataset, root, tmp_path
):
    copy = shutil.copytree(root, tmp_path / "FaceForensics++")
    (fake,), own = find_clips(copy, ["Deepfakes"]), find_clips(copy, ["Youtube"])[0]
    original = own.path.read_bytes()
    own.path.unlink()
    write(fake.path, [gradient(i, 128, 96) for i in range(50)])  # an upload of the same name
    made = rebuilt(boxes, copy, tmp_path / "d")
    assert made.comparison.failed.keys() == {
        f"{clip.category}/{clip.compression}/{clip.name}" for clip in (fake, own)
    }
    reasons = list(made.comparison.failed.values())
    assert reasons[0].startswith(f"{fake.path}: not the video that the boxes were found in")
    assert reasons[1] == f"{own.path}: the video is missing"
    lost = made.frames[made.frames["error"].isin(reasons)]
    assert set(lost["status"]) == {"unreadable"}
    expected = read_frames(dataset)
    assert list(made.frames["frame_id"]) == list(expected["frame_id"])
    assert made.comparison.missing == (expected["status"] == "ok").sum() - made.comparison.equal
    assert made.comparison.equal > 0
    own.path.write_bytes(original)
    shutil.copy(root / fake.path.relative_to(copy), fake.path)
    again = rebuilt(boxes, copy, tmp_path / "d", retry=True)
    assert again.comparison.failed == {}
    expected = hashes(dataset)
    assert {n: h for n, h in hashes(tmp_path / "d").items() if n.startswith("faces")} == {
        n: h for n, h in expected.items() if n.startswith("faces")
    }


def test_crops_with_other_bytes_are_counted_and_kept(boxes, root, tmp_path):
    path = changed(boxes, tmp_path / "b.parquet", "sha256", "0" * 64)
    made = rebuilt(path, root, tmp_path / "d")
    assert (made.comparison.equal, made.comparison.differing) == (len(made.faces) - 1, 1)
    assert made.comparison.failed == {}
    assert (made.faces["sha256"] != "0" * 64).all()


def test_a_folder_with_crops_of_other_boxes_is_reported(boxes, root, tmp_path):
    table = BoxTable.read(boxes)
    few = table.rows[(table.rows["frame"] == 0) | (table.rows["clip"] != "000")]
    assert 0 < len(few) < len(table.rows)
    rebuilt(with_rows(table, tmp_path / "few.parquet", few), root, tmp_path / "d")
    found = rebuilt(boxes, root, tmp_path / "d").comparison
    assert found.missing == len(table.rows) - len(few)
    assert set(found.failed.values()) == {
        "extracted before with other boxes: use another --out, or start over with --overwrite"
    }
    whole = rebuilt(boxes, root, tmp_path / "d", overwrite=True).comparison
    assert (whole.missing, whole.failed) == (0, {})


@pytest.mark.parametrize(
    ("options", "clips"),
    [
        ({"categories": ["Deepfakes"]}, {"Deepfakes": 1}),
        ({"limit": 1}, {"Deepfakes": 1, "Youtube": 1}),
        ({"compressions": ["c23"]}, {"Deepfakes": 1, "Youtube": 4}),
    ],
)
def test_a_selection_takes_fewer_clips(boxes, root, options, clips):
    found = read_recorded_boxes(boxes, root, **options)
    assert Counter(clip.category for clip in found.clips) == clips


def test_what_the_table_lacks_cannot_be_selected(boxes, root):
    with pytest.raises(SettingsError, match="no clips of category FaceSwap; it has Deepfakes, You"):
        read_recorded_boxes(boxes, root, ["FaceSwap"])


def test_a_copy_without_any_of_the_clips_is_refused(boxes, tmp_path):
    write_to = tmp_path / "FaceForensics++" / VIDEOS
    write_to.mkdir(parents=True)
    write(write_to / "999.mp4", [gradient(0)])
    with pytest.raises(DataNotFoundError, match=r"none of the 5 clips of .*\.parquet, such as"):
        read_recorded_boxes(boxes, tmp_path / "FaceForensics++")


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("category", "Portraits", "the category is unknown"),
        ("compression", "c99", "the compression is unknown"),
        ("face_id", "Youtube/c23/000/000005", "its face_id is that of another crop"),
        ("frame", 3, "its face_id is that of another crop"),
    ],
)
def test_rows_that_contradict_the_project_are_refused(
    boxes, root, tmp_path, column, value, message
):
    path = changed(boxes, tmp_path / "b.parquet", column, value)
    with pytest.raises(TableError, match=message):
        read_recorded_boxes(path, root)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"crop": {}}, TableError, "its settings are damaged"),
        ({"clips": {"plan": {"every": 0}}}, TableError, "its settings are damaged"),
        ({"clips": {"version": 3}}, FormatError, "version 3 of the extraction rules"),
        ({"crop": {"sharpen": 1}}, FormatError, "crop has sharpen, which this release"),
        ({"crop": {"min_face": 5000}}, TableError, "smaller than the minimum face of 5000"),
    ],
)
def test_damaged_and_newer_settings_are_refused(boxes, root, tmp_path, settings, error, message):
    table = BoxTable.read(boxes)
    sections = {k: {**v, **settings[k]} if k in settings else v for k, v in table.settings.items()
                if settings.get(k) != {}}  # fmt: skip
    BoxTable(tmp_path / "b.parquet", table.rows, sections).write()
    with pytest.raises(error, match=message):
        read_recorded_boxes(tmp_path / "b.parquet", root)
