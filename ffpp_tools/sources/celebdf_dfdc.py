"""What lies where: Celeb-DF v2 and DFDC, sets of videos with label lists of their own."""

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
# The same of the preview set, and of the validation and test sets; read only in DFDC's folders.
DFDC_OTHER_LISTS = ("dataset.json", "labels.csv")
DFDC_LABELS = {
    **dict.fromkeys(("FAKE", "1", "1.0", "TRUE"), "DFDC-fake"),
    **dict.fromkeys(("REAL", "0", "0.0", "FALSE"), "DFDC-real"),
}
DFDC_PARTITIONS = {"train": "train", "validation": "val", "val": "val", "test": "test"}
DEPTHS = ("", "*/", "*/*/")  # where a part's list is looked for below the root


@dataclass(frozen=True)
class ClipListing:
    """What a tree of one of these sets holds."""

    clips: list[Clip]  # sorted
    remarks: list[str]  # on what its lists name and the tree lacks


def find_celebdf_dfdc_clips(root: Path) -> list[Clip]:
    """Every clip of a Celeb-DF or DFDC tree, sorted; none where `root` is neither.

    Raises:
        DataNotFoundError: a list of theirs cannot be read.
    """
    return list_clips(root).clips


def list_clips(root: Path) -> ClipListing:
    """The clips of `find_celebdf_dfdc_clips`, and what the lists name besides; errors as there."""
    found = _celeb_df(root) if in_celeb_df(root) else _dfdc(root)
    return ClipListing(
        sorted(found.clips, key=lambda clip: (clip.category, clip.name)), found.remarks
    )


def in_celeb_df(root: Path) -> bool:
    """Whether a folder is Celeb-DF's."""
    return any((root / folder).is_dir() for folder in CELEB_DF)


def dfdc_lists(root: Path) -> list[Path]:
    """DFDC's lists in a folder, in its parts, and in theirs."""
    found = [p for depth in DEPTHS for p in sorted(root.glob(f"{depth}{DFDC_LIST}")) if exists(p)]
    for name in DFDC_OTHER_LISTS:
        for path in (p for depth in DEPTHS for p in sorted(root.glob(f"{depth}{name}"))):
            if exists(path) and any(
                "dfdc" in part.lower() for part in path.absolute().parts[-4:-1]
            ):
                found.append(path)
    return found


def _celeb_df(root: Path) -> ClipListing:
    tested = _tested(root / CELEB_DF_TEST)
    clips = []
    for folder in CELEB_DF:
        for path in videos_in(root / folder):
            partition = "test" if (folder, path.stem) in tested else "train"
            partition = partition if tested else ""
            clips.append(Clip(folder, NATIVE, path.stem, path, partition=partition))
    remarks = []
    if lost := sorted(tested - {(clip.category, clip.name) for clip in clips}):
        remarks.append(
            f"{len(lost)} of {len(tested)} videos of {root / CELEB_DF_TEST} are not there, such as "
            f"{'/'.join(lost[0])}"
        )
    return ClipListing(clips, remarks)


def _tested(path: Path) -> set[tuple[str, str]]:
    """Folder and name of every video of the test split."""
    if not exists(path):
        return set()
    try:
        lines = read_text(path).splitlines()
    except (OSError, ValueError) as error:
        raise DataNotFoundError(f"{path}: not a readable list ({error})") from error
    rows = [line.split() for line in lines if line.strip()]
    if wrong := [row for row in rows if len(row) != 2 or row[1].split("/")[0] not in CELEB_DF]:
        raise DataNotFoundError(
            f"{path}: expected lines like '1 YouTube-real/00170.mp4', found {' '.join(wrong[0])!r}"
        )
    return {(name.split("/")[0], Path(name).stem) for _, name in rows}


def _dfdc(root: Path) -> ClipListing:
    clips: dict[str, Clip] = {}
    listed: dict[str, Path] = {}
    for path in dfdc_lists(root):
        for clip in _dfdc_part(path):
            before = clips.setdefault(clip.name, clip)
            if before.category != clip.category:
                raise DataNotFoundError(
                    f"{clip.name} is {before.category} in {listed[clip.name]} and {clip.category} "
                    f"in {path}; delete the list that is wrong"
                )
            listed.setdefault(clip.name, path)
            if not exists(before.path) and exists(clip.path):  # one list names other parts' videos
                clips[clip.name] = clip
    remarks = []
    if lost := sorted(clip.path for clip in clips.values() if not exists(clip.path)):
        remarks.append(
            f"{len(lost)} of {len(clips)} videos of {DFDC_LIST} are not there, such as {lost[0]}: "
            f"each becomes a row that says so"
        )
    return ClipListing(list(clips.values()), remarks)


def _dfdc_part(path: Path) -> Iterator[Clip]:
    on_disk: dict[Path, dict[str, Path]] = {}
    try:
        for name, row in _dfdc_rows(path):
            if name in ("", ".", "..") or escapes_root(name) or name.endswith("/"):
                raise ValueError(f"{name!r} is no file's name")
            label = row["is_fake"] if "is_fake" in row else row["label"]
            partition = row.get("split") or row.get("set") or ""
            video = path.parent / name
            if not exists(video):  # nor under another suffix
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
            f"{path}: not a list of DFDC's ({error!r}); expected "
            f'{{"a.mp4": {{"label": "FAKE", "split": "train", "original": "b.mp4"}}}} '
            f'or {{"a.mp4": {{"is_fake": 1}}}}'
        ) from error


def _dfdc_rows(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Name of every video of a list, and what stands there of it."""
    if path.suffix == ".csv":
        rows = csv.DictReader(read_text(path).splitlines())
        yield from ((row["filename"], row) for row in rows)
        return
    for name, row in read_json(path).items():
        yield name, row if isinstance(row, dict) else {"label": row}
