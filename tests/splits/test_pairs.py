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


def all_paired(folder, stills=60):
    """A dataset in which every fake has its original's box, 12 frames of each clip."""
    constructed(folder, lambda *_: 12, stills=stills)
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


METHODS = ["Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures"]


def originals_and_fakes(methods, frames, selected):
    """A clip's selected originals, and its fakes at all frames, which are all paired."""
    draw = np.random.default_rng(0).random(frames)
    common = {"compression": "c40", "draw": draw, "original": range(frames)}
    fakes = [pd.DataFrame({**common, "category": m, "clip": "000_001"}) for m in methods]
    originals = pd.DataFrame({**common, "face": range(frames), "clip": "000"})
    originals = originals.assign(category="Youtube").nsmallest(selected, "draw")
    return pd.concat(fakes, ignore_index=True), originals


def chosen(fakes, originals, per_method):
    """The frames of each method that are selected first."""
    draw = spread_methods(fakes, originals, per_method * fakes["category"].nunique())
    drawn = fakes.assign(draw=draw).sort_values("draw").groupby("category").head(per_method)
    return drawn.groupby("category")["original"].agg(set)


@pytest.mark.parametrize(
    ("per_method", "times"),
    [(1, [1] * 4 + [0] * 8), (3, [1] * 12), (6, [2] * 12), (9, [3] * 12), (12, [4] * 12)],
)
def test_methods_of_a_class_are_selected_at_different_frames(per_method, times):
    """12 originals are selected: as often as possible, each has fakes of equally many methods."""
    fakes, originals = originals_and_fakes(METHODS, 24, 12)
    counts = chosen(fakes, originals, per_method).explode().value_counts()
    assert sorted(counts.reindex(originals["face"], fill_value=0), reverse=True) == times


@pytest.mark.parametrize("per_method", [4, 5, 7, 8])
def test_every_selected_original_has_a_fake_if_there_are_as_many_fakes(per_method):
    """Even if the number of fakes is not a multiple of the number of selected originals."""
    fakes, originals = originals_and_fakes(METHODS, 40, 13)
    counts = chosen(fakes, originals, per_method).explode().value_counts()
    covered = set(counts.index) & set(originals["face"])
    assert set(counts.index) <= set(originals["face"])
    assert len(covered) >= min(13, 4 * per_method) - 1  # 13 places are not divisible by 4


def test_a_frame_that_a_method_lacks_is_taken_by_another():
    """As in FF++, where the fakes of some methods are shorter than the original."""
    fakes, originals = originals_and_fakes(METHODS, 40, 20)
    lacking = (fakes["category"] == "Face2Face") & (fakes["original"] >= 18)
    counts = chosen(fakes[~lacking], originals, 5).explode().value_counts()
    assert counts.reindex(originals["face"]).notna().mean() >= 0.95


def test_fakes_are_selected_at_the_frames_of_selected_originals_first():
    """Also if those are not the first ones by their random number, as with several compressions."""
    fakes, originals = originals_and_fakes(METHODS[:1], 24, 24)
    originals = originals.iloc[::2]
    assert chosen(fakes, originals, 12)["Deepfakes"] == set(originals["face"])
    assert chosen(fakes, originals, 14)["Deepfakes"] > set(originals["face"])


def test_fakes_without_a_pair_are_neither_selected_first_nor_last():
    fakes, originals = originals_and_fakes(["Deepfakes", "Face2Face"], 40, 20)
    alone = fakes.index[-10:]
    fakes.loc[alone, "original"] = -1
    fakes.loc[alone, "draw"] = np.random.default_rng(1).random(10)
    draw = spread_methods(fakes, originals, 40)
    drawn = fakes.assign(draw=draw)[fakes["category"] == "Face2Face"].nsmallest(20, "draw")
    assert (drawn["original"] < 0).sum() == pytest.approx(5, abs=2)


def test_without_a_selected_original_the_order_is_random():
    fakes, originals = originals_and_fakes(METHODS, 8, 8)
    assert spread_methods(fakes, originals.iloc[:0], 8).equals(fakes["draw"])


@pytest.mark.parametrize("rule", ["grouped", "random"])
@pytest.mark.parametrize("stills", [12, 60, 200])
def test_in_two_classes_every_original_has_a_fake(tmp_path, rule, stills):
    """There are as many fakes as reals, whatever share of the reals are stills.

    Every clip has as many fakes of a method as the others, or one more; therefore some originals
    may be without a fake.
    """
    data = all_paired(tmp_path / "data", stills)
    recipe = tmp_path / "binary.toml"
    recipe.write_text(f'rule = "{rule}"\nmode = "binary"\nratios = [60, 20, 20]\n')
    settings = SplitSettings(recipe=str(recipe), per_class=240, compression=("c40",))
    made = make_manifest(data, tmp_path / "m", settings)
    rows = pd.concat([made.samples(split) for split in SPLITS])
    assert len(rows) == 480
    originals = rows["pair"][rows["category"] == "Youtube"]
    fakes = rows["pair"][rows["label"] == "fake"]
    assert originals.isin(fakes).mean() > 0.95
    assert fakes.isin(originals).mean() > 0.95


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
