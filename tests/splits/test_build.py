import dataclasses
import json

import pandas as pd
import pytest

from ffpp_tools.errors import SettingsError, SplitError, TableError
from ffpp_tools.splits.build import SplitSettings, make_manifest
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
    with pytest.raises(
        SplitError, match=r"16800 samples of each class .* in train.*Deepfakes has \d+"
    ):
        make_manifest(dataset, tmp_path / "m", SplitSettings(mode="videos", per_class=20000))
    assert not (tmp_path / "m").exists()


def test_a_missing_category_is_named_with_the_remedy(dataset, tmp_path):
    only_videos = without(dataset, tmp_path, "CelebA-HQ")
    with pytest.raises(SplitError, match=r"no crops of CelebA-HQ.*ffpp-stills.*--mode videos\.$"):
        make_manifest(only_videos, tmp_path / "m", SplitSettings(mode="multiclass"))
    with pytest.raises(SplitError, match=r"no crops of FaceShifter.*for photographs\)\.$"):
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
    with pytest.raises(SplitError, match=r"2 identity groups.*Extract more"):
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
    with pytest.raises(SplitError, match="CelebA: has samples labelled real and"):
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
    with pytest.raises(TableError, match="do not belong to a manifest"):
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
