"""Exactly the wanted frames of a video, and nothing that they do not depend on.

The packets of an H.264 stream, in the order in which they are decoded:

    shown as   0  4  2  1  3  8  6  5  7 │ 9 13 11 10 12
    type       I  P  B  b  b  P  B  b  b │ I  P  B  b  b    b: no other frame refers to it
    wanted     *              *          │
    decoded    x  x  x        x          │

Frames that nothing refers to are left out unless they are wanted, and so is everything from the
last wanted frame to the next IDR picture, which refers to nothing before it; a run from one IDR
picture to the next that holds no wanted frame is left out whole.
"""

from __future__ import annotations

import gc
import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ffpp_tools.errors import DecodeError
from ffpp_tools.picture import Picture, Turn

if TYPE_CHECKING:
    import av

# NAL unit types of H.264 (ITU-T H.264, table 7-1).
SLICE, IDR_SLICE, EXTENSION_SLICE = 1, 5, 20
START_CODE = re.compile(b"\x00\x00\x01(.)", re.DOTALL)


@dataclass(frozen=True)
class Frame:
    """One decoded frame."""

    index: int  # in display order, from 0
    time_s: float  # after the first frame
    picture: Picture  # turned as the file says it is to be shown


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
            if stream.codec_context is None:
                raise DecodeError(f"{path}: not a readable video (no decoder for its codec)")
            nal_length = _nal_length(stream.codec_context)
            read = [
                (p.pts, p.dts, p.is_discard, *_dependence(p, nal_length))
                for p in container.demux(stream)
                if p.size
            ]
            time_base, declared = float(stream.time_base or 0), stream.frames
    except (av.FFmpegError, OSError, ValueError) as error:
        raise DecodeError(f"{path}: not a readable video ({_reason(error)})") from error
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
    return Video(path, packets, tuple(sorted(distinct)), time_base, missing)


def frames(video: Video, wanted: Sequence[int]) -> Iterator[Frame]:
    """Decode exactly the wanted frames, in display order.

    Packets that no wanted frame depends on are not decoded, as far as the stream tells (H.264
    does, others are decoded up to the last wanted frame); a frame is bit-identical to that of a
    full decode. A frame's index is the rank of its timestamp among all packets, so that a
    damaged packet does not shift the frames behind it. At the first sign of damage everything
    is decoded, so that none of it stays hidden: frames that cannot be decoded are left out, and
    after a damaged packet all others up to the next key frame, which are predicted from what
    was lost.

    Args:
        video: what `probe` returned.
        wanted: strictly increasing display indices, 0-based.

    Yields:
        The frames.

    Raises:
        DecodeError: naming the file, when it cannot be opened at all.
    """
    import av

    try:
        yield from _wanted(video, wanted)
    except (av.FFmpegError, OSError, ValueError) as error:
        raise DecodeError(f"{video.path}: cannot be opened ({_reason(error)})") from error
    finally:
        # PyAV's streams and containers refer to each other, so that a decoder, with a dozen large
        # frames, would stay until Python happens to look for such circles.
        gc.collect()


def _wanted(video: Video, wanted: Sequence[int]) -> Iterator[Frame]:
    left = deque(i for i in wanted if i < len(video.pts))
    if not left:
        return
    needed = _needed(video, left)
    turn: Turn | None = None
    for found in (_undisturbed(video, needed), _intact(video)):
        for index, frame in found:
            while left and left[0] < index:
                left.popleft()
            if left and left[0] == index:
                left.popleft()
                turn = turn or Turn.of(frame)
                yield Frame(index, video.time_s(index), turn.picture(frame))
            if not left:
                return


def _needed(video: Video, indices: Iterable[int]) -> list[int]:
    """Positions of the packets that the frames `indices` depend on, in decoding order."""
    wanted = {video.pts[i] for i in indices}
    needed: list[int] = []
    run: list[int] = []  # from a fresh packet on, to be needed if a wanted one follows
    for position, packet in enumerate(video.packets):
        if packet.fresh:
            run = []
        if packet.pts in wanted:
            needed += [*run, position]
            run = []
        elif not packet.disposable:
            run.append(position)
    return needed


