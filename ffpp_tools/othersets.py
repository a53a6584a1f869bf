"""What lies where: Celeb-DF v2 and DFDC, sets of videos with label lists of their own."""

from __future__ import annotations

from pathlib import Path

from ffpp_tools.clip import NATIVE, Clip
from ffpp_tools.errors import DataNotFoundError
from ffpp_tools.files import read_json, read_text, there

CELEB_DF = ("Celeb-real", "Celeb-synthesis", "YouTube-real")
CELEB_DF_TEST = "List_of_testing_videos.txt"  # lines of "1 YouTube-real/00170.mp4"; 1 is real
DFDC = ("DFDC-fake", "DFDC-real")
DFDC_LABELS = {"FAKE": "DFDC-fake", "REAL": "DFDC-real"}
DFDC_LIST = "metadata.json"  # in every part: {"a.mp4": {"label", "split", "original"}, …}
DFDC_PARTITIONS = {"train": "train", "validation": "val", "test": "test"}


def find_other_clips(root: Path) -> list[Clip]:
    """Every clip of a Celeb-DF or DFDC tree, sorted; none where `root` is neither.

    Raises:
        DataNotFoundError: a list of theirs cannot be read.
    """
    if any((root / folder).is_dir() for folder in CELEB_DF):
        clips = _celeb_df(root)
    else:
        lists = sorted(p for p in (root / DFDC_LIST, *root.glob(f"*/{DFDC_LIST}")) if there(p))
        clips = [clip for path in lists for clip in _dfdc_part(path)]
    return sorted(clips, key=lambda clip: (clip.category, clip.name))


def _celeb_df(root: Path) -> list[Clip]:
    tested = _tested(root / CELEB_DF_TEST)
    clips = []
    for folder in CELEB_DF:
        for path in (root / folder).glob("[!.]*.mp4"):
            side = "test" if f"{folder}/{path.name}" in tested else "train"
            clips.append(Clip(folder, NATIVE, path.stem, path, partition=side if tested else ""))
    return clips


def _tested(path: Path) -> set[str]:
    if not there(path):
        return set()
    try:
        rows = [line.split() for line in read_text(path).splitlines() if line.strip()]
    except ValueError as error:
        raise DataNotFoundError(f"{path}: not a readable list ({error})") from error
    if wrong := [row for row in rows if len(row) != 2 or row[1].split("/")[0] not in CELEB_DF]:
        raise DataNotFoundError(
            f"{path}: expected lines like '1 YouTube-real/00170.mp4', found {' '.join(wrong[0])!r}"
        )
    return {name for _, name in rows}


def _dfdc_part(path: Path) -> list[Clip]:
    try:
        rows = read_json(path)
        if wrong := [name for name in rows if name in ("", "..") or name != Path(name).name]:
            raise ValueError(f"{wrong[0]!r} is no file's name")
        return [
            Clip(
                DFDC_LABELS[row["label"]],
                NATIVE,
                Path(name).stem,
                path.parent / name,
                made_from=Path(row.get("original") or "").stem,
                partition=DFDC_PARTITIONS.get(row.get("split", ""), ""),
            )
            for name, row in rows.items()
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataNotFoundError(f"{path}: not a list of DFDC's ({error!r})") from error
