"""Directory layout and label lists of Celeb-DF v2 and DFDC."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ffpp_tools.errors import DataNotFoundError
from ffpp_tools.files import escapes_root, exists, read_json, read_text
from ffpp_tools.sources.clip import NATIVE, Clip
from ffpp_tools.sources.media_files import videos_in

CELEB_DF = ("Celeb-real", "Celeb-synthesis", "YouTube-real")
CELEB_DF_TEST = "List_of_testing_videos.txt"  # lines of "1 YouTube-real/00170.mp4"; 1 is real
DFDC = ("DFDC-fake", "DFDC-real")
DFDC_LIST = "metadata.json"  # in every part: {"a.mp4": {"label", "split", "original"}, …}
# Lists of the preview, validation and test sets; read only in folders named after DFDC.
DFDC_OTHER_LISTS = ("dataset.json", "labels.csv")
DFDC_LABELS = {
    **dict.fromkeys(("FAKE", "1", "1.0", "TRUE"), "DFDC-fake"),
    **dict.fromkeys(("REAL", "0", "0.0", "FALSE"), "DFDC-real"),
}
DFDC_PARTITIONS = {"train": "train", "validation": "val", "val": "val", "test": "test"}
DEPTHS = ("", "*/", "*/*/")  # folders below the root that are searched for lists


@dataclass(frozen=True)
class ClipListing:
    """The clips of a Celeb-DF or DFDC tree."""

    clips: list[Clip]  # sorted
    remarks: list[str]  # on videos that the lists name but the tree does not contain


def find_celebdf_dfdc_clips(root: Path) -> list[Clip]:
    """Return all clips of a Celeb-DF or DFDC tree, sorted; empty if `root` is neither.

    Raises:
        DataNotFoundError: a list of the dataset cannot be read.
    """
    return list_clips(root).clips


def list_clips(root: Path) -> ClipListing:
    """Return the clips of a tree, with remarks on missing videos.

    Raises:
        DataNotFoundError: a list of the dataset cannot be read.
    """
    listing = _celeb_df(root) if in_celeb_df(root) else _dfdc(root)
    return ClipListing(
        sorted(listing.clips, key=lambda clip: (clip.category, clip.name)), listing.remarks
    )


def in_celeb_df(root: Path) -> bool:
    """Whether a folder has the layout of Celeb-DF."""
    return any((root / folder).is_dir() for folder in CELEB_DF)


def dfdc_lists(root: Path) -> list[Path]:
    """Return DFDC's lists in a folder and up to two levels below it."""
    lists = [p for depth in DEPTHS for p in sorted(root.glob(f"{depth}{DFDC_LIST}")) if exists(p)]
    for name in DFDC_OTHER_LISTS:
        for path in (p for depth in DEPTHS for p in sorted(root.glob(f"{depth}{name}"))):
            if exists(path) and any(
                "dfdc" in part.lower() for part in path.absolute().parts[-4:-1]
            ):
                lists.append(path)
    return lists


def _celeb_df(root: Path) -> ClipListing:
    test_videos = _test_videos(root / CELEB_DF_TEST)
    clips = []
    for folder in CELEB_DF:
        for path in videos_in(root / folder):
            partition = "test" if (folder, path.stem) in test_videos else "train"
            partition = partition if test_videos else ""
            clips.append(Clip(folder, NATIVE, path.stem, path, partition=partition))
    remarks = []
    if missing := sorted(test_videos - {(clip.category, clip.name) for clip in clips}):
        remarks.append(
            f"{len(missing)} of {len(test_videos)} videos listed in {root / CELEB_DF_TEST} are "
            f"missing, such as {'/'.join(missing[0])}"
        )
    return ClipListing(clips, remarks)


def _test_videos(path: Path) -> set[tuple[str, str]]:
    """Read the test split: (folder, name) of each of its videos."""
    if not exists(path):
        return set()
    try:
        lines = read_text(path).splitlines()
    except (OSError, ValueError) as error:
        raise DataNotFoundError(f"{path}: not a readable list ({error})") from error
    rows = [line.split() for line in lines if line.strip()]
    if invalid := [row for row in rows if len(row) != 2 or row[1].split("/")[0] not in CELEB_DF]:
        raise DataNotFoundError(
            f"{path}: expected lines like '1 YouTube-real/00170.mp4', got {' '.join(invalid[0])!r}"
        )
    return {(name.split("/")[0], Path(name).stem) for _, name in rows}


def _dfdc(root: Path) -> ClipListing:
    clips: dict[str, Clip] = {}
    list_of_clip: dict[str, Path] = {}
    for path in dfdc_lists(root):
        for clip in _dfdc_part(path):
            known = clips.setdefault(clip.name, clip)
            if known.category != clip.category:
                raise DataNotFoundError(
                    f"{clip.name} is {known.category} in {list_of_clip[clip.name]} and "
                    f"{clip.category} in {path}; delete the incorrect list"
                )
            list_of_clip.setdefault(clip.name, path)
            if not exists(known.path) and exists(clip.path):  # a list may name other parts' videos
                clips[clip.name] = clip
    remarks = []
    if missing := sorted(clip.path for clip in clips.values() if not exists(clip.path)):
        remarks.append(
            f"{len(missing)} of {len(clips)} videos listed in {DFDC_LIST} are missing, such as "
            f"{missing[0]}: each gets a ledger row with an error"
        )
    return ClipListing(list(clips.values()), remarks)


def _dfdc_part(path: Path) -> Iterator[Clip]:
    on_disk: dict[Path, dict[str, Path]] = {}
    try:
        for name, row in _dfdc_rows(path):
            if name in ("", ".", "..") or escapes_root(name) or name.endswith("/"):
                raise ValueError(f"{name!r} is not a file name")
            label = row["is_fake"] if "is_fake" in row else row["label"]
            partition = row.get("split") or row.get("set") or ""
            video = path.parent / name
            if not exists(video):  # it may have another suffix
                if video.parent not in on_disk:
                    on_disk[video.parent] = {p.stem: p for p in videos_in(video.parent)}
                video = on_disk[video.parent].get(video.stem, video)
            yield Clip(
                DFDC_LABELS[str(label).upper()],
                NATIVE,
                Path(name).stem,
                video,
                made_from=Path(row.get("original") or "").stem,
                partition=DFDC_PARTITIONS.get(partition, ""),
            )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataNotFoundError(
            f"{path}: not a DFDC list ({error!r}); expected "
            f'{{"a.mp4": {{"label": "FAKE", "split": "train", "original": "b.mp4"}}}} '
            f'or {{"a.mp4": {{"is_fake": 1}}}}'
        ) from error


def _dfdc_rows(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the name of every video in a list, with its entry."""
    if path.suffix == ".csv":
        rows = csv.DictReader(read_text(path).splitlines())
        yield from ((row["filename"], row) for row in rows)
        return
    for name, row in read_json(path).items():
        yield name, row if isinstance(row, dict) else {"label": row}
