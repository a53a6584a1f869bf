"""Checks of the data: clips, stills, official lists, weights and disk space, with remedies."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ffpp_tools.console import counted
from ffpp_tools.doctor.inventory import ClipCheck, ClipSet, missing_lists
from ffpp_tools.doctor.machine import NOTE, OK, PROBLEM, Finding, free_space, keras_home
from ffpp_tools.errors import DataNotFoundError, FfppError
from ffpp_tools.files import exists
from ffpp_tools.sources import official_lists
from ffpp_tools.sources.celeba import CELEBA, CELEBA_HQ, HQ_MAPPING, HQ_PHOTOGRAPHS, PHOTOGRAPHS
from ffpp_tools.sources.derived_folders import AGAIN, MASKS, SEVERAL_SIZES
from ffpp_tools.sources.faceforensics import HOW_TO_GET_FFPP
from ffpp_tools.sources.media_files import HIDDEN, NEITHER, summary
from ffpp_tools.sources.stills import is_140k, survey

SHOWN = 8  # maximum number of names in a message
STILLS = {CELEBA: PHOTOGRAPHS, CELEBA_HQ: HQ_PHOTOGRAPHS}  # category → number of photographs
OTHERS = "photographs"  # category of photographs in any other folder
SETS = {CELEBA: CELEBA, CELEBA_HQ: CELEBA_HQ, "CelebAMask-HQ": CELEBA_HQ}  # folder → category
EXPECTED = {MASKS, AGAIN, SEVERAL_SIZES, HIDDEN, NEITHER}  # skipped files that need no remedy
RESERVE = 1.1  # required free space, as a multiple of the crops' estimated size
DOWNLOAD_AGAIN = "download them again with the download script of FF++"
WEIGHTS = "efficientnetb0_notop.h5"  # file name that Keras uses for the download


def of_clips(sources: Sequence[ClipSet]) -> Iterator[Finding]:
    """Findings on a copy of FF++, Celeb-DF or DFDC."""
    for source in sources:
        name = f"{source.category} {source.compression}"
        count = f"{len(source.clips)} clips, {format_bytes(source.size)}"
        if source.expected is None:
            yield Finding(name, OK, count)
        elif source.missing or len(source.clips) < source.expected:
            all_named = len(source.clips) + len(source.missing) >= source.expected
            missing = "missing" if all_named else "missing clips include"
            text = f"{count}, of {source.expected:,}"
            if source.missing:
                text += f"; {missing}: {_shortened(source.missing)}"
            remedy = "download the missing clips, or work with the existing ones"
            yield Finding(name, NOTE, text, remedy)
        else:
            yield Finding(name, OK, f"{count}, all of {source.expected:,}")
        if source.empty:
            names = _shortened([c.clip.path.name for c in source.empty])
            text = f"{counted(len(source.empty), 'file')} of 0 bytes: {names}"
            yield Finding(name, PROBLEM, text, DOWNLOAD_AGAIN)
        if source.damaged:
            text = f"{counted(len(source.damaged), 'file')} damaged or truncated: "
            text += _shortened_errors(source.damaged)
            yield Finding(name, PROBLEM, text, DOWNLOAD_AGAIN)
        if source.too_large:
            text = f"{counted(len(source.too_large), 'file')} above the size limit: "
            text += _shortened_errors(source.too_large)
            remedy = "pass a larger --max-pixels to ffpp-doctor and ffpp-extract"
            yield Finding(name, PROBLEM, text, remedy)
        if source.unknown:
            text = f"{counted(len(source.unknown), 'file')} not part of FF++: "
            text += _shortened([p.name for p in source.unknown])
            remedy = "move them to another folder; ffpp-extract would extract .mp4 files"
            yield Finding(name, NOTE, text, remedy)


def of_space(sources: Sequence[ClipSet], out: Path) -> Finding:
    """Check whether the disk has space for the crops."""
    needed, free = sum(s.crops_size for s in sources), free_space(out)
    crops = sum(s.planned for s in sources)
    text = (
        f"{crops:,} crops need about {format_bytes(needed)}; {format_bytes(free)} are free at {out}"
    )
    if needed * RESERVE > free:
        remedy = "choose a larger disk with --out, or extract fewer frames with a larger --every"
        return Finding("disk space", PROBLEM, text, remedy)
    return Finding("disk space", OK, text)


def of_stills(folder: Path) -> Finding:
    """Findings on a folder of photographs."""
    name = folder.name
    category = None if is_140k(folder) else SETS.get(name, OTHERS)
    try:
        surveyed = survey(folder, category, category and "real")
    except FfppError as error:
        remedy = "pass the folder with its images with --stills, and fix its lists"
        return Finding(name, PROBLEM, str(error), remedy)
    stills = surveyed.stills
    empty = [s.path.name for s in stills if not (exists(s.path) and s.path.stat().st_size)]
    text = counted(len(stills), "image")
    if category in STILLS:
        text = f"{len(stills):,} of {STILLS[category]:,} images"
    if empty:
        text += f", {len(empty)} empty or missing: {_shortened(empty)}"
        return Finding(name, PROBLEM, text, "download these again")
    known = [] if category == OTHERS else surveyed.known()
    text = "; ".join([text, *known, *summary(surveyed.passed_over, folder)])
    if category == CELEBA and surveyed.identities is None:
        remedy = (
            f"put {official_lists.IDENTITIES}, available from CelebA's authors on request, into "
            f"Anno/"
        )
        return Finding(name, NOTE, f"{text}; identities are unknown", remedy)
    if category in STILLS and not all(still.photo for still in stills):
        remedy = (
            f"name them by CelebA's numbers, or put {HQ_MAPPING} of CelebAMask-HQ into their folder"
        )
        return Finding(name, NOTE, text, remedy)
    if {skipped.why for skipped in surveyed.passed_over} - EXPECTED:
        return Finding(name, NOTE, text, "convert the skipped files, or remove them")
    return Finding(name, OK, text)


def of_remarks(remarks: Sequence[str]) -> Iterator[Finding]:
    """Findings on unexpected files among the clips, and on listed files that are missing."""
    for remark in remarks:
        yield Finding("other files", NOTE, remark, "fix it, or ignore it")


def of_lists(root: Path, dataset: Path) -> Iterator[Finding]:
    """Findings on FF++'s official splits and its list of YouTube videos."""
    missing, damaged = missing_lists(root, dataset), False
    for name in official_lists.OF_FFPP:
        if path := official_lists.find_list(root, name):
            try:
                official_lists.READERS[name](path)
            except FfppError as error:
                damaged = True
                yield Finding("official lists", PROBLEM, str(error), official_lists.WHERE_FROM)
    if missing:
        yield Finding(
            "official lists", NOTE, f"missing: {', '.join(missing)}", official_lists.WHERE_FROM
        )
    elif not damaged:
        yield Finding("official lists", OK, f"found {', '.join(official_lists.OF_FFPP)}")


