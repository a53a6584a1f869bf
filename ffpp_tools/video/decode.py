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
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ffpp_tools.errors import DecodeError
from ffpp_tools.video.container import decoded_frames, ffmpeg_message, open_container, video_stream
from ffpp_tools.video.demux import Video
from ffpp_tools.video.image import Orientation, Picture

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
    full decode. A frame is known by the packet that holds it, so that a damaged packet does not
    shift the frames behind it. At the first sign of damage everything is decoded, so that none of
    it stays hidden: frames that cannot be decoded are left out, and after a damaged packet all
    others up to the next key frame, which are predicted from what was lost.

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
        raise DecodeError(f"{video.path}: cannot be opened ({ffmpeg_message(error)})") from error
    finally:
        # PyAV's streams and containers refer to each other, so that a decoder, with a dozen large
        # frames, would stay until Python happens to look for such circles.
        gc.collect()


def _wanted(video: Video, wanted: Sequence[int]) -> Iterator[Frame]:
    left = deque(i for i in wanted if i < len(video.shown))
    if not left:
        return
    needed = _needed(video, left)
    turn: Orientation | None = None
    for found in (_undisturbed(video, needed), _opening(video), _intact(video)):
        for index, frame in found:
            while left and left[0] < index:
                left.popleft()
            if left and left[0] == index:
                left.popleft()
                turn = turn or Orientation.of(frame)
                yield Frame(index, video.time_s(index), turn.picture(frame))
            if not left:
                return


def _needed(video: Video, indices: Iterable[int]) -> list[int]:
    """Positions of the packets that the frames `indices` depend on, in decoding order."""
    wanted = {video.shown[i] for i in indices}
    needed: list[int] = []
    run: list[int] = []  # from a fresh packet on, to be needed if a wanted one follows
    for position, packet in enumerate(video.packets):
        if packet.fresh:
            run = []
        if position in wanted:
            needed += [*run, position]
            run = []
        elif not packet.disposable:
            run.append(position)
    return needed


def _undisturbed(video: Video, needed: Sequence[int]) -> Iterator[tuple[int, av.VideoFrame]]:
    """The frames of the needed packets with their indices, up to the first sign of damage."""
    sent = set(needed)
    expected = [(i, position) for i, position in enumerate(video.shown) if position in sent]
    held = _Held(video, needed)
    with open_container(video.path, video.max_pixels) as container:
        stream = video_stream(container, video.path, video.max_pixels)
        came = decoded_frames(container, stream, needed)
        for (index, awaited), (position, frame) in zip(expected, came, strict=False):
            if frame is None or frame.is_corrupt or position != awaited:
                return
            yield from held.add(index, frame)
    if held.last == expected[-1][0]:
        yield from held.rest()


def _opening(video: Video) -> Iterator[tuple[int, av.VideoFrame]]:
    """The frames of a run whose key picture's predecessors were cut off, with their indices.

    What lies behind that key picture may fail to find pictures that it does not need; a decoder
    that goes on regardless gives the right frames. Damage there cannot be told from that.
    """
    first, until = _first_run(video)
    places = _places(video)
    with open_container(video.path, video.max_pixels, strict=False) as container:
        stream = video_stream(container, video.path, video.max_pixels)
        for position, frame in decoded_frames(container, stream, range(until)):
            if frame is not None and places[position] and places[position][0] < first:
                yield places[position].popleft(), frame


def _first_run(video: Video) -> tuple[int, int]:
    """Index of the first frame behind what `_opening` gives, and how many packets that takes.

    They are those up to the second key picture, and those of the frames shown before it:

        decoded  I  B  P  b  b │ I  b  b  P    the first I is no IDR picture
        taken    x  x  x  x  x   x  x  x
    """
    keys = [i for i, packet in enumerate(video.packets) if packet.key]
    if not keys or not video.packets[keys[0]].recovers:
        return 0, 0
    rank = {position: index for index, position in enumerate(video.shown)}
    if len(keys) == 1 or keys[1] not in rank:
        return len(video.shown), len(video.packets)
    first = rank[keys[1]]
    return first, 1 + max([keys[1], *video.shown[:first]])


def _places(video: Video) -> defaultdict[int, deque[int]]:
    """The indices of the frames of the packet at each position: one, or none, or more."""
    places = defaultdict[int, deque[int]](deque)
    for index, position in enumerate(video.shown):
        places[position].append(index)
    return places


def _intact(video: Video) -> Iterator[tuple[int, av.VideoFrame]]:
    """Every frame with its index, in display order, but for those that damage has touched.

    A packet that fails, a frame that is marked corrupt and one that is missing make all that
    follows suspect, up to the next key frame, and what comes before it but was decoded later:

        index   0  1  2  .  4  5  6  7     3 is lost
                K     x     x  x  K        2, 4 and 5 may be predicted from it

    What `_opening` gives is left out.
    """
    first, until = _first_run(video)
    if first == len(video.shown):
        return
    places, every = _places(video), range(len(video.packets))
    failed: set[int] = set()  # positions of packets
    suspect = len(video.packets)  # from this position on, frames may rest on what is lost
    held = _Held(video, every)
    with open_container(video.path, video.max_pixels) as container:
        stream = video_stream(container, video.path, video.max_pixels)
        for position, frame in decoded_frames(container, stream, every):
            index = places[position][0] if places[position] else None
            if position < until and (index is None or index < first):
                held.last = held.last if frame is None or index is None else index
                continue
            if frame is None or index is None:
                failed.add(position)
                suspect = min(suspect, position)
                held.drop()
                continue
            places[position].popleft()
            if index != held.last + 1:
                suspect = 0
                held.drop()
            if frame.is_corrupt:
                suspect = min(suspect, position)
                held.drop()
            if frame.key_frame and not frame.is_corrupt and suspect <= position:
                behind = (p for p in failed if p > position and not _leads(video, p, position))
                suspect = min(behind, default=len(video.packets))
            if position < suspect:
                yield from held.add(index, frame)
            else:
                held.last = index
    if held.last == len(video.shown) - 1:
        yield from held.rest()


def _leads(video: Video, position: int, key: int) -> bool:
    """Whether a packet is decoded behind a key picture and would be shown before it.

    No picture that is shown behind the key picture refers to it.
    """
    shown, of_key = video.packets[position].pts, video.packets[key].pts
    return shown is not None and of_key is not None and shown < of_key


class _Held:
    """Frames that wait until all that was decoded before them has come out.

    Only then is it known that nothing is lost that they are predicted from.
    """

    def __init__(self, video: Video, needed: Iterable[int]) -> None:
        """For the packets at the positions `needed`, which are decoded."""
        places = _places(video)
        self._until: dict[int, int] = {}  # index of a frame → of the one that it waits for
        latest = -1
        for position in needed:
            for index in places[position]:
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
