"""Detect truncated video files, whose container structure extends past the end of the file.

Durations and frame counts in headers prove nothing: edit lists omit frames, and AVI also counts the
empty packets that repeat a frame.
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
BOXES = (b"mdat", b"moof", b"moov")  # MP4 boxes that contain frames or their index
SMALLEST_CHUNK = 8  # bytes that even an empty frame takes in an AVI file


def missing_frames(
    container: av.container.InputContainer,
    stream: av.VideoStream,
    path: Path,
    dts: Sequence[int | None],
) -> int:
    """Count the frames that a file's structure declares but that are missing; 0 for a whole file.

    For MP4 the index gives the exact number, after its edit list is applied; for fragmented MP4 at
    least one frame is missing if a fragment is cut. For AVI the number is an upper bound, since
    empty packets count as frames. Other containers do not declare it.

    Args:
        container: container that has been read to its end.
        stream: stream whose packets have been read.
        path: video file.
        dts: decoding time of each packet that was read.
    """
    if container.format.name == MOV:
        missing = len(stream.index_entries) - len(dts)
        if missing > 0:  # samples of zero bytes are not frames
            missing = sum(entry.size > 0 for entry in stream.index_entries) - len(dts)
        return max(missing, min(_bytes_past_end(path, container.format.name), 1))
    if container.format.name == AVI and (excess := _bytes_past_end(path, AVI)):
        times = [time for time in dts if time is not None]
        step = min((b - a for a, b in pairwise(times) if b > a), default=1)
        declared = (stream.frames - 1 - max(times, default=-step)) // step
        return max(1, min(declared, excess // SMALLEST_CHUNK))
    return 0


def _bytes_past_end(path: Path, container: str) -> int:
    """Count the bytes that the outermost boxes or chunks declare past the end of the file."""
    size, start = path.stat().st_size, 0
    with path.open("rb") as file:
        while start + 8 <= size:
            file.seek(start)
            head = file.read(16)
            if container == AVI:
                length = int.from_bytes(head[4:8], "little") + 8
                length += length % 2  # chunks start at even offsets
                has_frames = head[:4] == b"LIST"  # the chunk after it is the index
                header_size = 12 if head[:4] == b"RIFF" else 0  # its chunks are checked instead
            else:
                length, header_size = int.from_bytes(head[:4], "big"), 0
                length = int.from_bytes(head[8:16], "big") if length == 1 else length
                has_frames = head[4:8] in BOXES
            if length < 8:  # extends to the end of the file, or is not a box
                return 0
            if start + length > size and not header_size:
                return start + length - size if has_frames else 0
            start += header_size or length
    return 0
