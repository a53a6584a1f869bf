import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from benchmarks.paper_tables import face_rows, frame_rows, write_tables
from ffpp_tools.errors import SplitError
from ffpp_tools.grouping.dataset import Dataset
from ffpp_tools.splits.audit import audited
from ffpp_tools.splits.build import SplitSettings, make_manifest
from ffpp_tools.store.schema import SPLITS
from ffpp_tools.store.tables import as_text, read_faces, read_frames


def samples_of(manifest):
    return pd.concat([manifest.samples(s).assign(split=s) for s in SPLITS], ignore_index=True)


@pytest.fixture(scope="module")
def clean(dataset, tmp_path_factory):
    """Samples without a leak, and their dataset."""
    settings = SplitSettings("multiclass", ratios=(60, 20, 20))
    return samples_of(make_manifest(dataset, tmp_path_factory.mktemp("m"), settings)), (
        Dataset.read(dataset)
    )


def moved(samples, which, to):
    """The same samples, some of them in another split."""
    return samples.assign(split=samples["split"].mask(which, to))


def test_nothing_is_found_where_nobody_crosses(clean):
    found = audited(*clean)
    assert not found.leaks
    assert found.crossings == ()
    assert found.unequal == ()
    assert set(found.miss_rates) == set(clean[0]["category"])
    assert len(found.limitations) == 4
    assert "the identity of the person in 16 of 16 photographs of CelebA-HQ" in found.limitations
    videos = clean[0][clean[0]["compression"] != "still"]
    assert not any("photographs of" in text for text in audited(videos, clean[1]).limitations)


def test_a_frame_in_which_no_face_was_looked_for_is_no_miss(clean):
    samples, tables = clean
    own = tables.frames[tables.frames["category"] == "FaceSwap"]
    more = [own.assign(status=status) for status in ("unreadable", "unchanged_fake", "no_face")]
    frames = pd.concat([tables.frames, *more])
    found = audited(samples, dataclasses.replace(tables, frames=frames))
    ok, missed = (own["status"] == "ok").sum(), (own["status"] != "ok").sum()
    expected = (missed + len(own)) / (ok + missed + len(own))
    assert found.miss_rates["FaceSwap"] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("everywhere", [False, True])
def test_misses_differ_where_a_category_misses_more_in_all_its_clips(clean, everywhere):
    """As many misses in one clip alone are that clip's."""
    samples, tables = clean
    frames = as_text(tables.frames)
    own = frames[(frames["category"] == "FaceSwap") & (frames["status"] == "ok")]
    first = own[own["clip"] == own["clip"].iloc[0]]
    half = own[own.groupby("clip").cumcount() % 2 == 0]
    frames.loc[(half if everywhere else first).index, "status"] = "no_face"
    found = audited(samples, dataclasses.replace(tables, frames=frames))
    assert found.misses_differ is everywhere


def test_one_frame_on_another_side_is_a_leak_of_its_clip(clean):
    samples, tables = clean
    row = samples.query("split == 'train' and category == 'Youtube'").index[0]
    found = audited(moved(samples, samples.index == row, "test"), tables)
    assert found.groups == 1
    (crossing,) = found.crossings
    assert (crossing.reason, crossing.sides) == ("clip", {"train+test": 1})
    assert found.unequal == ("train", "test")


def test_a_whole_clip_on_another_side_is_a_leak_of_its_pair(clean):
    samples, tables = clean
    name = samples.query("split == 'train' and category == 'Youtube'")["clip"].iloc[0]
    own = (samples["category"] == "Youtube") & (samples["clip"] == name)
    (crossing,) = audited(moved(samples, own, "val"), tables).crossings
    assert crossing.reason == "pair"
    assert f"Youtube/{name}" in crossing.example


def test_a_photograph_on_another_side_is_a_leak_of_its_person(clean):
    samples, tables = clean
    celeba = samples.query("split == 'train' and category == 'CelebA' and target_id != ''")
    person = celeba["target_id"].value_counts().index[0]
    row = celeba.index[celeba["target_id"] == person][0]
    found = audited(moved(samples, samples.index == row, "test"), tables)
    assert "identity" in {c.reason for c in found.crossings}


def test_what_is_found_out_later_counts(clean):
    """Two people in different splits turn out to be the same person."""
    samples, tables = clean
    youtube = samples[samples["category"] == "Youtube"]
    one, other = (
        "Youtube/" + youtube[youtube["split"] == s]["clip"].iloc[0] for s in ("train", "test")
    )
    identities = pd.DataFrame({"item": [one], "partner": [other], "distance": [0.3]})
    found = audited(samples, dataclasses.replace(tables, identities=identities))
    assert [c.reason for c in found.crossings] == ["embedding"]
    assert set(found.crossings[0].example) == {one, other}


