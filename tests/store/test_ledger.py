import shutil

import numpy as np
import pandas as pd
import pytest

from ffpp_tools.store.ledger import compare_misses, miss_rate_warning, status_counts, verify
from ffpp_tools.store.tables import read_faces, read_frames


def frames(clips=10, **counts):
    """A ledger with given numbers of frames of each status, assigned to clips in turn.

    Args:
        clips: number of clips of each category, each of another person.
        counts: category=(ok, no_face, unreadable).
    """
    rows = [
        (category, "c23", f"{number % clips:03d}", status)
        for category, numbers in counts.items()
        for number, status in enumerate(
            status
            for status, count in zip(("ok", "no_face", "unreadable"), numbers, strict=True)
            for _ in range(count)
        )
    ]
    table = pd.DataFrame(rows, columns=["category", "compression", "clip", "status"])
    return table.assign(target_id=table["clip"])


def simulated(rng, people, rates, spread, twins=False):
    """A ledger of clips of 15 frames with clustered misses, Beta-distributed by clip.

    Args:
        rng: random generator.
        people: number of people of each category; the same people in all categories.
        rates: category → mean miss rate.
        spread: correlation of the misses within a clip, from 0 to 1.
        twins: whether a fake has the misses of its original, as if boxes were shared.
    """
    parts = []
    uniform = rng.random((max(people.values()), 15))
    for category, count in people.items():
        rate, size = rates[category], (1 - spread) / spread
        p = rng.beta(rate * size, (1 - rate) * size, count)
        drawn = uniform if twins else rng.random(uniform.shape)
        p = np.full(count, rate) if twins else p
        missed = drawn[:count] < p[:, None]
        clip = np.repeat([f"{i:03d}" for i in range(count)], 15)
        status = np.where(missed.ravel(), "no_face", "ok")
        parts.append(pd.DataFrame({"category": category, "clip": clip, "status": status}))
    table = pd.concat(parts, ignore_index=True)
    return table.assign(compression="c23", target_id=table["clip"])


def test_counts_add_up_and_only_undetected_faces_are_misses():
    table = status_counts(frames(Youtube=(8, 2, 0), FaceSwap=(6, 0, 4)))
    assert list(table.columns) == ["planned", "ok", "no_face", "unreadable", "miss_rate"]
    assert list(table.loc[("Youtube", "c23")]) == [10, 8, 2, 0, pytest.approx(0.2)]
    assert list(table.loc[("FaceSwap", "c23")]) == [10, 6, 0, 4, 0]


def test_the_miss_rate_is_nan_if_detection_was_never_run():
    assert status_counts(frames(Youtube=(0, 0, 5))).isna().loc[("Youtube", "c23"), "miss_rate"]


@pytest.mark.parametrize(
    ("counts", "warned"),
    [
        ({"Youtube": (900, 100, 0), "FaceSwap": (990, 10, 0)}, True),
        ({"Youtube": (9, 1, 0), "FaceSwap": (10, 0, 0)}, False),  # not significant
        (
            {"Youtube": (99_900, 100, 0), "FaceSwap": (99_500, 500, 0)},
            False,
        ),  # too small
        (
            {"Youtube": (900, 100, 0), "FaceSwap": (450, 50, 500)},
            False,
        ),  # unreadable frames are no misses
        ({"Youtube": (900, 100, 0)}, False),
        ({"Youtube": (900, 0, 0), "FaceSwap": (990, 0, 0)}, False),
    ],
)
def test_unequal_miss_rates_give_a_warning(counts, warned):
    warning = miss_rate_warning(frames(**counts))
    assert bool(warning) == warned
    if warned:
        assert "from 1.0% (FaceSwap) to 10.0% (Youtube)" in warning


def photographs(**missed):
    """A ledger of stills: category=(n,) array of whether each still is missed."""
    parts = [
        pd.DataFrame({"category": category, "status": np.where(those, "no_face", "ok")})
        for category, those in missed.items()
    ]
    table = pd.concat(parts, ignore_index=True)
    return table.assign(compression="still", clip=table.index.astype(str), target_id="")


FIVE = ("Youtube", "Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("people", "spread", "twins"),
    [
        (dict.fromkeys(FIVE, 40), 0.5, False),
        (dict.fromkeys(FIVE, 40), 0.9, False),
        (dict(zip(FIVE, (60, 20, 60, 30, 60), strict=True)), 0.5, False),
        (dict.fromkeys(FIVE, 40), 0.5, True),
    ],
    ids=["clustered", "whole clips missed", "unequal sizes", "twins"],
)
def test_misses_that_are_clustered_by_clip_are_not_a_difference(people, spread, twins):
    """At a significance level of 0.01. A test over frames would warn in most of these cases."""
    rng = np.random.default_rng(5)
    rates = dict.fromkeys(people, 0.05)
    warned = [
        compare_misses(simulated(rng, people, rates, spread, twins)).differ for _ in range(25)
    ]
    assert sum(warned) <= 1


