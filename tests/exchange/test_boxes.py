"""The boxes of a dataset or manifest, exported without a pixel."""

import shutil

import pandas as pd
import pytest

from ffpp_tools.errors import FfppError, TableError
from ffpp_tools.exchange.boxes import export_boxes
from ffpp_tools.splits.build import SplitSettings, make_manifest
from ffpp_tools.store.boxes import BoxTable
from ffpp_tools.store.schema import SPLITS
from ffpp_tools.store.tables import read_faces, read_frames, write_table


@pytest.fixture
def tables(dataset, tmp_path):
    """The tables and settings of a dataset, without its crops."""
    folder = tmp_path / "tables"
    folder.mkdir()
    for name in ("frames.parquet", "faces.parquet", "settings.json"):
        shutil.copy(dataset / name, folder)
    return folder


def rewrite(dataset, **values):
    frames = read_frames(dataset).assign(**values)
    write_table(dataset / "frames.parquet", frames)


def test_a_table_has_all_planned_frames_and_crops_of_a_datasets_clips(tables, tmp_path):
    frames, faces = read_frames(tables), read_faces(tables)
    is_still = frames["compression"] == "still"
    made = export_boxes(tables, tmp_path / "out/boxes.parquet")
    rows = BoxTable.read(made.path).rows
    crops = rows[rows["face_id"] != ""]
    assert (made.crops, made.frames, made.stills) == (
        len(crops), (~is_still).sum(), is_still.sum()
    )  # fmt: skip
    of_clips = faces[faces["frame_id"].isin(frames.loc[~is_still, "frame_id"])]
    own = of_clips.set_index("face_id")
    shared = [c for c in crops.columns if c in own.columns]
    assert {"box_x", "crop_size", "clamped", "box_from", "score", "sha256"} < set(shared)
    pd.testing.assert_frame_equal(crops.set_index("face_id")[shared], own[shared], check_like=True)
    assert set(crops["video"].str.partition("/")[0]) == {
        "original_sequences", "manipulated_sequences"
    }  # fmt: skip


def test_the_table_of_a_manifest_has_exactly_its_crops(videos_manifest, tmp_path):
    made = export_boxes(videos_manifest.folder, tmp_path)
    rows = BoxTable.read(tmp_path / "boxes.parquet").rows
    samples = pd.concat([videos_manifest.samples(split) for split in SPLITS])
    assert sorted(rows["face_id"]) == sorted(samples["face_id"])
    assert made.crops == made.frames == len(samples)


def test_a_manifest_whose_crops_have_changed_is_refused(dataset, tmp_path):
    copy = shutil.copytree(dataset, tmp_path / "dataset")
    settings = SplitSettings("videos", ratios=(50, 25, 25))
    manifest = make_manifest(copy, tmp_path / "m", settings)
    faces = read_faces(copy)
    write_table(copy / "faces.parquet", faces.assign(sha256="0" * 64))
    with pytest.raises(TableError, match="have changed since"):
        export_boxes(manifest.folder, tmp_path / "b.parquet")


def test_paths_of_the_machine_are_left_out(tables, tmp_path):
    rewrite(tables, error="extracted without its mask: /home/me/masks/000.mp4: cannot be read")
    path = export_boxes(tables, tmp_path / "b.parquet").path
    assert set(BoxTable.read(path).rows["error"]) == {"extracted without its mask"}
    assert b"/home/me" not in path.read_bytes()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"source_sha256": ""}, "hashes of the videos are unknown.*--overwrite"),
        ({"compression": "still"}, "has no crops of videos"),
    ],
)
def test_a_dataset_that_cannot_be_shared_is_refused(tables, tmp_path, values, message):
    rewrite(tables, **values)
    with pytest.raises(TableError, match=message):
        export_boxes(tables, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_of_neither_kind_and_an_existing_output_are_refused(tables, tmp_path):
    with pytest.raises(TableError, match=r"neither a dataset folder .* nor a manifest"):
        export_boxes(tmp_path, tmp_path / "out")
    (tmp_path / "b.parquet").write_text("mine")
    for out in (tmp_path / "b.parquet", tables):
        with pytest.raises(FfppError, match="not empty: choose another --out"):
            export_boxes(tables, out)
    assert (tmp_path / "b.parquet").read_text() == "mine"
