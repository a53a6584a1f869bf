import shutil

import pandas as pd
import pytest

from ffpp_tools.ledger import account, unequal_misses, verify
from ffpp_tools.tables import read_faces, read_frames


def frames(**counts):
    """A ledger with so many frames of each status: category=(ok, no_face, unreadable)."""
    rows = [
        (category, "c23", status)
        for category, numbers in counts.items()
        for status, number in zip(("ok", "no_face", "unreadable"), numbers, strict=True)
        for _ in range(number)
    ]
    return pd.DataFrame(rows, columns=["category", "compression", "status"])


def test_the_account_adds_up_and_a_miss_is_a_face_not_found():
    table = account(frames(Youtube=(8, 2, 0), FaceSwap=(6, 0, 4)))
    assert list(table.columns) == ["planned", "ok", "no_face", "unreadable", "miss_rate"]
    assert list(table.loc[("Youtube", "c23")]) == [10, 8, 2, 0, pytest.approx(0.2)]
    assert list(table.loc[("FaceSwap", "c23")]) == [10, 6, 0, 4, 0]


def test_where_no_face_was_looked_for_there_is_no_rate():
    assert account(frames(Youtube=(0, 0, 5))).isna().loc[("Youtube", "c23"), "miss_rate"]


@pytest.mark.parametrize(
    ("counts", "warned"),
    [
        ({"Youtube": (900, 100, 0), "FaceSwap": (990, 10, 0)}, True),
        ({"Youtube": (9, 1, 0), "FaceSwap": (10, 0, 0)}, False),  # may well be chance
        (
            {"Youtube": (99_900, 100, 0), "FaceSwap": (99_500, 500, 0)},
            False,
        ),  # too little to matter
        ({"Youtube": (900, 100, 0), "FaceSwap": (450, 50, 500)}, False),  # unreadable is no miss
        ({"Youtube": (900, 100, 0)}, False),
        ({"Youtube": (900, 0, 0), "FaceSwap": (990, 0, 0)}, False),
    ],
)
def test_unequal_misses_are_warned_of(counts, warned):
    warning = unequal_misses(frames(**counts))
    assert bool(warning) == warned
    if warned:
        assert "1.0% (FaceSwap) to 10.0% (Youtube)" in warning


def test_a_folder_as_it_was_made_has_nothing_to_complain_of(dataset):
    assert list(verify(dataset)) == []


def test_everything_that_was_touched_is_named_with_a_remedy(dataset, tmp_path):
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
    assert "faces/Youtube/mine.png is foreign" in problems
    assert "x.json.77.tmp is foreign" in problems
    assert "frames.parquet is not what parts/ says" in problems
    for line in problems.splitlines():
        if "; delete " in line:
            assert (copy / line.split("; delete ")[1].split(" and ")[0]).is_file()