def test_a_miss_rate_that_is_ten_points_higher_is_a_difference():
    rng = np.random.default_rng(6)
    people = dict.fromkeys(FIVE, 60)
    rates = dict.fromkeys(FIVE, 0.04) | {"FaceSwap": 0.14}
    found = [compare_misses(simulated(rng, people, rates, 0.1)) for _ in range(5)]
    assert all(f.differ and f.rates.idxmax() == "FaceSwap" for f in found)


def test_a_few_clips_without_any_detection_are_not_a_difference():
    """Two of twenty clips of one category, none of the other: 10 % versus 0 % of 300 frames."""
    people = dict.fromkeys(("Youtube", "FaceSwap"), 20)
    table = simulated(np.random.default_rng(0), people, dict.fromkeys(people, 0.0001), 0.5)
    missed = (table["category"] == "FaceSwap") & table["clip"].isin(["003", "011"])
    found = compare_misses(table.assign(status=np.where(missed, "no_face", "ok")))
    assert found.rates.to_dict() == {"FaceSwap": pytest.approx(0.1), "Youtube": 0}
    assert found.p_value > 0.1
    assert not found.differ


def test_clips_of_one_person_in_a_category_are_one_cell():
    """The same misses in 40 clips are a difference for 40 people, but not for two people."""
    rows = [
        (category, f"{clip:03d}", "no_face" if category == "Youtube" and clip % 2 else "ok")
        for category in ("Youtube", "FaceSwap")
        for clip in range(40)
    ]
    table = pd.DataFrame(rows, columns=["category", "clip", "status"]).assign(compression="c23")
    of_two = (table["clip"].astype(int) % 2).astype(str)
    assert compare_misses(table.assign(target_id=table["clip"])).differ
    assert not compare_misses(table.assign(target_id=of_two)).differ


def test_each_block_of_stills_is_a_cell():
    table = photographs(CelebA=np.arange(1000) < 50, HQ=np.zeros(1000, bool))
    assert compare_misses(table).differ
    assert (
        compare_misses(table).p_value == 1 / 1000
    )  # reproducible, and the smallest possible value


@pytest.mark.slow
def test_stills_and_clips_with_clustered_misses_are_not_a_difference():
    rng = np.random.default_rng(8)
    people = dict.fromkeys(FIVE, 30)
    warned = 0
    for _ in range(40):
        clips = simulated(rng, people, dict.fromkeys(FIVE, 0.05), 0.5)
        stills = photographs(CelebA=(rng.random(3000) < 0.05), HQ=(rng.random(3000) < 0.05))
        warned += compare_misses(pd.concat([clips, stills], ignore_index=True)).differ
    assert warned <= 2


def test_clips_with_ten_percent_misses_differ_from_stills_without_misses():
    people = dict.fromkeys(FIVE, 40)
    clips = simulated(np.random.default_rng(9), people, dict.fromkeys(FIVE, 0.1), 0.1)
    stills = photographs(CelebA=np.zeros(2000, bool))
    assert compare_misses(pd.concat([clips, stills], ignore_index=True)).differ


def test_a_category_with_one_cell_is_excluded():
    one = frames(clips=1, Deepfakes=(10, 990, 0))
    assert np.isnan(compare_misses(one).p_value)
    both = frames(Youtube=(900, 100, 0), FaceSwap=(990, 10, 0))
    assert compare_misses(pd.concat([both, one])).rates.to_dict() == {
        "FaceSwap": pytest.approx(0.01),
        "Youtube": pytest.approx(0.1),
    }


def test_an_unchanged_folder_has_no_problems(dataset):
    assert list(verify(dataset)) == []


def test_every_changed_file_is_reported_with_a_remedy(dataset, tmp_path):
    copy = tmp_path / "dataset"
    shutil.copytree(dataset, copy)
    faces, table = read_faces(copy), read_frames(copy)
    clip, still = (faces[faces["path"].str.contains(w)]["path"].iloc[0] for w in ("c23", "still"))
    (copy / clip).unlink()
    (copy / still).write_bytes((copy / still).read_bytes() + b"x")
    (copy / "faces/Youtube/mine.png").touch()
    (copy / "parts/Youtube/c23/x.json.77.tmp").touch()
    table.iloc[1:].to_parquet(copy / "frames.parquet", index=False)
    problems = "\n".join(verify(copy))
    assert problems.count("\n") == 4
    assert f"{clip} is missing; delete parts/" in problems
    assert f"{still} was changed; delete parts/CelebA-HQ/still/" in problems
    assert "faces/Youtube/mine.png is unexpected" in problems
    assert "x.json.77.tmp is unexpected" in problems
    assert "frames.parquet does not match parts/" in problems
    for line in problems.splitlines():
        if "; delete " in line:
            assert (copy / line.split("; delete ")[1].split(" and ")[0]).is_file()
