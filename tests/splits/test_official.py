import json
import shutil

import pandas as pd
import pytest

from benchmarks.paper_tables import face_rows, frame_rows
from ffpp_tools.errors import SettingsError, SplitError
from ffpp_tools.grouping.dataset import Dataset
from ffpp_tools.grouping.groups import identity_groups, nodes
from ffpp_tools.sources import official_lists
from ffpp_tools.splits import official
from ffpp_tools.splits.audit import audited
from ffpp_tools.splits.build import SplitSettings, make_manifest
from ffpp_tools.store.schema import SPLITS
from ffpp_tools.store.tables import read_faces, read_frames
from tests.helpers.tables import world

PAIRS = {
    "train": [["000", "001"], ["002", "003"]],
    "val": [["004", "005"]],
    "test": [["006", "007"]],
}


def copied(dataset, folder):
    """The tables of a dataset in a folder of their own."""
    folder.mkdir()
    for name in ("frames", "faces"):
        shutil.copy(dataset / f"{name}.parquet", folder)
    return folder


def pairs_of(dataset):
    """The demo's pairs of people, shared out over the official lists."""
    fakes = read_frames(dataset).query("category == 'FaceSwap'")["clip"].unique()
    pairs = sorted({tuple(sorted(name.split("_"))) for name in fakes})
    return {"train": pairs[:2], "val": pairs[2:3], "test": pairs[3:]}


@pytest.fixture
def listed(dataset, tmp_path):
    """A dataset with official lists."""
    folder = copied(dataset, tmp_path / "dataset")
    (folder / official_lists.FOLDER).mkdir()
    for split, pairs in pairs_of(dataset).items():
        (folder / official_lists.FOLDER / f"{split}.json").write_text(json.dumps(pairs))
    return folder


def test_official_lists_are_followed_to_the_clip(listed, tmp_path):
    manifest = make_manifest(listed, tmp_path / "m", SplitSettings("videos", "official"))
    for split, pairs in pairs_of(listed).items():
        people = {person for pair in pairs for person in pair}
        assert set(manifest.samples(split)["target_id"]) == people
    assert not manifest.info["audit"]["leaks"]
    assert set(manifest.info["tables"]) >= {"lists/train.json", "lists/test.json"}


def test_stills_without_lists_go_to_sides_by_whole_groups(listed, tmp_path):
    manifest = make_manifest(listed, tmp_path / "m", SplitSettings("binary", "official"))
    assert not manifest.info["audit"]["leaks"]
    for split in SPLITS:
        assert {"CelebA", "Youtube"} <= set(manifest.samples(split)["category"])


def test_a_sets_own_partition_is_kept(listed, tmp_path):
    frames = read_frames(listed)
    celeba = frames["category"] == "CelebA"
    rank = pd.factorize(frames["target_id"][celeba])[0] % 5
    frames.loc[celeba, "partition"] = [("train", "train", "train", "val", "test")[r] for r in rank]
    frames.to_parquet(listed / "frames.parquet")
    manifest = make_manifest(listed, tmp_path / "m", SplitSettings("binary", "official"))
    own = dict(zip(frames["clip"][celeba], frames["partition"][celeba], strict=True))
    for split in SPLITS:
        drawn = manifest.samples(split).query("category == 'CelebA'")["clip"]
        assert len(drawn)
        assert {own[clip] for clip in drawn} == {split}
    assert not manifest.info["audit"]["leaks"]


def test_cleaning_takes_from_train_who_is_in_test_too_and_says_so(listed, tmp_path):
    in_train, in_test = (pairs_of(listed)[s][0][0] for s in ("train", "test"))
    videos = {in_train: "abc 0", in_test: "abc 1"}
    (listed / official_lists.FOLDER / official_lists.CONVERSION).write_text(json.dumps(videos))
    leaking = make_manifest(listed, tmp_path / "m", SplitSettings("videos", "official"))
    assert leaking.info["audit"]["leaks"]
    (crossing,) = leaking.info["audit"]["crossings"]
    assert (crossing["reason"], crossing["sides"]) == ("video", {"train+test": 1})
    assert set(crossing["example"]) == {f"Youtube/{in_train}", f"Youtube/{in_test}"}
    clean = make_manifest(listed, tmp_path / "c", SplitSettings("videos", "official-clean"))
    assert not clean.info["audit"]["leaks"]
    (removed,) = clean.info["removed"]
    assert removed["who"] == f"Youtube/{in_train}"
    assert (removed["side"], removed["kept"], removed["reason"]) == ("train", "test", "video")
    assert clean.info["unlisted"] == 0  # who was taken out is on a list
    train = clean.samples("train")
    assert in_train not in set(train["target_id"]) | set(train["source_id"])
    assert len(clean.samples("test")) == len(leaking.samples("test"))


