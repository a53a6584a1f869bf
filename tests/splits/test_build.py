import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ffpp_tools.errors import SettingsError, SplitError, TableError
from ffpp_tools.splits.build import SplitSettings, make_manifest
from ffpp_tools.splits.group_assignment import _give_each_one, _give_the_rest, assign_groups
from ffpp_tools.splits.manifest import Manifest
from ffpp_tools.store.schema import SPLITS
from ffpp_tools.store.tables import read_faces, read_frames
from tests.helpers.files import hashes

VIDEOS = ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures", "Youtube")
SEVEN = ("CelebA", "CelebA-HQ", *VIDEOS)


def all_samples(manifest):
    return pd.concat([manifest.samples(s).assign(split=s) for s in SPLITS])


@pytest.fixture(scope="module", params=["multiclass", "videos", "binary"])
def manifest(request, dataset, tmp_path_factory):
    return make_manifest(dataset, tmp_path_factory.mktemp("m"), SplitSettings(mode=request.param))


def test_classes_are_equal_in_every_split_and_none_is_empty(manifest):
    for split in SPLITS:
        counts = manifest.samples(split)["class"].value_counts()
        assert set(counts.index) == set(manifest.classes)
        assert counts.min() == counts.max()
        assert counts.to_dict() == manifest.info["counts"][split]


def test_no_person_is_on_two_sides(manifest):
    samples = all_samples(manifest)
    videos = samples[samples["compression"] != "still"]
    people = pd.concat([videos["target_id"], videos["source_id"]]).rename("person")
    sides = pd.concat([people, pd.concat([videos["split"]] * 2)], axis=1)
    sides = sides[sides["person"] != ""]
    assert sides.groupby("person")["split"].nunique().max() == 1
    stills = samples[samples["compression"] == "still"]
    if len(stills):
        assert stills.groupby("clip")["split"].nunique().max() == 1  # CelebA and CelebA-HQ alike
        known = stills[stills["target_id"] != ""]
        assert known.groupby("target_id")["split"].nunique().max() == 1
    assert samples.groupby("group")["split"].nunique().max() == 1
    assert not manifest.info["audit"]["leaks"]
    assert manifest.info["audit"]["groups_on_several_sides"] == 0
    assert manifest.info["summary"].startswith(
        "Split: grouped. No identity group is known to be in two splits"
    )


def test_classes_are_indexed_alphabetically(manifest):
    expected = {"multiclass": SEVEN, "videos": VIDEOS, "binary": ("fake", "real")}
    assert tuple(manifest.classes) == expected[manifest.info["mode"]]
    samples = all_samples(manifest)
    index = samples.groupby("class")["class_index"].unique().explode().to_dict()
    assert index == {name: i for i, name in enumerate(manifest.classes)}


def test_labels_follow_the_category(manifest):
    samples = all_samples(manifest)
    assert set(samples.loc[samples["label"] == "real", "category"]) <= {
        "CelebA",
        "CelebA-HQ",
        "Youtube",
    }
    assert set(samples.loc[samples["label"] == "fake", "category"]) == set(VIDEOS[:4])
    assert (manifest.classes.items()) >= set(zip(samples["class"], samples["label"], strict=True))


def test_paths_lead_to_the_crops(manifest):
    assert all((manifest.root / p).is_file() for p in all_samples(manifest)["path"])


def test_binary_takes_each_class_evenly_from_its_categories(dataset, tmp_path):
    settings = SplitSettings(mode="binary", ratios=(60, 20, 20), per_class=30)
    manifest = make_manifest(dataset, tmp_path, settings)
    drawn = manifest.samples("train")["category"].value_counts().to_dict()
    reals = {c: drawn[c] for c in ("CelebA", "CelebA-HQ", "Youtube")}
    fakes = {c: drawn[c] for c in VIDEOS[:4]}
    assert reals == {"CelebA": 6, "CelebA-HQ": 6, "Youtube": 6}
    assert sorted(fakes.values()) == [4, 4, 5, 5]


def test_samples_are_spread_over_the_clips(dataset, tmp_path):
    manifest = make_manifest(dataset, tmp_path, SplitSettings(mode="videos", per_class=12))
    clips = manifest.samples("train").groupby(["category", "clip"]).size()
    per_category = clips.groupby("category")
    assert (per_category.max() - per_category.min()).max() <= 1


