"""Pairs of a fake's crop and its original's."""

from dataclasses import replace

import cv2
import numpy as np
import pandas as pd
import pytest

from benchmarks.paper_tables import face_rows, frame_rows
from ffpp_tools.extraction.settings import ClipSettings
from ffpp_tools.extraction.settings_guard import record_settings
from ffpp_tools.faces.crop import CropSettings
from ffpp_tools.grouping.dataset import Dataset
from ffpp_tools.splits.build import SplitSettings, make_manifest
from ffpp_tools.splits.pairs import (
    pair_counts,
    pair_names,
    paired_originals,
    shared_by_pairs,
    spread_methods,
)
from ffpp_tools.store.schema import SPLITS
from ffpp_tools.store.tables import read_faces, read_frames
from tests.helpers.tables import constructed

CLIPS = [  # category, clip, target, compression, frame
    ("Youtube", "000", "000", "c40", 0),
    ("Youtube", "000", "000", "c40", 10),
    ("Youtube", "000", "000", "c23", 0),
    ("FaceSwap", "000_001", "000", "c40", 0),
    ("Deepfakes", "000_001", "000", "c40", 0),
    ("Deepfakes", "000_001", "000", "c40", 20),
    ("Actors", "01__scene", "01", "c40", 0),
    ("DeepFakeDetection", "01_02__scene__ABC", "01", "c40", 0),
    ("Celeb-real", "id0_0002", "id0", "native", 0),
    ("Celeb-synthesis", "id0_id1_0002", "id0", "native", 0),
    ("DFDC-real", "abc", "abc", "native", 0),
    ("DFDC-fake", "xyz", "abc", "native", 0),
    ("CelebA", "000001", "", "still", 0),
]
REAL = ("Youtube", "Actors", "Celeb-real", "DFDC-real", "CelebA")


def written(folder, change=None):
    """The tables of `CLIPS`, fakes with their originals' boxes, after a change by `change`."""
    columns = ["category", "clip", "target_id", "compression", "frame"]
    table = pd.DataFrame(CLIPS, columns=columns).assign(source_id="", photo="")
    table["label"] = np.where(table["category"].isin(REAL), "real", "fake")
    frames = frame_rows(**table.to_dict("series"))
    faces = face_rows(frames)
    faces.loc[table["label"] == "fake", "box_from"] = "twin"
    if change:
        change(frames, faces)
    folder.mkdir(parents=True, exist_ok=True)
    frames.to_parquet(folder / "frames.parquet")
    faces.to_parquet(folder / "faces.parquet")
    return Dataset.read(folder)


def names(tables):
    """Crop → the name of its pair, of those that have one."""
    pairs = pair_names(paired_originals(tables), tables.faces)
    return {f: p for f, p in zip(tables.faces["face_id"], pairs, strict=True) if p}


def _record(folder, crop):
    """Record crop settings, as if the tables had been extracted with them."""
    made_of_tables = folder / "frames.parquet", folder / "faces.parquet"
    contents = [path.read_bytes() for path in made_of_tables]
    for path in made_of_tables:
        path.unlink()
    record_settings(folder, ClipSettings(crop=crop), None)
    for path, content in zip(made_of_tables, contents, strict=True):
        path.write_bytes(content)


def changed(column, value, rows, table=1):
    """A change of one column in the rows of `CLIPS`."""

    def change(*tables):
        tables[table].loc[rows, column] = value

    return change


def test_a_fake_and_its_original_are_a_pair_in_every_dataset(tmp_path):
    assert names(written(tmp_path)) == {
        "Youtube/c40/000/000000": "000/000000/c40",
        "FaceSwap/c40/000_001/000000": "000/000000/c40",
        "Deepfakes/c40/000_001/000000": "000/000000/c40",
        "Actors/c40/01__scene/000000": "01__scene/000000/c40",
        "DeepFakeDetection/c40/01_02__scene__ABC/000000": "01__scene/000000/c40",
        "Celeb-real/native/id0_0002/000000": "id0_0002/000000/native",
        "Celeb-synthesis/native/id0_id1_0002/000000": "id0_0002/000000/native",
        "DFDC-real/native/abc/000000": "abc/000000/native",
        "DFDC-fake/native/xyz/000000": "abc/000000/native",
    }