def stills(folder, *rows):
    """Photographs (category, name, split) of different people, and their dataset."""
    frames = pd.DataFrame(rows, columns=["category", "clip", "partition"]).astype("str")
    frames = frames.assign(label="real", compression="still", photo="", target_id="", source_id="")
    frames["group"] = frames["category"] + "/" + frames["clip"]
    return frames, Dataset(folder, frames, frames, None, None, None, None)


def test_a_val_out_of_train_is_as_large_a_part_of_it_as_ffpps(tmp_path):
    names = [("train", f"{i:03d}") for i in range(86)] + [("test", f"{i}") for i in range(900, 910)]
    frames, tables = stills(tmp_path, *(("CelebA", name, side) for side, name in names))
    found = official.assign_official_splits(frames, tables, 0, clean=False)
    assert found.split.value_counts().to_dict() == {"train": 72, "val": 14, "test": 10}


def test_who_is_in_train_and_val_stays_in_val(tmp_path):
    frames, _ = stills(
        tmp_path,
        ("Celeb-real", "id0_0000", "train"),
        ("Celeb-real", "id0_0001", "val"),
        ("Celeb-real", "id1_0000", "train"),
        ("Celeb-real", "id2_0000", "test"),
    )
    frames = frames.assign(compression="native", target_id=frames["clip"].str[:3])
    tables = Dataset(tmp_path, frames, frames, None, None, None, None)
    found = official.assign_official_splits(frames, tables, 0, clean=True)
    assert found.split.tolist() == ["", "val", "train", "test"]
    (removed,) = found.removed
    assert (removed.side, removed.kept, removed.samples) == ("train", "val", 1)


def test_what_no_list_names_is_shared_out_by_the_seed(tmp_path):
    rows = [("CelebA", f"{i}", ("train", "val", "test")[i % 3]) for i in range(6)]
    rows += [("Portraits", f"{i:03d}", "") for i in range(50)]
    frames, tables = stills(tmp_path, *rows)
    free = frames["category"] == "Portraits"
    sides = [
        official.assign_official_splits(frames, tables, seed, clean=False).split
        for seed in (0, 0, 1)
    ]
    assert sides[0].equals(sides[1])
    assert not sides[0].equals(sides[2])
    for side in sides:
        assert list(side[~free]) == list(frames["partition"][~free])
        assert side[free].value_counts().to_dict() == {"train": 36, "val": 7, "test": 7}


def test_a_person_in_two_lists_by_one_fake_leaves_the_lesser(dataset, tmp_path):
    """The official lists with a fake across them, as in a set of one's own."""
    folder = copied(dataset, tmp_path / "dataset")
    (folder / official_lists.FOLDER).mkdir()
    pairs = pairs_of(dataset)
    torn = {
        "train": [pairs["train"][0], (pairs["train"][1][0], pairs["test"][0][1])],
        "val": pairs["val"],
        "test": [(pairs["test"][0][0], pairs["train"][1][1])],
    }
    for split, listed in torn.items():
        (folder / official_lists.FOLDER / f"{split}.json").write_text(json.dumps(listed))
    manifest = make_manifest(folder, tmp_path / "m", SplitSettings("videos", "official-clean"))
    assert {r["reason"] for r in manifest.info["removed"]} == {"pair"}
    assert not manifest.info["audit"]["leaks"]


def test_clips_on_no_list_are_left_out_and_counted(listed, tmp_path):
    train = listed / official_lists.FOLDER / "train.json"
    pairs = json.loads(train.read_text())
    train.write_text(json.dumps(pairs[:1]))
    manifest = make_manifest(listed, tmp_path / "m", SplitSettings("videos", "official"))
    frames = read_frames(listed).query("status == 'ok'")
    assert (
        manifest.info["unlisted"]
        == frames["target_id"].isin(pairs[1]).sum()
        - (frames["compression"].eq("still") & frames["target_id"].isin(pairs[1])).sum()
    )