def test_the_same_seed_gives_the_same_bytes_and_another_seed_other_people(dataset, tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1), ("d", 2)):
        make_manifest(dataset, tmp_path / name, SplitSettings(mode="videos", seed=seed))
    assert hashes(tmp_path / "a") == hashes(tmp_path / "b")
    people = {
        name: frozenset(Manifest.read(tmp_path / name).samples("test")["group"]) for name in "acd"
    }
    assert len(set(people.values())) > 1


def test_row_order_of_the_tables_does_not_matter(dataset, tmp_path):
    shuffled = tmp_path / "dataset"
    shuffled.mkdir()
    for name, table in (("frames", read_frames(dataset)), ("faces", read_faces(dataset))):
        table.sample(frac=1, random_state=3).to_parquet(shuffled / f"{name}.parquet", index=False)
    for source, out in ((dataset, "a"), (shuffled, "b")):
        make_manifest(source, tmp_path / out, SplitSettings(mode="videos"))
    for split in SPLITS:
        files = [(tmp_path / out / f"{split}.csv").read_bytes() for out in "ab"]
        assert files[0] == files[1]


def test_per_class_is_met_to_the_unit(dataset, tmp_path):
    settings = SplitSettings(mode="videos", ratios=(50, 25, 25), per_class=12)
    manifest = make_manifest(dataset, tmp_path, settings)
    expected = {s: dict.fromkeys(VIDEOS, n) for s, n in zip(SPLITS, (6, 3, 3), strict=True)}
    assert manifest.info["counts"] == expected


def test_a_request_that_cannot_be_filled_says_what_is_there(dataset, tmp_path):
    with pytest.raises(SplitError, match=r"16800 of each class asked in train.*Deepfakes has \d+"):
        make_manifest(dataset, tmp_path / "m", SplitSettings(mode="videos", per_class=20000))
    assert not (tmp_path / "m").exists()


def test_a_missing_category_is_named_with_the_remedy(dataset, tmp_path):
    only_videos = without(dataset, tmp_path, "CelebA-HQ")
    with pytest.raises(SplitError, match=r"no crop of CelebA-HQ.*ffpp-stills.*--mode videos\.$"):
        make_manifest(only_videos, tmp_path / "m", SplitSettings(mode="multiclass"))
    with pytest.raises(SplitError, match=r"no crop of FaceShifter.*for photographs\)\.$"):
        make_manifest(
            only_videos, tmp_path / "m", SplitSettings(mode="videos", include=("FaceShifter",))
        )


def test_two_pairs_of_people_are_too_few(dataset, tmp_path):
    frames = read_frames(dataset)
    youtube = frames["category"].isin(VIDEOS)
    pairs = frames[frames["category"] == "FaceSwap"]["clip"].unique()[:2]
    people = {person for pair in pairs for person in pair.split("_")}
    kept = frames[youtube & frames["target_id"].isin(people)]
    small = tmp_path / "small"
    small.mkdir()
    kept.to_parquet(small / "frames.parquet")
    read_faces(dataset).to_parquet(small / "faces.parquet")
    faces = read_faces(small)
    faces[faces["frame_id"].isin(kept["frame_id"])].to_parquet(small / "faces.parquet")
    with pytest.raises(SplitError, match=r"2 groups of people.*Extract more"):
        make_manifest(small, tmp_path / "m", SplitSettings(mode="videos"))


def test_further_categories_come_in_only_when_included(dataset, tmp_path):
    renamed = tmp_path / "renamed"
    renamed.mkdir()
    frames, faces = read_frames(dataset), read_faces(dataset)
    extra = frames[frames["category"] == "FaceSwap"].assign(category="FaceShifter")
    extra["frame_id"] = "x" + extra["frame_id"]
    extra_faces = faces[faces["face_id"].str.startswith("FaceSwap")].copy()
    extra_faces[["face_id", "frame_id"]] = "x" + extra_faces[["face_id", "frame_id"]]
    pd.concat([frames, extra]).to_parquet(renamed / "frames.parquet")
    pd.concat([faces, extra_faces]).to_parquet(renamed / "faces.parquet")
    for include, mode, expected in (
        ((), "videos", VIDEOS),
        (("FaceShifter",), "videos", tuple(sorted((*VIDEOS, "FaceShifter")))),
        (("FaceShifter",), "binary", ("fake", "real")),
    ):
        out = tmp_path / f"{mode}{len(include)}"
        manifest = make_manifest(renamed, out, SplitSettings(mode=mode, include=include))
        assert tuple(manifest.classes) == expected
        assert ("FaceShifter" in set(manifest.samples("train")["category"])) == bool(include)