@pytest.mark.parametrize(
    ("column", "value", "table"),
    [
        ("box_from", "detected", 1),
        ("crop_x", 11, 1),
        ("crop_y", 9, 1),
        ("crop_size", 151, 1),
        ("box_w", 149, 1),
        ("width", 642, 0),  # the fake's frame is larger than the original's
        ("status", "unchanged_fake", 0),
        ("frame", 30, 0),
    ],
)
def test_a_fake_cropped_otherwise_has_no_pair(column, value, table, tmp_path):
    pairs = names(written(tmp_path, changed(column, value, [3], table)))
    assert "FaceSwap/c40/000_001/000000" not in pairs
    assert pairs["Youtube/c40/000/000000"] == "000/000000/c40"  # of Deepfakes
    neither = names(written(tmp_path, changed(column, value, [3, 4], table)))
    assert not any("/000" in f and p.startswith("000/") for f, p in neither.items())


def test_the_window_is_compared_after_the_shift_of_a_cut_frame(tmp_path):
    def cut(frames, faces):
        frames.loc[3, ["width", "height"]] = (618, 476)  # 11 left, 2 above
        faces.loc[[0, 4], ["crop_x", "box_x"]] = 21
        faces.loc[3, ["crop_y", "box_y"]] = 8

    assert "FaceSwap/c40/000_001/000000" in names(written(tmp_path, cut))
    one_off = names(written(tmp_path, lambda *a: (cut(*a), changed("crop_x", 11, [3])(*a))))
    assert "FaceSwap/c40/000_001/000000" not in one_off


def test_two_people_of_a_frame_are_two_pairs(tmp_path):
    def all_faces(_, faces):
        for row in (0, 3):
            other = faces.loc[[row]].assign(track=1, crop_x=300, box_x=300)
            other["face_id"] = other["frame_id"] + "/1"
            faces.loc[row, "face_id"] += "/0"
            faces.loc[len(faces) + row] = other.iloc[0]
        faces["path"] = "faces/" + faces["face_id"] + ".png"

    pairs = names(written(tmp_path, all_faces))
    assert pairs["Youtube/c40/000/000000/0"] == "000/000000/c40/0"
    assert pairs["FaceSwap/c40/000_001/000000/0"] == "000/000000/c40/0"
    assert pairs["Youtube/c40/000/000000/1"] == "000/000000/c40/1"
    assert pairs["FaceSwap/c40/000_001/000000/1"] == "000/000000/c40/1"


def test_aligned_crops_have_no_pairs(tmp_path):
    written(tmp_path)
    _record(tmp_path, CropSettings(align=True))
    assert names(Dataset.read(tmp_path)) == {}


def test_box_shaped_crops_are_pairs_only_in_frames_of_one_size(tmp_path):
    def cut(frames, faces):
        frames.loc[3, "width"] = 620
        faces.loc[[0, 4], ["crop_x", "box_x"]] = 20

    written(tmp_path, cut)
    assert "FaceSwap/c40/000_001/000000" in names(Dataset.read(tmp_path))
    _record(tmp_path, CropSettings(shape="box"))
    pairs = names(Dataset.read(tmp_path))
    assert "FaceSwap/c40/000_001/000000" not in pairs
    assert "DFDC-fake/native/xyz/000000" in pairs


def test_members_of_a_pair_share_a_random_number():
    shared = shared_by_pairs(np.array([0.1, 0.2, 0.3, 0.4]), np.array([7, -1, 7, -1]))
    assert shared.tolist() == [0.1, 0.2, 0.1, 0.4]


def test_a_fake_counts_as_paired_if_its_original_is_in_the_same_split():
    rows = pd.DataFrame(
        {"label": ["real", "fake", "fake", "fake"], "face": [5, 6, 7, 8], "original": [5, 5, 9, -1]}
    )
    assert pair_counts({"train": rows}) == {"train": {"fakes": 3, "paired": 1}}


def all_paired(folder):
    """A dataset in which every fake has its original's box, 12 frames of each clip."""
    constructed(folder, lambda *_: 12)
    faces, frames = read_faces(folder), read_frames(folder)
    faces["box_from"] = np.where(frames["label"] == "fake", "twin", "detected")
    faces.to_parquet(folder / "faces.parquet")
    return folder


def test_frames_of_an_original_and_its_fakes_are_selected_together(tmp_path):
    data = all_paired(tmp_path / "data")
    settings = SplitSettings(mode="videos", per_class=120, compression=("c40",))
    made = make_manifest(data, tmp_path / "m", settings)
    counts = made.info["pairs"]
    for split in SPLITS:
        rows = made.samples(split)
        assert counts[split]["fakes"] == (rows["label"] == "fake").sum()
        assert counts[split]["paired"] >= 0.9 * counts[split]["fakes"]
        reals = set(rows["pair"][rows["label"] == "real"])
        paired = rows["pair"][rows["label"] == "fake"].isin(reals).sum()
        assert paired == counts[split]["paired"]


