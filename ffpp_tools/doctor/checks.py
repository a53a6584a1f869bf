"""What there is to work with: clips, stills, lists, weights, space; and what to do about it."""

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

SHOWN = 8  # names in a sentence
STILLS = {CELEBA: PHOTOGRAPHS, CELEBA_HQ: HQ_PHOTOGRAPHS}  # how many photographs each has
OTHERS = "photographs"  # a category for those of any other folder
SETS = {CELEBA: CELEBA, CELEBA_HQ: CELEBA_HQ, "CelebAMask-HQ": CELEBA_HQ}  # folder → category
EXPECTED = {MASKS, AGAIN, SEVERAL_SIZES, HIDDEN, NEITHER}  # files that a set may well have
RESERVE = 1.1  # of free space, over what the crops are thought to take
FETCH_AGAIN = "fetch them again with the download script of FF++"
WEIGHTS = "efficientnetb0_notop.h5"  # as Keras calls what it downloads


def of_clips(sources: Sequence[ClipSet]) -> Iterator[Finding]:
    """Findings on a copy of FF++, Celeb-DF or DFDC."""
    for source in sources:
        name = f"{source.category} {source.compression}"
        count = f"{len(source.clips)} clips, {format_bytes(source.size)}"
        if source.expected is None:
            yield Finding(name, OK, count)
        elif source.missing or len(source.clips) < source.expected:
            all_known = len(source.clips) + len(source.missing) >= source.expected
            absent = "missing" if all_known else "missing, among others"
            text = f"{count}, of {source.expected:,}"
            found = f"{text}; {absent}: {_some(source.missing)}" if source.missing else text
            yield Finding(name, NOTE, found, "fetch the others, or work with what there is")
        else:
            yield Finding(name, OK, f"{count}, all of {source.expected:,}")
        if source.empty:
            names = _some([c.clip.path.name for c in source.empty])
            text = f"{counted(len(source.empty), 'file')} of 0 bytes: {names}"
            yield Finding(name, PROBLEM, text, FETCH_AGAIN)
        if source.damaged:
            text = f"{len(source.damaged)} damaged or cut short: {_some_errors(source.damaged)}"
            yield Finding(name, PROBLEM, text, FETCH_AGAIN)
        if source.too_large:
            text = f"{len(source.too_large)} beyond the limit of size: "
            text += _some_errors(source.too_large)
            yield Finding(
                name, PROBLEM, text, "give a larger --max-pixels here and to ffpp-extract"
            )
        if source.unknown:
            text = f"{counted(len(source.unknown), 'file')} that FF++ does not have: "
            text += _some([p.name for p in source.unknown])
            yield Finding(
                name, NOTE, text, "move away what is not FF++'s; .mp4 files are extracted"
            )


def of_space(sources: Sequence[ClipSet], out: Path) -> Finding:
    """Whether the crops will fit."""
    needed, free = sum(s.crops_size for s in sources), free_space(out)
    crops = sum(s.planned for s in sources)
    text = (
        f"{crops:,} crops need about {format_bytes(needed)}; {format_bytes(free)} are free at {out}"
    )
    if needed * RESERVE > free:
        remedy = "name a larger disk with --out, or take fewer frames with a larger --every"
        return Finding("disk space", PROBLEM, text, remedy)
    return Finding("disk space", OK, text)


def of_stills(folder: Path) -> Finding:
    """Findings on a folder of photographs."""
    name = folder.name
    category = None if is_140k(folder) else SETS.get(name, OTHERS)
    try:
        found = survey(folder, category, category and "real")
    except FfppError as error:
        remedy = "name the folder that holds its images with --stills, and mend its lists"
        return Finding(name, PROBLEM, str(error), remedy)
    empty = [s.path.name for s in found.stills if not (exists(s.path) and s.path.stat().st_size)]
    text = counted(len(found.stills), "image")
    if category in STILLS:
        text = f"{len(found.stills):,} of {STILLS[category]:,} images"
    if empty:
        text += f", {len(empty)} of 0 bytes or gone: {_some(empty)}"
        return Finding(name, PROBLEM, text, "fetch those again")
    known = [] if category == OTHERS else found.known()
    text = "; ".join([text, *known, *summary(found.passed_over, folder)])
    if category == CELEBA and found.identities is None:
        remedy = (
            f"put {official_lists.IDENTITIES}, which CelebA's authors send on request, into Anno/"
        )
        return Finding(name, NOTE, f"{text}; nothing tells whose they are", remedy)
    if category in STILLS and not all(still.photo for still in found.stills):
        remedy = f"name them by CelebA's numbers, or put {HQ_MAPPING} of CelebAMask-HQ beside them"
        return Finding(name, NOTE, text, remedy)
    if {one.why for one in found.passed_over} - EXPECTED:
        return Finding(name, NOTE, text, "convert what was passed over, or take it out")
    return Finding(name, OK, text)


def of_remarks(remarks: Sequence[str]) -> Iterator[Finding]:
    """Findings on what lies beside the clips, and what their lists name and is not there."""
    for remark in remarks:
        yield Finding("beside the clips", NOTE, remark, "mend it, or do without")


def of_lists(root: Path, dataset: Path) -> Iterator[Finding]:
    """Findings on FF++'s splits and the list of its YouTube videos."""
    absent, damaged = missing_lists(root, dataset), False
    for name in official_lists.OF_FFPP:
        if path := official_lists.find_list(root, name):
            try:
                official_lists.READERS[name](path)
            except FfppError as error:
                damaged = True
                yield Finding("official lists", PROBLEM, str(error), official_lists.WHERE_FROM)
    if absent:
        yield Finding(
            "official lists", NOTE, f"missing: {', '.join(absent)}", official_lists.WHERE_FROM
        )
    elif not damaged:
        yield Finding("official lists", OK, f"{', '.join(official_lists.OF_FFPP)} are there")


def of_weights() -> Finding:
    """Whether EfficientNetB0's ImageNet weights are where Keras looks for them."""
    path = keras_home() / "models" / WEIGHTS
    if exists(path):
        return Finding("ImageNet weights", OK, str(path))
    remedy = "the first training downloads them; without a network pass a file with --weights PATH"
    return Finding("ImageNet weights", NOTE, f"{path} is not there", remedy)


def nothing_there(why: DataNotFoundError, named: bool) -> Finding:
    """The finding where there is no video; a problem only if somebody said there is."""
    said = str(why).removesuffix(HOW_TO_GET_FFPP).strip()
    remedy = HOW_TO_GET_FFPP if str(why).endswith(HOW_TO_GET_FFPP) else "mend or name it anew"
    return Finding("FaceForensics++", PROBLEM if named else NOTE, said, remedy)


def as_dict(source: ClipSet) -> dict[str, Any]:
    """All that is known of a source, with every name, as plain values."""
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
    """Bytes as people say them.

    >>> size(1_500_000), size(20)
    ('1.5 MB', '20 B')
    """
    if n_bytes < 1000:
        return f"{n_bytes:.0f} B"
    units = ("kB", "MB", "GB", "TB")
    power = min(int(math.log10(n_bytes)) // 3, len(units))
    return f"{n_bytes / 1000**power:.1f} {units[power - 1]}"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _some_errors(clips: Sequence[ClipCheck]) -> str:
    return _some([c.error.removeprefix(f"{c.clip.path.parent}/") for c in clips])