def of_weights() -> Finding:
    """Check whether EfficientNetB0's ImageNet weights are in Keras's download folder."""
    path = keras_home() / "models" / WEIGHTS
    if exists(path):
        return Finding("ImageNet weights", OK, str(path))
    remedy = "the first training run downloads them; without a network, pass --weights PATH"
    return Finding("ImageNet weights", NOTE, f"{path} does not exist", remedy)


def nothing_there(error: DataNotFoundError, named: bool) -> Finding:
    """Return the finding that there are no videos; a problem only if the user named the folder."""
    message = str(error).removesuffix(HOW_TO_GET_FFPP).strip()
    remedy = HOW_TO_GET_FFPP
    if not str(error).endswith(HOW_TO_GET_FFPP):
        remedy = "fix this, or pass another folder"
    return Finding("FaceForensics++", PROBLEM if named else NOTE, message, remedy)


def as_dict(source: ClipSet) -> dict[str, Any]:
    """Return all information on a source, with complete lists of names, for JSON."""
    return {
        "category": source.category,
        "compression": source.compression,
        "clips": len(source.clips),
        "expected": source.expected,
        "bytes": source.size,
        "planned_frames": source.planned,
        "missing": list(source.missing),
        "unreadable": {c.clip.name: c.error for c in source.clips if c.error},
        "unknown": [str(path) for path in source.unknown],
    }


def format_bytes(n_bytes: float) -> str:
    """Format a number of bytes with a decimal unit.

    >>> format_bytes(1_500_000), format_bytes(20)
    ('1.5 MB', '20 B')
    """
    if n_bytes < 1000:
        return f"{n_bytes:.0f} B"
    units = ("kB", "MB", "GB", "TB")
    power = min(int(math.log10(n_bytes)) // 3, len(units))
    return f"{n_bytes / 1000**power:.1f} {units[power - 1]}"


def _shortened(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _shortened_errors(clips: Sequence[ClipCheck]) -> str:
    return _shortened([c.error.removeprefix(f"{c.clip.path.parent}/") for c in clips])
