"""What a video's packets tell without being decoded: frames, times, who depends on whom."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ffpp_tools import MAX_PIXELS
from ffpp_tools.errors import DecodeError
from ffpp_tools.files import regular

if TYPE_CHECKING:
    import av

# NAL unit types of H.264 (ITU-T H.264, table 7-1).
SLICE, IDR_SLICE, EXTENSION_SLICE = 1, 5, 20
FORBIDDEN = 0x80  # the bit of a unit's first byte that is never set
START_CODE = re.compile(b"\x00\x00\x01(.)", re.DOTALL)


@dataclass(frozen=True)
class Packet:
    """One compressed frame."""

    pts: int | None  # in units of the stream's time base; None only if it is never displayed
    disposable: bool  # known that no other frame refers to it
    fresh: bool  # known that neither it nor any packet behind it refers to one before it


@dataclass(frozen=True)
class Video:
    """What a demux, without decoding, tells about a video file."""

    path: Path
    packets: tuple[Packet, ...]  # in decoding order, with those that are never displayed
    pts: tuple[int, ...]  # of every displayed frame, increasing, in units of time_base
    time_base: float  # seconds
    missing_frames: int  # how many more the header declares: the file was cut short
    sha256: str = ""  # of the pictures in its packets, in any container; empty for images

    @property
    def n_frames(self) -> int:
        """How many frames there should be."""
        return len(self.pts) + self.missing_frames

    def time_s(self, index: int) -> float:
        """When frame `index` is shown, in seconds from the first one; nan past the end."""
        if index >= len(self.pts):
            return float("nan")
        return (self.pts[index] - self.pts[0]) * self.time_base


def probe(path: Path) -> Video:
    """Count and time the frames of a video by reading its packets.

    Header counts can be wrong, so packets are what counts.

    Raises:
        DecodeError: not a readable file with a video stream, or without timestamps.
    """
    import av

    try:
        with opened(path) as container:
            stream = video_stream(container, path)
            if stream.codec_context is None:
                raise DecodeError(f"{path}: not a readable video (no decoder for its codec)")
            nal_length = _nal_length(stream.codec_context)
            digest = hashlib.sha256()
            read = []
            for p in container.demux(stream):
                if p.size:
                    data = memoryview(p)
                    units = [] if nal_length is None else _nal_units(data, nal_length)
                    for part in _pictures(data, units):
                        digest.update(part)
                    dependence = _dependence([data[start] for start, _ in units])
                    read.append((p.pts, p.dts, p.is_discard, *dependence))
            time_base, declared = float(stream.time_base or 0), stream.frames
    except (av.FFmpegError, OSError, ValueError) as error:
        raise DecodeError(f"{path}: not a readable video ({reason(error)})") from error
    displayed = [pts for pts, _, hidden, *_ in read if not hidden]  # an edit list may hide some
    if not displayed:
        raise DecodeError(f"{path}: the video stream holds no frames")
    distinct = {pts for pts in displayed if pts is not None}
    if len(distinct) < len(displayed):
        raise DecodeError(
            f"{path}: {len(displayed)} packets without distinct timestamps; "
            f"remux it first, for instance with `ffmpeg -fflags +genpts -i IN -c copy OUT.mp4`"
        )
    missing = max(declared - len(read), 0)
    if missing:
        # Packets come in decoding order: behind the last one's dts, frames that are missing may
        # be shown before some that are there, whose index would be a guess.
        sure = {
            p for p in distinct if p <= max((r[1] for r in read if r[1] is not None), default=-1)
        }
        missing, distinct = missing + len(distinct - sure), sure
    packets = tuple(Packet(pts, disposable, fresh) for pts, _, _, disposable, fresh in read)
    pts = tuple(sorted(distinct))
    return Video(path, packets, pts, time_base, missing, digest.hexdigest())


def _nal_length(codec: av.VideoCodecContext) -> int | None:
    """How many bytes tell a NAL unit's length in an H.264 stream; 0: start codes part them.

    None for every other codec.
    """
    if codec.name != "h264":
        return None
    header = codec.extradata or b""
    return (header[4] & 3) + 1 if len(header) > 4 and header[0] == 1 else 0


def _dependence(headers: Sequence[int]) -> tuple[bool, bool]:
    """Whether a packet is known to be disposable, and to be fresh, as in `Packet`.

    An H.264 picture whose nal_ref_idc is 0 is referred to by no other (7.4.1); an IDR picture
    empties the decoder's store of reference pictures (7.4.1.2.4). A damaged packet is not believed.

    Args:
        headers: the first byte of every NAL unit in it.
    """
    if any(header & FORBIDDEN for header in headers):
        return False, False
    referred, fresh, slices = False, False, 0
    for header in headers:
        kind = header & 31
        if _holds_picture(header):
            slices += 1
            referred |= bool(header >> 5 & 3) or kind == EXTENSION_SLICE
            fresh |= kind == IDR_SLICE
    return slices > 0 and not referred, fresh


def _holds_picture(header: int) -> bool:
    return SLICE <= header & 31 <= IDR_SLICE or header & 31 == EXTENSION_SLICE


def _nal_units(data: memoryview, nal_length: int) -> list[tuple[int, int]]:
    """Where every NAL unit in a packet starts and ends; none where they do not fill it."""
    if not nal_length:
        starts = [(match.start(), match.start(1)) for match in START_CODE.finditer(data)]
        ends = [code for code, _ in starts[1:]] + [len(data)]
        return [(start, end) for (_, start), end in zip(starts, ends, strict=True)]
    units, start = [], 0
    while start + nal_length < len(data):
        size = int.from_bytes(data[start : start + nal_length], "big")
        units.append((start + nal_length, start + nal_length + size))
        start += nal_length + size
    return units if start == len(data) else []


def _pictures(data: memoryview, units: Sequence[tuple[int, int]]) -> Iterator[bytes]:
    """What of a packet does not depend on the container: its slices, or all of it.

    Containers part NAL units in different ways, repeat parameter sets and pad with zeros.
    """
    slices = [(start, end) for start, end in units if _holds_picture(data[start])]
    for start, end in slices or [(0, len(data))]:
        content = bytes(data[start:end]).rstrip(b"\0")
        yield len(content).to_bytes(4, "big")
        yield content


def opened(path: Path) -> av.container.InputContainer:
    """A file whose decoders stop at what is wrong and at sizes beyond reason."""
    import av

    container = av.open(str(regular(path)), metadata_errors="replace")
    for stream in container.streams.video:
        if stream.codec_context is not None:
            stream.codec_context.options = {"err_detect": "explode", "max_pixels": str(MAX_PIXELS)}
    return container


def video_stream(container: av.container.InputContainer, path: Path) -> av.VideoStream:
    """The stream that is read.

    Raises:
        DecodeError: there is none.
    """
    if not container.streams.video:
        raise DecodeError(f"{path}: holds no video stream")
    return container.streams.video[0]


def reason(error: Exception) -> str:
    """FFmpeg's words without the path, which the message already names."""
    return getattr(error, "strerror", None) or str(error)
