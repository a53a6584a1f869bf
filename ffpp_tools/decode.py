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
    missing_frames: int  # how many more the header declares: the file was cut short

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
        with _opened(path) as container:
            stream = _video_stream(container, path)
            packets = [(p.pts, p.dts, p.is_discard) for p in container.demux(stream) if p.size]
            time_base, declared = float(stream.time_base or 0), stream.frames
    except (av.FFmpegError, OSError, ValueError) as error:
        raise DecodeError(f"{path}: not a readable video ({_reason(error)})") from error
    every_pts = [pts for pts, _, hidden in packets if not hidden]  # an edit list may hide some
    if not every_pts:
        raise DecodeError(f"{path}: the video stream holds no frames")
    pts = {p for p in every_pts if p is not None}
    if len(pts) < len(every_pts):
        raise DecodeError(
            f"{path}: {len(every_pts)} packets without distinct timestamps; "
            f"remux it first, for instance with `ffmpeg -fflags +genpts -i IN -c copy OUT.mp4`"
        )
    missing = max(declared - len(packets), 0)
    if missing:
        # Packets come in decoding order: behind the last one's dts, frames that are missing may
        # be shown before some that are there, whose index would be a guess.
        sure = {p for p in pts if p <= max(dts for _, dts, _ in packets if dts is not None)}
        missing, pts = missing + len(pts - sure), sure
    return Video(path, tuple(sorted(pts)), time_base, missing)


def frames(video: Video, wanted: Sequence[int]) -> Iterator[Frame]:
    """Decode exactly the wanted frames, in display order.

    Every packet up to the last wanted frame is decoded, so a frame is bit-identical to
    that of a full decode. A frame's index is the rank of its timestamp among all packets,
    so that a damaged packet does not shift the frames behind it. Frames that cannot be
    decoded are left out, and after a damaged packet all others up to the next key frame:
    they are predicted from what was lost.

    Args:
        video: what `probe` returned.
        wanted: strictly increasing display indices, 0-based.

    Yields:
        The frames, image (H, W, 3) uint8 RGB.

    Raises:
        DecodeError: naming the file, when it cannot be opened at all.
    """
    import av

    indices = {i for i in wanted if i < len(video.pts)}
    if not indices:
        return
    try:
        container = _opened(video.path)
    except (av.FFmpegError, OSError, ValueError) as error:
        raise DecodeError(f"{video.path}: cannot be opened ({_reason(error)})") from error
    with container:
        for index, frame in _intact(container, video):
            if index in indices:
                image = np.asarray(frame.to_ndarray(format="rgb24"), dtype=np.uint8)
                yield Frame(index, video.time_s(index), image)
            if index >= max(indices):
                return


def _intact(
    container: av.container.InputContainer, video: Video
) -> Iterator[tuple[int, av.VideoFrame]]:
    """Every frame with its index, in display order, but for those that damage has touched.

    A packet that fails, a frame that is marked corrupt and one that is missing make all that
    follows suspect, up to the next key frame:

        index   0  1  2  .  4  5  6  7     3 is lost
                K           x  x  K        4 and 5 may be predicted from it
    """
    index_of = {pts: i for i, pts in enumerate(video.pts)}
    intact, expected = True, 0
    for frame in _decoded(container, _video_stream(container, video.path)):
        index = None if frame is None or frame.pts is None else index_of.get(frame.pts)
        if frame is None or index is None:
            intact = False
            continue
        sound = not frame.is_corrupt
        intact = sound and (bool(frame.key_frame) or (intact and index == expected))
        expected = index + 1
        if intact:
            yield index, frame


def _decoded(
    container: av.container.InputContainer, stream: av.VideoStream
) -> Iterator[av.VideoFrame | None]:
    """Every frame that comes out of the decoder, and None for a packet that fails."""
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
            yield None


def _opened(path: Path) -> av.container.InputContainer:
    import av

    return av.open(str(path), metadata_errors="replace")


def _video_stream(container: av.container.InputContainer, path: Path) -> av.VideoStream:
    if not container.streams.video:
        raise DecodeError(f"{path}: holds no video stream")
    return container.streams.video[0]


def _reason(error: Exception) -> str:
    """FFmpeg's words without the path, which the message already names."""
    return getattr(error, "strerror", None) or str(error)