def test_a_set_whose_lists_know_no_val_gets_one_out_of_train(listed, tmp_path):
    frames = read_frames(listed)
    celeba = frames["category"] == "CelebA"
    rank = pd.factorize(frames["target_id"][celeba])[0] % 4
    frames.loc[celeba, "partition"] = [("train", "train", "train", "test")[r] for r in rank]
    frames.to_parquet(listed / "frames.parquet")
    manifest = make_manifest(listed, tmp_path / "m", SplitSettings("binary", "official"))
    own = dict(zip(frames["clip"][celeba], frames["partition"][celeba], strict=True))
    drawn = {
        s: {own[c] for c in manifest.samples(s).query("category == 'CelebA'")["clip"]}
        for s in SPLITS
    }
    assert drawn == {"train": {"train"}, "val": {"train"}, "test": {"test"}}
    assert not manifest.info["audit"]["leaks"]


def test_a_few_photographs_on_no_list_do_not_stop_the_rest(listed, tmp_path):
    frames = read_frames(listed)
    celeba = frames["category"] == "CelebA"
    rank = pd.factorize(frames["target_id"][celeba])[0] % 5
    frames.loc[celeba, "partition"] = [("train", "train", "train", "val", "test")[r] for r in rank]
    of_one = frames[celeba].groupby("target_id").filter(lambda own: len(own) > 1)
    unlisted = of_one.index[of_one["partition"] == "test"][0]
    frames.loc[unlisted, "partition"] = ""
    frames.to_parquet(listed / "frames.parquet")
    make_manifest(listed, tmp_path / "m", SplitSettings("binary", "official"))
    tables = Dataset.read(listed)
    samples = frames.assign(group=identity_groups(frames, tables.edges))
    found = official.assign_official_splits(samples, tables, 0, clean=False)
    assert found.split[unlisted] == "test"  # where the same person's other photographs are
    assert found.unlisted == 0


def test_of_celeb_df_what_shows_somebody_of_test_leaves_train_and_nothing_else(tmp_path):
    """id0 is in train and test; id1 was connected to id0 by a fake that is excluded."""
    rows = [
        ("Celeb-real", "real", f"id{i}_0000", f"id{i}", "", side)
        for i, side in enumerate(["train", "train", "val", "test", "train"])
    ]
    rows += [
        ("Celeb-synthesis", "fake", f"id{a}_id{b}_0000", f"id{a}", f"id{b}", side)
        for a, b, side in ((0, 1, "train"), (0, 3, "test"), (2, 2, "val"), (4, 4, "train"))
    ]
    columns = ["category", "label", "clip", "target_id", "source_id", "partition"]
    frames = (
        pd.DataFrame(rows, columns=columns).astype("str").assign(compression="native", photo="")
    )
    frames.index = range(10, 10 + len(frames))
    frames["group"] = "x"
    tables = Dataset(tmp_path, frames, frames, None, None, None, None)
    found = official.assign_official_splits(frames, tables, 0, clean=True)
    left = set(frames["clip"][found.split == ""])
    assert left == {"id0_0000", "id0_id1_0000"}
    assert {(r.who, r.reason) for r in found.removed} == {
        ("Celeb-real/id0_0000", "several"),
        ("Celeb-synthesis/id0_id1_0000", "pair"),
    }
    assert dict(zip(frames["clip"], found.split, strict=True))["id4_0000"] == "train"


def test_ffpps_own_categories_never_get_a_val_of_their_own(listed, tmp_path):
    """Its lists name val; that one method has no crop there does not move its people."""
    frames = read_frames(listed)
    val = {person for pair in pairs_of(listed)["val"] for person in pair}
    lost = (frames["category"] == "FaceSwap") & frames["target_id"].isin(val)
    frames.loc[lost, "status"] = "no_face"
    frames.to_parquet(listed / "frames.parquet")
    with pytest.raises(
        SplitError, match=r"val has no samples of FaceSwap \(FaceSwap: 16 in train, 0"
    ):
        make_manifest(listed, tmp_path / "m", SplitSettings("videos", "official"))


