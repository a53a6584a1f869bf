"""Whether a video file was cut off: its container's structure reaches past the end of the file.

What headers say of durations and numbers of frames proves nothing: edit lists leave frames out,
and AVI counts the empty packets that stand for a frame that is shown longer.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from ffpp_tools.video.container import MOV

if TYPE_CHECKING:
    import av

AVI = "avi"
BOXES = (b"mdat", b"moof", b"moov")  # of MP4, which hold frames and what tells of them
SMALLEST_CHUNK = 8  # bytes that a frame takes in an AVI file, even an empty one


def missing_frames(
    container: av.container.InputContainer,
    stream: av.VideoStream,
    path: Path,
    dts: Sequence[int | None],
) -> int:
    """How many frames more a file's structure declares than there are; 0 of a whole file.

    MP4's index tells exactly, after its edit list was applied. A fragmented MP4 file tells of the
    fragment that is cut. AVI counts frames and empty packets alike, so that there may be fewer.
    Other containers do not tell.

    Args:
        container: as it was read to its end.
        stream: whose packets were read.
        path: of the file.
        dts: the decoding time of every packet that was read.
    """
    if container.format.name == MOV:
        missing = len(stream.index_entries) - len(dts)
        if missing > 0:  # samples of no bytes are no frames
            missing = sum(entry.size > 0 for entry in stream.index_entries) - len(dts)
        return max(missing, min(_beyond(path, container.format.name), 1))
    if container.format.name == AVI and (beyond := _beyond(path, AVI)):
        times = [time for time in dts if time is not None]
        step = min((b - a for a, b in pairwise(times) if b > a), default=1)
        declared = (stream.frames - 1 - max(times, default=-step)) // step
        return max(1, min(declared, beyond // SMALLEST_CHUNK))
    return 0


def _beyond(path: Path, container: str) -> int:
    """How many bytes the outermost boxes or chunks of a file declare that it does not hold."""
    size, at = path.stat().st_size, 0
    with path.open("rb") as file:
        while at + 8 <= size:
            file.seek(at)
            head = file.read(16)
            if container == AVI:
                length = int.from_bytes(head[4:8], "little") + 8
                length += length % 2  # chunks start at even places
                known = head[:4] == b"LIST"  # of frames: what lies behind is their index
                inside = 12 if head[:4] == b"RIFF" else 0
            else:
                length, inside = int.from_bytes(head[:4], "big"), 0
                length = int.from_bytes(head[8:16], "big") if length == 1 else length
                known = head[4:8] in BOXES
            if length < 8:  # to the end of the file, or no box at all
                return 0
            if at + length > size and not inside:
                return at + length - size if known else 0
            at += inside or length
    return 0