def test_a_chain_through_somebody_who_is_not_there_counts(clean):
    """A looks like B and B like C; B is in no split."""
    samples, tables = clean
    stills = samples[samples["category"] == "CelebA"]
    one, other = (
        "CelebA/" + stills[stills["split"] == s]["clip"].iloc[0] for s in ("train", "val")
    )
    duplicates = pd.DataFrame(
        {
            "item": [one, other],
            "kind": ["near", "identical"],
            "partner": ["Flickr/1", "Flickr/1"],
            "distance": [0.1, 0.0],
        }
    )
    found = audited(samples, dataclasses.replace(tables, duplicates=duplicates))
    assert found.groups == 1
    assert [c.reason for c in found.crossings] == ["several"]


def test_a_fake_that_is_not_there_ties_its_people_if_a_copy_of_it_is(clean):
    """Deepfakes/900_901 is left out, being Deepfakes/<a fake of train> under another name."""
    samples, tables = clean
    fakes = samples[samples["category"] == "Deepfakes"]
    there = "Deepfakes/" + fakes[fakes["split"] == "train"]["clip"].iloc[0]
    person = samples.query("category == 'Youtube' and split == 'test'")["clip"].iloc[0]
    absent = tables.frames[tables.frames["category"] == "Deepfakes"].head(1)
    absent = absent.assign(clip=f"{person}_901", target_id=person, source_id="901")
    frames = pd.concat([tables.frames, absent], ignore_index=True)
    copy = {"item": [f"Deepfakes/{person}_901"], "partner": [there], "distance": [0.0]}
    with_copy = dataclasses.replace(tables, frames=frames)
    assert not audited(samples, with_copy).leaks  # a fake that is not in the manifest is no edge
    for kind in ("identical", "near"):
        duplicates = pd.DataFrame({**copy, "kind": [kind]})
        found = audited(samples, dataclasses.replace(with_copy, duplicates=duplicates))
        assert found.groups == 1
        assert [c.reason for c in found.crossings] == ["several"]
        assert found.leaks
    alike = pd.DataFrame(copy)
    assert not audited(samples, dataclasses.replace(with_copy, identities=alike)).leaks


@pytest.mark.slow
def test_the_papers_counts_are_met_to_the_unit_at_its_own_size(tmp_path):
    write_tables(tmp_path / "dataset")
    binary = make_manifest(tmp_path / "dataset", tmp_path / "b", SplitSettings("binary", "paper"))
    assert binary.info["counts"] == {
        "train": {"fake": 53595, "real": 53595},
        "val": {"fake": 3350, "real": 3350},
        "test": {"fake": 10049, "real": 10049},
    }
    categories = pd.DataFrame(binary.info["categories"]).sum(axis=1)
    # All of Youtube, the rest of the 66,994 split evenly; fakes as equal as possible.
    assert categories[["Youtube", "CelebA", "CelebA-HQ"]].to_list() == [20885, 23055, 23054]
    fakes = categories[["Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures"]]
    assert sorted(fakes) == [16748, 16748, 16749, 16749]
    for split, rows in binary.info["categories"].items():  # every split is a random part of all
        share = sum(binary.info["counts"][split].values()) / (2 * 66994)
        for category, n in rows.items():
            assert n == pytest.approx(share * categories[category], rel=0.12), (split, category)
    seven = make_manifest(tmp_path / "dataset", tmp_path / "m", SplitSettings(recipe="paper"))
    for split, count in (("train", 14000), ("val", 750), ("test", 2000)):
        assert seven.info["counts"][split] == dict.fromkeys(seven.classes, count)
    grouped = make_manifest(tmp_path / "dataset", tmp_path / "g", SplitSettings())
    assert not grouped.info["audit"]["leaks"]
    assert sum(n["Youtube"] for n in grouped.info["counts"].values()) > 16000


people = st.integers(0, 30)
worlds = st.fixed_dictionaries(
    {
        "pairs": st.lists(st.tuples(people, people), min_size=3, max_size=20, unique=True),
        "frames": st.integers(1, 4),
        "identities": st.lists(st.integers(0, 25), min_size=3, max_size=60),
        "alike": st.lists(st.tuples(people, people), max_size=6),
        "twice": st.lists(st.tuples(st.integers(0, 59), st.integers(0, 59)), max_size=6),
        "recipe": st.sampled_from(["grouped", "holdout"]),
        "per_class": st.none() | st.integers(3, 30),
        "seed": st.integers(0, 3),
    }
)