def test_members_of_a_pair_show_the_same_pixels_outside_the_face(dataset, tmp_path):
    """On drawn data, whose videos are compressed: the corners of the crops agree closely."""
    made = make_manifest(dataset, tmp_path / "m", SplitSettings(mode="videos", ratios=(50, 25, 25)))
    rows = made.samples("train")
    pairs = rows[rows["pair"] != ""]
    reals = pairs[pairs["label"] == "real"].set_index("pair")["path"]
    fakes = pairs[(pairs["label"] == "fake") & pairs["pair"].isin(reals.index)]
    assert len(fakes) > 20
    for fake in fakes.iloc[:20].itertuples():
        one, other = (
            cv2.imread(str(made.root / path)).astype(int) for path in (fake.path, reals[fake.pair])
        )
        assert one.shape == other.shape
        side = len(one) // 8
        assert np.abs(one[:side, :side] - other[:side, :side]).mean() < 4


def originals_and_fakes(methods, frames):
    """A clip and its fakes, all paired, and the draw of each frame."""
    draw = np.random.default_rng(0).random(frames)
    rows = [("Youtube", "real", "000", i) for i in range(frames)]
    rows += [(method, "fake", "000_001", i) for method in methods for i in range(frames)]
    samples = pd.DataFrame(rows, columns=["category", "label", "clip", "original"])
    samples["face"] = range(len(samples))
    samples["class"], samples["compression"] = samples["label"], "c40"
    return samples.assign(draw=draw[samples["original"]]), draw


@pytest.mark.parametrize(("reals", "frames_per_method"), [(1, 1), (2, 2), (4, 4)])
def test_methods_of_a_class_are_selected_at_different_frames(reals, frames_per_method):
    methods = ["Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures"]
    samples, draw = originals_and_fakes(methods, 8)
    classes = {"fake": methods, "real": ["Youtube", "CelebA", "CelebA-HQ", "Actors"][:reals]}
    samples["draw"] = spread_methods(samples, classes)
    first_frames = set(np.argsort(draw)[:4])  # the first round of an original's frames
    of_method = [
        set(rows.nsmallest(frames_per_method, "draw")["original"])
        for _, rows in samples[samples["label"] == "fake"].groupby("category")
    ]
    assert all(frames <= first_frames for frames in of_method)
    times = [sum(frame in frames for frames in of_method) for frame in first_frames]
    assert times == [frames_per_method] * 4


def test_fakes_without_a_pair_are_not_selected_first():
    methods = ["Deepfakes", "Face2Face"]
    samples, _ = originals_and_fakes(methods, 40)
    alone = samples.index[-10:]
    samples.loc[alone, "original"] = -1
    samples["draw"] = spread_methods(samples, {"fake": methods, "real": ["Youtube"]})
    chosen = samples[samples["category"] == "Face2Face"].nsmallest(20, "draw")
    assert (chosen["original"] < 0).sum() == pytest.approx(5, abs=2)


@pytest.mark.parametrize("left_out", ["Deepfakes", "NeuralTextures"])
def test_a_method_that_is_left_out_takes_no_turn_of_the_others(left_out):
    """Of 12 selected originals, each has the fake of one method; four per method are selected."""
    methods = ["Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures"]
    samples, draw = originals_and_fakes(methods, 24)
    classes = {"fake": methods, "real": ["Youtube"]}
    samples["draw"] = spread_methods(samples, classes, left_out)
    selected = set(np.argsort(draw)[:12])
    fakes = samples[(samples["label"] == "fake") & (samples["category"] != left_out)]
    first = fakes.sort_values("draw").groupby("category").head(4)
    assert set(first["original"]) == selected
    alone = samples[samples["category"] == left_out].nsmallest(12, "draw")
    assert set(alone["original"]) == selected


def test_with_a_method_left_out_as_many_originals_have_a_fake_in_training(tmp_path):
    data = all_paired(tmp_path / "data")
    settings = SplitSettings(mode="binary", per_class=90, compression=("c40",))
    originals = {}
    for left_out in (None, "Deepfakes"):
        asked = replace(settings, leave_out=left_out)
        rows = make_manifest(data, tmp_path / f"without-{left_out}", asked).samples("train")
        fakes = set(rows["pair"][rows["label"] == "fake"])
        originals[left_out] = rows["pair"][rows["category"] == "Youtube"].isin(fakes).sum()
        if left_out:  # three methods and a third of the reals: a fake of each at every original
            assert fakes == set(rows["pair"][rows["category"] == "Youtube"])
    assert originals["Deepfakes"] == originals[None] == 24
