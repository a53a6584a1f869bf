import dataclasses
import json
import shutil

import pandas as pd

from benchmarks.paper_tables import face_rows
from ffpp_tools.grouping.dataset import Dataset
from ffpp_tools.grouping.identity_coverage import Coverage, coverage, coverage_gaps
from ffpp_tools.sources import official_lists
from ffpp_tools.splits.build import SplitSettings, make_manifest
from ffpp_tools.store.tables import content_hash, coverage_by_category, read_frames, write_table
from tests.helpers.tables import not_known

REAL = ("Youtube", "DFDC-real", "CelebA", "Celeb-real")


def tables_of(tmp_path, *rows, **known):
    """A dataset of (category, clip, target, source), one frame each."""
    frames = pd.DataFrame(rows, columns=["category", "clip", "target_id", "source_id"])
    frames = frames.astype("str")
    still = frames["category"].str.startswith("CelebA")
    frames = frames.assign(
        compression=still.map({True: "still", False: "c23"}),
        label=frames["category"].isin(REAL).map({True: "real", False: "fake"}),
        photo=frames["clip"].where(still, ""),
        status="ok",
        source_sha256="x",
    )
    frames["frame_id"] = frames["category"] + "/c23/" + frames["clip"] + "/000000"
    faces = face_rows(frames).assign(sha256="y")
    write_table(tmp_path / "faces.parquet", faces)
    every = {"duplicates": None, "identities": None, "videos": None, "people": None} | known
    every["table_hashes"] = {"faces.parquet": content_hash(faces)}
    return Dataset(tmp_path, frames, faces, **every)


def known(tables, source, samples=None):
    return {c.category: (c.known, c.of) for c in coverage(tables, samples) if c.source == source}


def copies(*pairs):
    return pd.DataFrame(pairs, columns=["item", "partner"]).assign(kind="near", distance=0.0)


FFPP = [
    *(("Youtube", n, n, "") for n in ("000", "001", "002", "003")),
    ("Deepfakes", "000_001", "000", "001"),
    ("Deepfakes", "002_003", "002", "003"),
]


def test_an_incomplete_video_list_is_counted(tmp_path):
    tables = tables_of(tmp_path, *FFPP, videos={"000": "a", "001": "a", "002": "b"})
    assert known(tables, "video") == {"Youtube": (3, 4)}
    (text,) = [text for text in not_known(tables) if "conversion_dict" in text]
    assert text.startswith("the YouTube video of 1 of 4 Youtube clips, such as 003")
    empty = tables_of(tmp_path, *FFPP, videos={})
    assert known(empty, "video") == {"Youtube": (0, 4)}
    absent = tables_of(tmp_path, *FFPP)
    assert known(absent, "no video list") == {"Youtube": (0, 4)}
    complete = tables_of(tmp_path, *FFPP, videos=dict.fromkeys(("000", "001", "002", "003"), "a"))
    assert not any("YouTube" in text for text in not_known(complete))


def test_sources_of_fakes_count_as_youtube_clips(tmp_path):
    tables = tables_of(tmp_path, ("Deepfakes", "000_009", "000", "009"), videos={"000": "a"})
    assert known(tables, "video") == {"Youtube": (1, 2)}


def test_fakes_without_a_named_original_are_reported_first(tmp_path):
    rows = [("DFDC-real", "a", "a", ""), ("DFDC-fake", "f", "f", ""), ("DFDC-fake", "g", "a", "")]
    tables = tables_of(tmp_path, *rows)
    assert known(tables, "unnamed original") == {"DFDC-fake": (1, 2)}
    assert not_known(tables)[0].startswith("the original of 1 of 2 DFDC-fake clips")
    found = tables_of(tmp_path, *rows, duplicates=copies(("DFDC-real/a", "DFDC-fake/f")))
    assert known(found, "unnamed original") == {"DFDC-fake": (2, 2)}
    among_fakes = tables_of(tmp_path, *rows, duplicates=copies(("DFDC-fake/h", "DFDC-fake/f")))
    assert known(among_fakes, "unnamed original") == {"DFDC-fake": (1, 2)}


RENAMED = [("Youtube", "0000", "0000", ""), *FFPP[1:]]


def test_an_original_whose_name_matches_no_fake_is_reported(tmp_path):
    tables = tables_of(tmp_path, *RENAMED)
    assert known(tables, "original") == {"Deepfakes": (1, 2)}
    texts = [text for text in not_known(tables) if "is named" in text]
    assert texts[0].startswith("the original of 1 of 2 Deepfakes clips")
    assert "named 000," in texts[0]
    found = tables_of(tmp_path, *RENAMED, duplicates=copies(("Youtube/0000", "Deepfakes/000_001")))
    assert known(found, "original") == {"Deepfakes": (2, 2)}


def test_a_missing_source_is_reported_and_not_found_by_another_fake(tmp_path):
    rows = [r for r in FFPP if r[:2] != ("Youtube", "003")] + [("Youtube", "3", "3", "")]
    tables = tables_of(tmp_path, *rows)
    assert known(tables, "original") == {"Deepfakes": (2, 2)}
    assert known(tables, "source") == {"Deepfakes": (1, 2)}
    assert any(text.startswith("the source of 1 of 2 Deepfakes") for text in not_known(tables))