def test_who_was_tied_by_a_fake_that_is_gone_is_free(listed, tmp_path):
    """000 leaves train for his double in test; a still of his partner's stays where she is."""
    (gone, partner), (double, _) = pairs_of(listed)["train"][0], pairs_of(listed)["test"][0]
    videos = {gone: "abc 0", double: "abc 1"}
    (listed / official_lists.FOLDER / official_lists.CONVERSION).write_text(json.dumps(videos))
    still = read_frames(listed).query("category == 'CelebA'")["clip"].iloc[0]
    identities = pd.DataFrame({"item": [f"CelebA/{still}"], "partner": [f"Youtube/{partner}"]})
    identities.assign(distance=0.3, person="", faces=1, embedding=None).to_parquet(
        listed / "identities.parquet"
    )
    manifest = make_manifest(listed, tmp_path / "m", SplitSettings("binary", "official-clean"))
    assert [r["reason"] for r in manifest.info["removed"]] == ["video"]
    assert not manifest.info["audit"]["leaks"]


def test_the_reason_for_leaving_somebody_out_is_that_of_their_tie(listed, tmp_path):
    (one, _), (other, _) = pairs_of(listed)["train"][0], pairs_of(listed)["test"][0]
    people = [p for pairs in pairs_of(listed).values() for pair in pairs for p in pair]
    every = {person: f"video{person} 0" for person in people}
    (listed / official_lists.FOLDER / official_lists.CONVERSION).write_text(json.dumps(every))
    identities = pd.DataFrame({"item": [f"Youtube/{one}"], "partner": [f"Youtube/{other}"]})
    identities.assign(distance=0.3, person="", faces=1, embedding=None).to_parquet(
        listed / "identities.parquet"
    )
    manifest = make_manifest(listed, tmp_path / "m", SplitSettings("videos", "official-clean"))
    (removed,) = manifest.info["removed"]
    assert (removed["who"], removed["reason"]) == (f"Youtube/{one}", "embedding")


def test_ffpp_without_its_lists_is_said_though_others_have_theirs(dataset, tmp_path):
    folder = copied(dataset, tmp_path / "dataset")
    frames = read_frames(folder)
    frames.loc[frames["category"] == "CelebA", "partition"] = "train"
    frames.to_parquet(folder / "frames.parquet")
    with pytest.raises(SplitError, match=r"no official lists for these crops.*train\.json"):
        make_manifest(folder, tmp_path / "m", SplitSettings("multiclass", "official"))


def test_without_any_list_there_is_no_official_split(dataset, tmp_path):
    with pytest.raises(
        SplitError, match=r"no official lists for these crops.*train\.json.*list_eval_partition"
    ):
        make_manifest(dataset, tmp_path / "m", SplitSettings("videos", "official"))
    with pytest.raises(SettingsError, match="official lists determine the ratios"):
        make_manifest(
            dataset, tmp_path / "m", SplitSettings("videos", "official", ratios=(1, 1, 1))
        )


@pytest.mark.parametrize("seed", range(30))
def test_a_cleaned_split_leaks_nothing_and_loses_nothing_without_need(tmp_path, seed):
    samples, tables = world(tmp_path, seed)
    try:
        found = official.assign_official_splits(samples, tables, seed, clean=True)
    except SplitError as error:
        assert "too few to put a different one" in str(error)  # of the categories without lists
        return
    kept = samples.assign(split=found.split)[found.split != ""]
    assert not audited(kept, tables).leaks
    listed = official._listed(samples, tables)
    of_ffpp = samples["category"].isin(official.FFPP_YOUTUBE)
    gone = (found.split == "") & ~(of_ffpp & (listed == ""))
    assert not (gone & (listed == "test")).any()
    assert bool(found.removed) == bool(gone.any())
    moved = (found.split != listed) & (listed != "") & ~gone
    assert set(zip(listed[moved], found.split[moved], strict=True)) <= {("train", "val")}
    for row in samples.index[gone][:2]:
        for split in (listed[row],) if listed[row] else SPLITS:
            back = samples.loc[[row]].assign(split=split)
            assert audited(pd.concat([kept, back]), tables).leaks


def clip_rows(*clips):
    """A ledger of (category, clip) of FF++, one frame each."""
    frames = pd.DataFrame(clips, columns=["category", "clip"]).astype("str")
    people = frames["clip"].str.split("_")
    frames["target_id"], frames["source_id"] = people.str[0], people.str[1].fillna("")
    frames["label"] = frames["category"].map(lambda c: "real" if c == "Youtube" else "fake")
    frames = frames.assign(compression="c23", photo="", partition="", status="ok", **{"class": "x"})
    return frames.assign(frame_id=nodes(frames))


