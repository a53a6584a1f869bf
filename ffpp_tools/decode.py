"""Exactly the wanted frames of a video."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ffpp_tools.errors import DecodeError

if TYPE_CHECKING:
    import av

Image = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Frame:
    """One decoded frame."""

    index: int  # in display order, from 0
    time_s: float  # after the first frame
    image: Image  # (H, W, 3) uint8 RGB


@dataclass(frozen=True)
class Video:
    """What a demux, without decoding, tells about a video file."""

    path: Path
    pts: tuple[int, ...]  # of every displayed frame, increasing, in units of time_base
    time_base: float  # seconds
    declared_frames: int  # what the header says; more than len(pts) in a truncated file

    @property
    def n_frames(self) -> int:
        """How many frames there should be."""
        return max(len(self.pts), self.declared_frames)

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
        with av.open(str(path)) as container:
            stream = _video_stream(container, path)
            shown = (p for p in container.demux(stream) if p.size and not p.is_discard)
            every_pts = [packet.pts for packet in shown]
            time_base, declared = float(stream.time_base or 0), stream.frames
    except (av.FFmpegError, OSError) as error:
        raise DecodeError(f"{path}: not a readable video ({_reason(error)})") from error
    if not every_pts:
        raise DecodeError(f"{path}: the video stream holds no frames")
    pts = {p for p in every_pts if p is not None}
    if len(pts) < len(every_pts):
        raise DecodeError(
            f"{path}: {len(every_pts)} packets without distinct timestamps; "
            f"remux it first, for instance with `ffmpeg -fflags +genpts -i IN -c copy OUT.mp4`"
        )
    return Video(path, tuple(sorted(pts)), time_base, declared)


def frames(video: Video, wanted: Sequence[int]) -> Iterator[Frame]:
    """Decode exactly the wanted frames, in display order.

    Every packet up to the last wanted frame is decoded, so a frame is bit-identical to
    that of a full decode. A frame's index is the rank of its timestamp among all packets,
    so that a damaged packet does not shift the frames behind it. Frames that cannot be
    decoded are left out.

    Args:
        video: what `probe` returned.
        wanted: strictly increasing display indices, 0-based.

    Yields:
        The frames, image (H, W, 3) uint8 RGB.

    Raises:
        DecodeError: naming the file, when it cannot be opened at all.
    """
    import av

    index_of = {video.pts[i]: i for i in wanted if i < len(video.pts)}
    last_pts = max(index_of, default=None)
    if last_pts is None:
        return
    try:
        container = av.open(str(video.path))
    except (av.FFmpegError, OSError) as error:
        raise DecodeError(f"{video.path}: cannot be opened ({_reason(error)})") from error
    with container:
        for frame in _decoded(container, _video_stream(container, video.path)):
            if frame.pts is None or frame.is_corrupt:
                continue
            if (index := index_of.get(frame.pts)) is not None:
                image = np.asarray(frame.to_ndarray(format="rgb24"), dtype=np.uint8)
                yield Frame(index, video.time_s(index), image)
            if frame.pts >= last_pts:
                return


def _decoded(
    container: av.container.InputContainer, stream: av.VideoStream
) -> Iterator[av.VideoFrame]:
    """Every frame that decodes, in display order; damaged packets are passed over."""
    import av

    stream.thread_type = "NONE"  # clips are decoded side by side instead
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except av.FFmpegError:
            return
        if packet is None:
            return
        try:
            yield from stream.decode(packet)
        except av.FFmpegError:
            continue


def _video_stream(container: av.container.InputContainer, path: Path) -> av.VideoStream:
    if not container.streams.video:
        raise DecodeError(f"{path}: holds no video stream")
    return container.streams.video[0]


def _reason(error: Exception) -> str:
    """FFmpeg's words without the path, which the message already names."""
    return getattr(error, "strerror", None) or str(error)