def test_fakes_of_clips_that_were_not_extracted_are_not_reported(tmp_path):
    """Every existing original is named by a fake, so that none can be a renamed one."""
    tables = tables_of(tmp_path, *(r for r in FFPP if r[1] not in ("002", "003")))
    assert known(tables, "original") == {}
    without = tables_of(tmp_path, *(r for r in FFPP if r[0] != "Youtube"))
    assert known(without, "original") == {}


def test_the_coverage_of_a_manifest_counts_its_samples_only(tmp_path):
    tables = tables_of(tmp_path, *FFPP, ("CelebA", "000001", "", ""), videos={"000": "a"})
    samples = tables.frames[tables.frames["clip"].isin(["000", "000_001"])]
    assert known(tables, "video", samples) == {"Youtube": (1, 2)}
    assert known(tables, "person", samples) == {}
    assert known(tables, "person") == {"CelebA": (0, 1)}


def test_an_incomplete_identity_file_is_counted(tmp_path):
    rows = [("CelebA", f"{i:06d}", "", "") for i in range(5)]
    tables = tables_of(tmp_path, *rows, people={"000000": "7", "000001": "7"})
    assert known(tables, "person") == {"CelebA": (2, 5)}
    assert "the identity of the person in 3 of 5 photographs of CelebA" in not_known(tables)


def run_on(tables, faces):
    """The table of a command that was run on these crops."""
    table = copies()
    table.attrs = {
        "faces": content_hash(faces),
        "covered": coverage_by_category(faces),
        "recorded": {},
    }
    return table


def test_a_run_on_fewer_crops_covers_those_crops(tmp_path):
    tables = tables_of(tmp_path, *FFPP, ("CelebA", "000001", "", ""))
    full = dataclasses.replace(tables, duplicates=run_on(tables, tables.faces))
    assert known(full, "ffpp-clean") == {"CelebA": (1, 1), "Deepfakes": (2, 2), "Youtube": (4, 4)}
    assert not any("since ffpp-clean" in text for text in not_known(full))
    fewer = tables.faces[~tables.faces["face_id"].str.contains("CelebA|Youtube/c23/003")]
    partial = dataclasses.replace(tables, duplicates=run_on(tables, fewer))
    assert known(partial, "ffpp-clean") == {
        "CelebA": (0, 1),
        "Deepfakes": (2, 2),
        "Youtube": (3, 4),
    }
    (text,) = [text for text in not_known(partial) if "since ffpp-clean" in text]
    assert "1 of 1 CelebA, 1 of 4 Youtube" in text
    other = tables.faces.assign(sha256=tables.faces["sha256"].where(tables.faces.index != 0, "z"))
    changed = dataclasses.replace(tables, duplicates=run_on(tables, other))
    assert known(changed, "ffpp-clean")["Youtube"] == (0, 4)
    assert known(changed, "ffpp-clean")["Deepfakes"] == (2, 2)
    before = dataclasses.replace(tables, identities=run_on(tables, fewer))
    before.identities.attrs.pop("covered")  # by a version that did not record it
    assert set(known(before, "ffpp-identify").values()) == {(0, 4), (0, 1)}


def test_clips_whose_frames_were_not_recorded_are_not_compared(tmp_path):
    tables = tables_of(tmp_path, *FFPP)
    table = run_on(tables, tables.faces)
    old = dataclasses.replace(tables, duplicates=table)
    assert known(old, "frames") == {"Deepfakes": (0, 2), "Youtube": (0, 4)}
    table.attrs["recorded"] = {"Youtube": 4, "Deepfakes": 2}
    assert known(old, "frames") == {"Deepfakes": (2, 2), "Youtube": (4, 4)}
    partly = tables.frames["source_sha256"].where(tables.frames["clip"] != "000", "")
    frames = tables.frames.assign(source_sha256=partly)
    assert known(dataclasses.replace(old, frames=frames), "frames")["Youtube"] == (3, 4)
    assert known(tables, "frames") == {}  # "ffpp-clean not run" reports it already


def test_complete_sources_are_counted_but_not_described():
    complete = [Coverage("video", "Youtube", 4, 4), Coverage("person", "CelebA", 2, 2)]
    assert coverage_gaps(complete) == []


def test_manifests_record_the_coverage_and_their_summary_counts_the_limitations(dataset, tmp_path):
    folder = tmp_path / "dataset"
    folder.mkdir()
    for name in ("frames", "faces"):
        shutil.copy(dataset / f"{name}.parquet", folder)
    (folder / official_lists.FOLDER).mkdir()
    people = sorted(read_frames(folder).query("category == 'Youtube'")["clip"].unique())
    videos = {str(int(person)): f"v{person} 0" for person in people[1:]}
    (folder / official_lists.FOLDER / official_lists.CONVERSION).write_text(json.dumps(videos))
    settings = SplitSettings("videos", ratios=(50, 25, 25))
    info = make_manifest(folder, tmp_path / "m", settings).info
    (video,) = [c for c in info["audit"]["coverage"] if c["source"] == "video"]
    assert video == {
        "source": "video",
        "category": "Youtube",
        "known": len(people) - 1,
        "of": len(people),
        "example": people[0],
    }
    assert len(info["audit"]["not_known"]) == 3  # this, and two commands that were not run
    assert info["summary"].endswith("known to be in two splits, with 3 limitations")
