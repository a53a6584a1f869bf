"""ffpp-doctor: parse, call one function, print."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from ffpp_tools.cli import panels, printing
from ffpp_tools.cli.options import CPUS, Data, MaxPixels, Processes, option
from ffpp_tools.console import counted, print_json, progress
from ffpp_tools.errors import DataNotFoundError, FfppError
from ffpp_tools.pixel_limits import MAX_FRAME_PIXELS


def doctor(
    data: Data = None,
    stills: Annotated[
        list[Path] | None,
        option(
            panels.DATA,
            about="Folder of photographs. Can be repeated.",
            metavar="PATH",
            default="CelebA and CelebA-HQ next to DATA, if they exist",
        ),
    ] = None,
    out: Annotated[Path, option(panels.DATA, about="Dataset folder, existing or new.")] = Path(
        "dataset"
    ),
    every: Annotated[
        int,
        option(
            panels.DATA,
            about="Estimate the disk space for every Nth frame.",
            metavar="N",
            min=1,
        ),
    ] = 25,
    workers: Processes = CPUS,
    max_pixels: MaxPixels = MAX_FRAME_PIXELS,
) -> None:
    """Check the machine and the data, and say how to fix problems; exit status 1 if there are any.

    Reads the packets of every clip, and decodes a clip if its packets alone do not show which
    frames it has. Writes nothing.

    Example: ffpp-doctor

    Example: ffpp-doctor data/FaceForensics++ --stills data/CelebA --json
    """
    from ffpp_tools.doctor import checks as looking
    from ffpp_tools.doctor.inventory import check_clips
    from ffpp_tools.doctor.machine import PROBLEM, examine
    from ffpp_tools.sources.faceforensics import default_ffpp_root, remarks
    from ffpp_tools.video.sampling import FramePlan

    findings = list(progress("this machine")(examine(), None))
    root = data or default_ffpp_root()
    sources = []
    try:
        reading = progress("reading clips")
        sources = check_clips(root, FramePlan(every), workers, reading, max_pixels)
    except DataNotFoundError as why:
        findings.append(
            looking.nothing_there(why, named=data is not None or "FFPP_DATA" in os.environ)
        )
    else:
        findings += looking.of_clips(sources)
        clips = [looked.clip for source in sources for looked in source.clips]
        findings += looking.of_remarks(remarks(root, clips))
        findings += looking.of_lists(root, out)
        findings.append(looking.of_space(sources, out))
    siblings = [root.parent / name for name in looking.STILLS]
    folders = stills or [folder for folder in siblings if folder.is_dir()]
    findings += [looking.of_stills(folder) for folder in folders]
    findings.append(looking.of_weights())
    printing.findings(findings)
    print_json(
        {
            "findings": [asdict(f) for f in findings],
            "sources": [looking.as_dict(source) for source in sources],
        }
    )
    if problems := sum(f.state == PROBLEM for f in findings):
        raise FfppError(f"{counted(problems, 'problem')}; remedies are listed above, after →")