def test_a_category_recorded_both_as_real_and_as_fake_is_refused(dataset, tmp_path):
    frames = read_frames(dataset)
    frames.loc[frames["clip"] == "000001", "label"] = "fake"
    frames.to_parquet(tmp_path / "frames.parquet")
    read_faces(dataset).to_parquet(tmp_path / "faces.parquet")
    with pytest.raises(SplitError, match="CelebA: recorded both"):
        make_manifest(tmp_path, tmp_path / "m", SplitSettings(mode="binary"))


def without(dataset, tmp_path, category):
    """A copy of the tables without one category."""
    folder = tmp_path / "partial"
    folder.mkdir()
    frames, faces = read_frames(dataset), read_faces(dataset)
    frames = frames[frames["category"] != category]
    frames.to_parquet(folder / "frames.parquet")
    faces[faces["frame_id"].isin(frames["frame_id"])].to_parquet(folder / "faces.parquet")
    return folder


@pytest.mark.parametrize(
    "change",
    [
        {"mode": "seven"},
        {"recipe": "magic"},
        {"ratios": (80, 20, 0)},
        {"per_class": 2},
        {"per_class": 10, "ratios": (1, 60, 60)},
    ],
)
def test_settings_that_make_no_sense_are_refused(dataset, tmp_path, change):
    settings = dataclasses.replace(SplitSettings(mode="videos"), **change)
    with pytest.raises(SettingsError):
        make_manifest(dataset, tmp_path / "m", settings)


