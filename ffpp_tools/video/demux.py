"""Frame count, timestamps and dependencies of a video, from its packets."""

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

ASSUMED_RATE = 25  # frames per second if there are no timestamps; the rate of most of FF++


@dataclass(frozen=True)
class Video:
    """The packets and displayed frames of a video file, or the frames of a folder of images."""

    path: Path
    packets: tuple[Packet, ...]  # in decoding order, including those that are never displayed
    packet_of_frame: Sequence[int]  # position in `packets` of each frame, in display order
    pts: Sequence[int]  # presentation time of each frame, increasing, in units of time_base
    time_base: float  # seconds
    missing_frames: int  # further frames that the structure of a truncated file declares
    sha256: str = ""  # of the compressed frames, whatever the container; empty for images
    max_pixels: int = MAX_FRAME_PIXELS  # maximum width × height of a frame

    @property
    def n_frames(self) -> int:
        """Number of frames of the complete video, missing ones included."""
        return len(self.packet_of_frame) + self.missing_frames

    def time_s(self, index: int) -> float:
        """Time of frame `index` in seconds after the first frame; nan past the end."""
        if index >= len(self.packet_of_frame):
            return float("nan")
        return (self.pts[index] - self.pts[0]) * self.time_base


def read_video(path: Path, max_pixels: int = MAX_FRAME_PIXELS) -> Video:
    """Determine the frames of a video and their times, from packets alone where possible.

    The frames that can be displayed count, not the number that headers declare.

    Args:
        path: video file.
        max_pixels: reject frames of more pixels (width × height).

    Raises:
        DecodeError: the file is unreadable or has no video stream.
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
    """Read a video as `read_video` does, but yield often so that a timeout can be enforced."""
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
            raise DecodeError(f"{path}: the video stream contains no frames")
        if order is None:
            order = yield from display_order.by_decoding(path, packets, max_pixels)
    except (av.FFmpegError, OSError, ValueError) as error:
        raise DecodeError(f"{path}: not a readable video ({ffmpeg_message(error)})") from error
    pts = display_order.times(packets, order)
    if pts is None:
        pts, time_base = list(range(len(order))), float(1 / (rate or ASSUMED_RATE))
    elif missing:
        # Packets are stored in decoding order: some missing frames may be displayed before existing
        # frames whose time is after the last dts, so the indices of these are uncertain.
        last = max((p.dts for p in packets if p.dts is not None), default=-1)
        n_certain = sum(time <= last for time in pts)
        missing, order, pts = missing + len(order) - n_certain, order[:n_certain], pts[:n_certain]
    return Video(
        path,
        tuple(packets),
        tuple(frame.position for frame in order),
        tuple(pts),
        time_base,
        missing,
        digest,
        max_pixels,
    )


def _read(
    container: av.container.InputContainer, stream: av.VideoStream
) -> tuple[list[Packet], str]:
    """Read the packets of a stream, and hash their compressed frames."""
    codec = stream.codec_context
    size, h264 = bitstream.length_size(codec), codec.name == "h264"
    digest = hashlib.sha256()
    packets = []
    for p in container.demux(stream):
        if not p.size:
            continue
        data = memoryview(p)
        units = [] if size is None else bitstream.units(data, size)
        for payload in bitstream.content(data, units if h264 else []):
            digest.update(payload)
        times = (p.pts, p.dts, p.is_discard, p.is_keyframe)
        pictures = bitstream.pictures(data, units, codec.name)
        empty = bitstream.shows_nothing(data, units, codec.name)
        damaged = size is not None and pictures is None and not empty
        if h264:
            disposable, closed = bitstream.reference_flags([data[start] for start, _ in units])
            is_open = p.is_keyframe and not closed and bitstream.recovers(data, units)
            packets.append(Packet(*times, disposable, closed, pictures, empty, damaged, is_open))
        else:
            nal_types = bitstream.hevc_kinds(data, units)
            packets.append(
                Packet(*times, pictures=pictures, empty=empty, damaged=damaged, nal_types=nal_types)
            )
    return packets, digest.hexdigest()