@pytest.mark.parametrize(
    ("copies", "gone", "reason"),
    [
        ([("Deepfakes/002_003", "Deepfakes/006_007", "identical")], {"002", "003"}, "several"),
        ([("FaceSwap/002_003", "Youtube/006", "near")], {"002", "003"}, "several"),
        ([("Youtube/002", "Deepfakes/006_007", "near")], {"002"}, "near"),
        ([("Youtube/004", "Deepfakes/006_007", "near")], {"004"}, "near"),
    ],
    ids=[
        "two fakes",
        "a fake and an original of another family",
        "an original in train and a fake in test",
        "an original in val and a fake in test",
    ],
)
def test_copies_of_clips_in_test_leave_the_other_lists(tmp_path, copies, gone, reason):
    """A duplicate belongs to the people of each of its names, as the right name is unknown."""
    write_lists(tmp_path)
    names = [f"{a}{b}" for pairs in PAIRS.values() for a, b in pairs]
    people = sorted({n[:3] for n in names} | {n[3:] for n in names})
    frames = clip_rows(
        *(("Youtube", p) for p in people),
        *((m, f"{n[:3]}_{n[3:]}") for n in names for m in ("Deepfakes", "FaceSwap")),
    )
    found_twice = pd.DataFrame(copies, columns=["item", "partner", "kind"]).assign(distance=0.0)
    tables = Dataset(tmp_path, frames, frames, found_twice, None, None, None)
    samples = frames.assign(group=identity_groups(frames, tables.edges))
    found = official.assign_official_splits(samples, tables, 0, clean=True)
    left = found.split == ""
    shown = frames["target_id"].isin(gone) | frames["source_id"].isin(gone)
    assert list(left) == list(shown)
    assert {r.kept for r in found.removed} == {"test"}
    assert {r.reason for r in found.removed} == {reason}
    assert {r.who for r in found.removed} == {f"Youtube/{person}" for person in gone}
    assert not audited(samples.assign(split=found.split)[found.split != ""], tables).leaks


def write_lists(folder):
    (folder / official_lists.FOLDER).mkdir()
    for split, pairs in PAIRS.items():
        (folder / official_lists.FOLDER / f"{split}.json").write_text(json.dumps(pairs))


@pytest.fixture(scope="module")
def whole_ffpp(real_data, tmp_path_factory):
    """A ledger of all of FF++'s clips, one frame each, with its official lists."""
    folder = tmp_path_factory.mktemp("ffpp")
    official_lists.copy_lists(real_data / "data/FaceForensics++", folder, official_lists.OF_FFPP)
    rows = []
    for split in SPLITS:
        for a, b in json.loads((folder / official_lists.FOLDER / f"{split}.json").read_text()):
            for target, source in ((a, b), (b, a)):
                rows.append(("Youtube", "real", target, target, ""))
                rows += [
                    (m, "fake", f"{target}_{source}", target, source)
                    for m in ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures")
                ]
    columns = ["category", "label", "clip", "target_id", "source_id"]
    frames = pd.DataFrame(rows, columns=columns).astype("str")
    given = frames.to_dict("series")
    frames = frame_rows(**given, compression="c23", frame=0, photo="")
    frames.to_parquet(folder / "frames.parquet")
    face_rows(frames).to_parquet(folder / "faces.parquet")
    return folder


def test_ffpps_official_split_leaks_by_seven_youtube_videos(whole_ffpp, tmp_path):
    manifest = make_manifest(whole_ffpp, tmp_path / "m", SplitSettings("videos", "official"))
    assert manifest.info["counts"]["train"]["Youtube"] == 720
    samples = pd.concat([manifest.samples(s).assign(split=s) for s in SPLITS])
    (crossing,) = audited(samples, Dataset.read(whole_ffpp)).crossings
    assert (crossing.reason, crossing.count) == ("video", 7)
    assert crossing.sides["train+test"] == 2
    assert sum(crossing.sides.values()) == 7


def test_cleaned_it_leaks_no_more_and_test_is_whole(whole_ffpp, tmp_path):
    manifest = make_manifest(whole_ffpp, tmp_path / "m", SplitSettings("videos", "official-clean"))
    assert not manifest.info["audit"]["leaks"]
    assert len(manifest.info["removed"]) == 7
    assert {r["reason"] for r in manifest.info["removed"]} == {"video"}
    assert manifest.info["counts"]["test"] == dict.fromkeys(manifest.classes, 140)
    assert read_faces(whole_ffpp)["face_id"].nunique() == 5000