def test_a_folder_that_is_no_manifest_is_left_alone(dataset, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(TableError, match="no manifest"):
        make_manifest(dataset, tmp_path, SplitSettings(mode="videos"))
    assert [p.name for p in tmp_path.iterdir()] == ["notes.txt"]


def test_the_manifest_records_how_it_was_made(videos_manifest):
    info = json.loads((videos_manifest.folder / "manifest.json").read_text())
    assert (info["mode"], info["recipe"], info["seed"]) == ("videos", "grouped", 0)
    assert info["settings"]["ratios"] == [0.5, 0.25, 0.25]
    assert info["groups"] == {
        "train": {"clips": 2, "stills": 0},
        "val": {"clips": 1, "stills": 0},
        "test": {"clips": 1, "stills": 0},
    }
    assert set(info["files"]) == {"train.csv", "val.csv", "test.csv"}
    assert set(info["tables"]) == {"frames.parquet", "faces.parquet"}


sizes = st.lists(st.integers(1, 60), min_size=3, max_size=40)


@settings(max_examples=60, deadline=None)
@given(videos=sizes, stills=sizes, seed=st.integers(0, 5))
def test_every_category_is_in_every_split_and_sizes_come_near_the_ratios(videos, stills, seed):
    rows = [(f"v{i}", c) for i, n in enumerate(videos) for _ in range(n) for c in ("A", "B")]
    rows += [(f"s{i}", "C") for i, n in enumerate(stills) for _ in range(n)]
    samples = pd.DataFrame(rows, columns=["group", "category"])
    ratios = (0.84, 0.04, 0.12)
    side = assign_groups(samples, dict(zip(SPLITS, ratios, strict=True)), seed)
    assert set(side) == set(samples["group"])
    counts = pd.crosstab(samples["category"], samples["group"].map(side))
    assert (counts[list(SPLITS)] > 0).all(axis=None)
    for category, groups in (("A", videos), ("C", stills)):
        wanted = np.array(ratios) * sum(groups)
        got = counts.loc[category, list(SPLITS)].to_numpy()
        assert np.abs(got - wanted).max() <= 2 * max(groups) + 1


SHARES = {"train": 0.84, "val": 0.04, "test": 0.12}


def test_groups_of_one_size_are_shared_out_to_the_unit():
    samples = pd.DataFrame({"group": [f"{i:03d}" for i in range(100)], "category": "A"})
    sides = pd.Series(assign_groups(samples, SHARES, 0))
    assert sides.value_counts().to_dict() == {"train": 84, "val": 4, "test": 12}


@pytest.mark.parametrize("seed", range(5))
def test_a_group_that_is_too_large_for_a_part_goes_to_the_one_that_wants_most(seed):
    sizes = {"a": 50, "b": 50, "c": 1, "d": 1}
    rows = [(name, "A") for name, n in sizes.items() for _ in range(n)]
    side = assign_groups(pd.DataFrame(rows, columns=["group", "category"]), SHARES, seed)
    assert {side["c"], side["d"]} == {"val", "test"}
    assert side["a"] == side["b"] == "train"


def test_another_order_is_tried_where_a_group_of_two_categories_is_in_the_way():
    """Each category has three groups, one for every part, if they are taken in a good order."""
    held = {"1": "AB", "2": "BC", "3": "CA", "4": "A", "5": "B", "6": "C"}
    rows = [(group, category) for group, categories in held.items() for category in categories]
    samples = pd.DataFrame(rows, columns=["group", "category"])
    for seed in range(10):
        parts = samples["group"].map(assign_groups(samples, SHARES, seed))
        assert (pd.crosstab(samples["category"], parts) == 1).all(axis=None)


def test_a_group_goes_where_its_categories_are_wanted_most_in_all():
    """The first part wants 0.4 more of A and has 0.3 too much of B; the second wants 0.35 of B."""
    table = np.array([[10, 80], [50, 15], [40, 5]])
    side = np.array([0, 1, -1])
    _give_the_rest(side, table, np.array([0.5, 0.5]))
    assert side.tolist() == [0, 1, 1]


def test_what_a_part_was_given_it_wants_no_more():
    """Two equal parts and four groups in a row: each is given two, whatever there was before."""
    side = np.array([0, -1, -1, -1])
    _give_the_rest(side, np.full((4, 1), 5), np.array([0.5, 0.5]))
    assert side.tolist() == [0, 1, 0, 1]


def test_the_scarcest_category_is_given_out_first():
    """If A and B came first, they would give the last part two of the three groups of C."""
    held = ["AC", "BC", "C", "A", "A", "A", "B", "B", "B"]
    table = np.array([[name in categories for name in "ABC"] for categories in held]).astype(int)
    side = np.full(len(held), -1)
    assert _give_each_one(side, table, np.array([0.8, 0.1, 0.1])) is None
    assert sorted(side[:3]) == [0, 1, 2]
    for part in range(3):
        assert table[side == part].any(axis=0).all()


def test_too_few_groups_are_named_with_the_first_three_of_them():
    rows = [(f"g{i}", "A") for i in range(4)] + [(f"g{i}", "B") for i in range(9)]
    samples = pd.DataFrame(rows, columns=["group", "category"])
    shares = dict.fromkeys("abcde", 0.2)
    with pytest.raises(
        SplitError, match=r"A: .*4 groups .*\(g0, g1, g2, …\), too few.*fewer --folds"
    ):
        assign_groups(samples, shares, 0)
    assert set(assign_groups(samples, shares, 0, spread=["B"]).values()) == set("abcde")
    with pytest.raises(SplitError, match=r"\(g0, g1, g2\), too few"):
        assign_groups(samples[samples["group"] != "g3"], shares, 0)


def test_a_part_is_given_a_small_group_where_there_are_some():
    """Of groups of 40, 11 and 6 samples, a part that wants 5 takes none of more than 1.5 × 6."""
    side = np.full(4, -1)
    table = np.array([[40], [11], [40], [6]])
    assert _give_each_one(side, table, np.array([0.9, 0.05, 0.05])) is None
    assert side.tolist() == [0, 1, -1, 2]


def test_a_part_takes_the_first_group_that_is_at_most_half_too_large():
    """The last part wants 20 of 100 and takes 30; the one before wants 30 and takes 40."""
    side = np.full(4, -1)
    table = np.array([[30], [40], [6], [24]])
    assert _give_each_one(side, table, np.array([0.5, 0.3, 0.2])) is None
    assert side.tolist() == [2, 1, 0, -1]
