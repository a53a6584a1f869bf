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
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ffpp_tools.demux import Video, opened, reason, video_stream
from ffpp_tools.errors import DecodeError
from ffpp_tools.picture import Picture, Turn

if TYPE_CHECKING:
    import av


@dataclass(frozen=True)
class Frame:
    """One decoded frame."""

    index: int  # in display order, from 0
    time_s: float  # after the first frame
    picture: Picture  # turned as the file says it is to be shown


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
        raise DecodeError(f"{video.path}: cannot be opened ({reason(error)})") from error
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
    held = _Held(video, needed)
    with opened(video.path) as container:
        came = _decoded(container, video_stream(container, video.path), needed)
        for pts, frame in zip(expected, came, strict=False):
            if frame is None or frame.is_corrupt or frame.pts != pts:
                return
            yield from held.add(index_of[pts], frame)
    if held.last == index_of[expected[-1]]:
        yield from held.rest()


def _intact(video: Video) -> Iterator[tuple[int, av.VideoFrame]]:
    """Every frame with its index, in display order, but for those that damage has touched.

    A packet that fails, a frame that is marked corrupt and one that is missing make all that
    follows suspect, up to the next key frame, and what comes before it but was decoded later:

        index   0  1  2  .  4  5  6  7     3 is lost
                K     x     x  x  K        2, 4 and 5 may be predicted from it
    """
    index_of = {pts: i for i, pts in enumerate(video.pts)}
    every = range(len(video.packets))
    intact, held = True, _Held(video, every)
    with opened(video.path) as container:
        stream = video_stream(container, video.path)
        for frame in _decoded(container, stream, every):
            index = None if frame is None or frame.pts is None else index_of.get(frame.pts)
            if frame is None or index is None:
                intact = False
                held.drop()
                continue
            if frame.is_corrupt or index != held.last + 1:
                held.drop()
                intact = False
            intact = not frame.is_corrupt and (intact or bool(frame.key_frame))
            if intact:
                yield from held.add(index, frame)
            else:
                held.last = index
    if held.last == len(video.pts) - 1:
        yield from held.rest()


class _Held:
    """Frames that wait until all that was decoded before them has come out.

    Only then is it known that nothing is lost that they are predicted from.
    """

    def __init__(self, video: Video, needed: Iterable[int]) -> None:
        """For the packets at the positions `needed`, which are decoded."""
        index_of: dict[int | None, int] = {pts: i for i, pts in enumerate(video.pts)}
        self._until: dict[int, int] = {}  # index of a frame → of the one that it waits for
        latest = -1
        for position in needed:
            index = index_of.get(video.packets[position].pts)
            if index is not None:
                latest = max(latest, index)
                self._until[index] = latest
        self._frames: deque[tuple[int, av.VideoFrame]] = deque()
        self.last = -1  # index of the frame that came out last

    def add(self, index: int, frame: av.VideoFrame) -> Iterator[tuple[int, av.VideoFrame]]:
        """Take the next frame; the frames that need not wait any longer, with their indices."""
        self.last = index
        self._frames.append((index, frame))
        while self._frames and self._until[self._frames[0][0]] <= index:
            yield self._frames.popleft()

    def drop(self) -> None:
        """Something is lost: forget all that waits."""
        self._frames.clear()

    def rest(self) -> Iterator[tuple[int, av.VideoFrame]]:
        """The frames that still wait, when nothing more will come."""
        yield from self._frames


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