def _undisturbed(video: Video, needed: Sequence[int]) -> Iterator[tuple[int, av.VideoFrame]]:
    """The frames of the needed packets with their indices, up to the first sign of damage."""
    index_of = {pts: i for i, pts in enumerate(video.pts)}
    sent = {video.packets[position].pts for position in needed}
    expected = [pts for pts in video.pts if pts in sent]
    with _opened(video.path) as container:
        came = _decoded(container, _video_stream(container, video.path), needed)
        for pts, frame in zip(expected, came, strict=False):
            if frame is None or frame.is_corrupt or frame.pts != pts:
                return
            yield index_of[pts], frame


def _intact(video: Video) -> Iterator[tuple[int, av.VideoFrame]]:
    """Every frame with its index, in display order, but for those that damage has touched.

    A packet that fails, a frame that is marked corrupt and one that is missing make all that
    follows suspect, up to the next key frame:

        index   0  1  2  .  4  5  6  7     3 is lost
                K           x  x  K        4 and 5 may be predicted from it
    """
    index_of = {pts: i for i, pts in enumerate(video.pts)}
    intact, expected = True, 0
    with _opened(video.path) as container:
        stream = _video_stream(container, video.path)
        for frame in _decoded(container, stream, range(len(video.packets))):
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
    container: av.container.InputContainer, stream: av.VideoStream, needed: Sequence[int]
) -> Iterator[av.VideoFrame | None]:
    """Every frame that comes out of the decoder, and None for a packet that fails.

    Only the packets at the positions `needed` are decoded, and none is read after them.
    """
    import av

    stream.thread_type = "NONE"  # clips are decoded side by side instead
    positions = iter(needed)
    due = next(positions)
    packets = (packet for packet in container.demux(stream) if packet.size)
    try:
        for position, packet in enumerate(packets):
            if position == due:
                yield from _decode(stream, packet)
                due = next(positions, -1)
                if due < 0:
                    break
    except av.FFmpegError:  # the file cannot be read on; what the decoder still holds can
        pass
    yield from _decode(stream, None)


def _decode(
    stream: av.VideoStream, packet: av.Packet[av.VideoStream] | None
) -> Iterator[av.VideoFrame | None]:
    """The frames that come out of the decoder for one packet; None at its end empties it."""
    import av

    try:
        yield from stream.decode(packet)
    except av.FFmpegError:
        yield None


def _nal_length(codec: av.VideoCodecContext) -> int | None:
    """How many bytes tell a NAL unit's length in an H.264 stream; 0: start codes part them.

    None for every other codec.
    """
    if codec.name != "h264":
        return None
    header = codec.extradata or b""
    return (header[4] & 3) + 1 if len(header) > 4 and header[0] == 1 else 0


def _dependence(packet: av.Packet[av.VideoStream], nal_length: int | None) -> tuple[bool, bool]:
    """Whether a packet is known to be disposable, and to be fresh, as in `Packet`.

    An H.264 picture whose nal_ref_idc is 0 is referred to by no other (7.4.1); an IDR picture
    empties the decoder's store of reference pictures (7.4.1.2.4).
    """
    if nal_length is None:
        return False, False
    data = memoryview(packet)
    referred, fresh, slices = False, False, 0
    for header in _nal_headers(data, nal_length):
        kind = header & 31
        if SLICE <= kind <= IDR_SLICE or kind == EXTENSION_SLICE:
            slices += 1
            referred |= bool(header >> 5 & 3) or kind == EXTENSION_SLICE
            fresh |= kind == IDR_SLICE
    return slices > 0 and not referred, fresh


def _nal_headers(data: memoryview, nal_length: int) -> Iterator[int]:
    """The first byte of every NAL unit in a packet."""
    if not nal_length:
        yield from (match[1][0] for match in START_CODE.finditer(data))
        return
    start = 0
    while start + nal_length < len(data):
        yield data[start + nal_length]
        start += nal_length + int.from_bytes(data[start : start + nal_length], "big")


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