def constructed(world, folder):
    """Tables of fakes, originals and stills as a drawn world says."""
    youtube = sorted({p for pair in world["pairs"] for p in pair})
    rows = [("Youtube", "real", "c23", f"{p:03d}", f"{p:03d}", "") for p in youtube]
    for a, b in world["pairs"]:
        rows += [
            (m, "fake", "c23", f"{a:03d}_{b:03d}", f"{a:03d}", f"{b:03d}")
            for m in ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures")
        ]
    columns = ["category", "label", "compression", "clip", "target_id", "source_id"]
    clips = pd.DataFrame(rows, columns=columns)
    clips = clips.loc[clips.index.repeat(world["frames"])]
    clips["frame"] = np.tile(np.arange(world["frames"]) * 25, len(rows))
    stills = pd.DataFrame(
        [
            (c, "real", "still", f"{i:06d}", f"{person}" if c == "CelebA" else "", "")
            for c in ("CelebA", "CelebA-HQ")
            for i, person in enumerate(world["identities"])
        ],
        columns=columns,
    ).assign(frame=0)
    stills["photo"] = stills["clip"]
    every = pd.concat([clips.assign(photo=""), stills], ignore_index=True)
    frames = frame_rows(**every.to_dict("series"))
    frames.to_parquet(folder / "frames.parquet")
    face_rows(frames).to_parquet(folder / "faces.parquet")
    identities = [(f"Youtube/{a:03d}", f"Youtube/{b:03d}", 0.3) for a, b in world["alike"]]
    n = len(world["identities"])
    duplicates = [(f"CelebA/{a % n:06d}", f"CelebA-HQ/{b % n:06d}", 0.1) for a, b in world["twice"]]
    ties = {"identities": identities, "duplicates": duplicates}
    for name, links in ties.items():
        table = pd.DataFrame(links, columns=["item", "partner", "distance"])
        table = table.astype({"item": "str", "partner": "str", "distance": "float"})
        table = table.assign(kind="near", path="", person="", faces=1, embedding=None)
        table.to_parquet(folder / f"{name}.parquet")


def reached(world):
    """Person or photograph → everything connected to it, by breadth-first search."""
    edges = [(f"Y{a}", f"Y{b}") for a, b in [*world["pairs"], *world["alike"]]]
    n = len(world["identities"])
    edges += [(f"P{i}", f"I{person}") for i, person in enumerate(world["identities"])]
    edges += [(f"P{a % n}", f"P{b % n}") for a, b in world["twice"]]
    near = {}
    for a, b in edges:
        near.setdefault(a, set()).add(b)
        near.setdefault(b, set()).add(a)
    return near


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(world=worlds)
def test_no_group_crosses_and_classes_are_equal_or_an_error_says_why(world, tmp_path_factory):
    folder = tmp_path_factory.mktemp("constructed")
    constructed(world, folder)
    asked = SplitSettings(
        "binary", world["recipe"], per_class=world["per_class"], seed=world["seed"]
    )
    try:
        manifest = make_manifest(folder, folder / "m", asked)
    except SplitError as error:
        assert any(word in str(error) for word in ("too few", "not enough data"))
        return
    event("made")
    samples = samples_of(manifest)
    for split, rows in samples.groupby("split"):
        counts = rows["class"].value_counts()
        assert set(counts.index) == {"fake", "real"}, split
        assert counts.min() == counts.max()
        fakes = rows[rows["label"] == "fake"]["category"].value_counts()
        assert fakes.max() - fakes.min() <= (world["per_class"] is not None)
    sides = {}
    for row in samples.itertuples():
        still = row.compression == "still"
        shown = [f"P{int(row.clip)}"] if still else [f"Y{int(row.target_id)}"]
        shown += [f"Y{int(row.source_id)}"] if row.source_id else []
        for person in shown:
            sides.setdefault(person, set()).add(row.split)
    near = reached(world)
    for start in sides:
        group, open_ = {start}, [start]
        while open_:
            for other in near.get(open_.pop(), ()):
                if other not in group:
                    group.add(other)
                    open_.append(other)
        assert len(set().union(*(sides.get(member, set()) for member in group))) == 1
    assert not manifest.info["audit"]["leaks"]


def test_the_verdict_is_in_the_manifest(dataset, tmp_path):
    make_manifest(dataset, tmp_path, SplitSettings("videos", "paper", shrink=True))
    audit = json.loads((tmp_path / "manifest.json").read_text())["audit"]
    assert audit["leaks"] is True
    assert {c["reason"] for c in audit["crossings"]} >= {"clip"}
    assert audit["miss_rates"].keys() >= {"Youtube", "FaceSwap"}
    frames = read_frames(dataset).query("category == 'Youtube'")
    looked = frames["status"].isin(["ok", "no_face", "too_small"])
    rate = 1 - (frames["status"] == "ok").sum() / looked.sum()
    assert audit["miss_rates"]["Youtube"] == pytest.approx(rate, abs=1e-4)
    assert len(read_faces(dataset))
