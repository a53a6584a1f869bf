"""What a video's packets tell: frames, times, who depends on whom."""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ffpp_tools.errors import DecodeError
from ffpp_tools.pixel_limits import MAX_FRAME_PIXELS
from ffpp_tools.video import bitstream, display_order, truncation
from ffpp_tools.video.container import ffmpeg_message, open_container, video_stream
from ffpp_tools.video.display_order import Packet

if TYPE_CHECKING:
    import av

ASSUMED_RATE = 25  # frames a second, where nothing tells when frames are shown; most of FF++ has it


@dataclass(frozen=True)
class Video:
    """What a video file holds."""

    path: Path
    packets: tuple[Packet, ...]  # in decoding order, with those that are never displayed
    shown: Sequence[int]  # the position in `packets` of every displayed frame, in display order
    pts: Sequence[int]  # of every displayed frame, increasing, in units of time_base
    time_base: float  # seconds
    missing_frames: int  # how many more the file's structure declares: the file was cut short
    sha256: str = ""  # of the pictures in its packets, in any container; empty for images
    max_pixels: int = MAX_FRAME_PIXELS  # that a frame may have

    @property
    def n_frames(self) -> int:
        """How many frames there should be."""
        return len(self.shown) + self.missing_frames

    def time_s(self, index: int) -> float:
        """When frame `index` is shown, in seconds from the first one; nan past the end."""
        if index >= len(self.shown):
            return float("nan")
        return (self.pts[index] - self.pts[0]) * self.time_base


def read_video(path: Path, max_pixels: int = MAX_FRAME_PIXELS) -> Video:
    """Count and time the frames of a video, as far as possible by reading its packets alone.

    What is there to be shown counts, not what headers say of it.

    Args:
        path: of a video file.
        max_pixels: refuse frames of more, width times height.

    Raises:
        DecodeError: not a readable file with a video stream.
        SizeError: its frames declare more pixels than the limit.
    """
    steps = read_video_steps(path, max_pixels)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            video: Video = end.value
            return video


def read_video_steps(path: Path, max_pixels: int) -> Generator[None, None, Video]:
    """As `read_video`, with a sign of life every now and then."""
    import av

    try:
        with open_container(path, max_pixels) as container:
            stream = video_stream(container, path, max_pixels)
            packets, digest = _read(container, stream)
            order = (
                display_order.by_timestamps(packets, stream, container.format.name)
                if packets
                else []
            )
            missing = truncation.missing_frames(container, stream, path, [p.dts for p in packets])
            time_base, rate = float(stream.time_base or 0), stream.average_rate
        if not any(not packet.hidden for packet in packets):
            raise DecodeError(f"{path}: the video stream holds no frames")
        if order is None:
            order = yield from display_order.by_decoding(path, packets, max_pixels)
    except (av.FFmpegError, OSError, ValueError) as error:
        raise DecodeError(f"{path}: not a readable video ({ffmpeg_message(error)})") from error
    pts = display_order.times(packets, order)
    if pts is None:
        pts, time_base = list(range(len(order))), float(1 / (rate or ASSUMED_RATE))
    elif missing:
        # Packets come in decoding order: behind the last one's dts, frames that are missing may
        # be shown before some that are there, whose index would be a guess.
        last = max((p.dts for p in packets if p.dts is not None), default=-1)
        sure = sum(time <= last for time in pts)
        missing, order, pts = missing + len(order) - sure, order[:sure], pts[:sure]
    return Video(
        path,
        tuple(packets),
        tuple(one.position for one in order),
        tuple(pts),
        time_base,
        missing,
        digest,
        max_pixels,
    )


def _read(
    container: av.container.InputContainer, stream: av.VideoStream
) -> tuple[list[Packet], str]:
    """Every packet of a stream, and a hash of their pictures."""
    codec = stream.codec_context
    size, h264 = bitstream.length_size(codec), codec.name == "h264"
    digest = hashlib.sha256()
    packets = []
    for p in container.demux(stream):
        if not p.size:
            continue
        data = memoryview(p)
        units = [] if size is None else bitstream.units(data, size)
        for part in bitstream.content(data, units if h264 else []):
            digest.update(part)
        times = (p.pts, p.dts, p.is_discard, p.is_keyframe)
        pictures = bitstream.pictures(data, units, codec.name)
        empty = bitstream.shows_nothing(data, units, codec.name)
        damaged = size is not None and pictures is None and not empty
        if h264:
            disposable, fresh = bitstream.reference_flags([data[start] for start, _ in units])
            late = p.is_keyframe and not fresh and bitstream.recovers(data, units)
            packets.append(Packet(*times, disposable, fresh, pictures, empty, damaged, late))
        else:
            kinds = bitstream.hevc_kinds(data, units)
            packets.append(
                Packet(*times, pictures=pictures, empty=empty, damaged=damaged, kinds=kinds)
            )
    return packets, digest.hexdigest()
