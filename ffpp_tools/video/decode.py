"""Decode exactly the wanted frames of a video, and only the packets that they depend on.

The packets of an H.264 stream, in decoding order:

    shown as   0  4  2  1  3  8  6  5  7 │ 9 13 11 10 12
    type       I  P  B  b  b  P  B  b  b │ I  P  B  b  b    b: not a reference frame
    wanted     *              *          │
    decoded    x  x  x        x          │

Non-reference frames are skipped unless they are wanted. So are all packets from the last wanted
frame to the next IDR picture, since no frame after it refers to one before it. A group of pictures
from one IDR picture to the next is skipped entirely if it contains no wanted frame.
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
    picture: Picture  # rotated and mirrored as the file's display matrix specifies


def frames(video: Video, wanted: Sequence[int]) -> Iterator[Frame]:
    """Decode exactly the wanted frames, in display order.

    Packets that no wanted frame depends on are not decoded if the stream specifies the dependencies
    (H.264); for other codecs, everything up to the last wanted frame is decoded. The frames are
    bit-identical to those of a full decode. Frames are identified by their packets, so that a
    damaged packet does not shift the frames after it. At the first sign of damage everything is
    decoded, so that no damage goes unnoticed: frames that cannot be decoded are omitted, and so are
    all frames after a damaged packet up to the next key frame, which may be predicted from it.

    Args:
        video: result of `read_video`.
        wanted: strictly increasing display indices, 0-based.

    Yields:
        The wanted frames, except damaged ones.

    Raises:
        DecodeError: the file cannot be opened at all; the message names the file.
    """
    import av

    try:
        yield from _decode_wanted(video, wanted)
    except (av.FFmpegError, OSError, ValueError) as error:
        raise DecodeError(f"{video.path}: cannot be opened ({ffmpeg_message(error)})") from error
    finally:
        # PyAV's streams and containers form reference cycles, so that a decoder with a dozen large
        # frames would stay in memory until Python's next cyclic garbage collection.
        gc.collect()


def _decode_wanted(video: Video, wanted: Sequence[int]) -> Iterator[Frame]:
    remaining = deque(i for i in wanted if i < len(video.packet_of_frame))
    if not remaining:
        return
    needed = _needed(video, remaining)
    orientation: Orientation | None = None
    for decoded in (_until_damage(video, needed), _open_gop(video), _undamaged(video)):
        for index, frame in decoded:
            while remaining and remaining[0] < index:
                remaining.popleft()
            if remaining and remaining[0] == index:
                remaining.popleft()
                orientation = orientation or Orientation.of(frame)
                yield Frame(index, video.time_s(index), orientation.picture(frame))
            if not remaining:
                return


def _needed(video: Video, indices: Iterable[int]) -> list[int]:
    """Return the positions of the packets that the frames `indices` depend on, increasing."""
    wanted = {video.packet_of_frame[i] for i in indices}
    needed: list[int] = []
    references: list[int] = []  # packets since the last wanted packet or IDR picture
    for position, packet in enumerate(video.packets):
        if packet.closed_gop_start:
            references = []
        if position in wanted:
            needed += [*references, position]
            references = []
        elif not packet.disposable:
            references.append(position)
    return needed


def _until_damage(video: Video, needed: Sequence[int]) -> Iterator[tuple[int, av.VideoFrame]]:
    """Yield the frames of the needed packets with their indices, up to the first sign of damage."""
    decoded = set(needed)
    expected = [
        (i, position) for i, position in enumerate(video.packet_of_frame) if position in decoded
    ]
    held = _HeldFrames(video, needed)
    with open_container(video.path, video.max_pixels) as container:
        stream = video_stream(container, video.path, video.max_pixels)
        output = decoded_frames(container, stream, needed)
        for (index, expected_position), (position, frame) in zip(expected, output, strict=False):
            if frame is None or frame.is_corrupt or position != expected_position:
                return
            yield from held.add(index, frame)
    if held.last == expected[-1][0]:
        yield from held.flush()


def _open_gop(video: Video) -> Iterator[tuple[int, av.VideoFrame]]:
    """Yield the frames of an initial open GOP, whose preceding frames were cut off, with indices.

    Frames after its key picture may list references that were cut off but that they do not use. A
    decoder that ignores errors decodes them correctly; damage looks the same and is not detected.
    """
    end_frame, n_packets = _open_gop_end(video)
    frame_indices = _frames_of_packet(video)
    with open_container(video.path, video.max_pixels, strict=False) as container:
        stream = video_stream(container, video.path, video.max_pixels)
        for position, frame in decoded_frames(container, stream, range(n_packets)):
            indices = frame_indices[position]
            if frame is not None and indices and indices[0] < end_frame:
                yield indices.popleft(), frame


def _open_gop_end(video: Video) -> tuple[int, int]:
    """Return the index of the first frame after an initial open GOP, and its number of packets.

    Its packets are those up to the second key picture, and those of frames shown before that:

        decoded  I  B  P  b  b │ I  b  b  P    the first I is not an IDR picture
        counted  x  x  x  x  x   x  x  x

    Both are 0 if the video does not start with an open GOP.
    """
    keys = [i for i, packet in enumerate(video.packets) if packet.key]
    if not keys or not video.packets[keys[0]].open_gop_start:
        return 0, 0
    frame_of_packet = {position: index for index, position in enumerate(video.packet_of_frame)}
    if len(keys) == 1 or keys[1] not in frame_of_packet:
        return len(video.packet_of_frame), len(video.packets)
    end_frame = frame_of_packet[keys[1]]
    return end_frame, 1 + max([keys[1], *video.packet_of_frame[:end_frame]])


def _frames_of_packet(video: Video) -> defaultdict[int, deque[int]]:
    """Return position of a packet → indices of its frames: none, one or several."""
    indices = defaultdict[int, deque[int]](deque)
    for index, position in enumerate(video.packet_of_frame):
        indices[position].append(index)
    return indices


def _undamaged(video: Video) -> Iterator[tuple[int, av.VideoFrame]]:
    """Yield every frame that damage cannot have affected, with its index, in display order.

    After a packet that fails, a frame marked corrupt or a missing frame, all frames are suspect up
    to the next key frame, and so are frames displayed earlier but decoded later:

        index   0  1  2  .  4  5  6  7     3 is missing
                K     x     x  x  K        2, 4 and 5 may be predicted from it

    The frames of `_open_gop` are excluded.
    """
    gop_end, gop_packets = _open_gop_end(video)
    if gop_end == len(video.packet_of_frame):
        return
    frame_indices, positions = _frames_of_packet(video), range(len(video.packets))
    failed: set[int] = set()  # positions of packets
    suspect = len(video.packets)  # from this position on, frames may depend on lost packets
    held = _HeldFrames(video, positions)
    with open_container(video.path, video.max_pixels) as container:
        stream = video_stream(container, video.path, video.max_pixels)
        for position, frame in decoded_frames(container, stream, positions):
            index = frame_indices[position][0] if frame_indices[position] else None
            if position < gop_packets and (index is None or index < gop_end):
                held.last = held.last if frame is None or index is None else index
                continue
            if frame is None or index is None:
                failed.add(position)
                suspect = min(suspect, position)
                held.drop()
                continue
            frame_indices[position].popleft()
            if index != held.last + 1:
                suspect = 0
                held.drop()
            if frame.is_corrupt:
                suspect = min(suspect, position)
                held.drop()
            if frame.key_frame and not frame.is_corrupt and suspect <= position:
                later = (p for p in failed if p > position and not _is_leading(video, p, position))
                suspect = min(later, default=len(video.packets))
            if position < suspect:
                yield from held.add(index, frame)
            else:
                held.last = index
    if held.last == len(video.packet_of_frame) - 1:
        yield from held.flush()


def _is_leading(video: Video, position: int, key: int) -> bool:
    """Whether a packet is decoded after a key picture but shown before it.

    No picture that is shown after the key picture refers to such a leading picture.
    """
    pts, key_pts = video.packets[position].pts, video.packets[key].pts
    return pts is not None and key_pts is not None and pts < key_pts


class _HeldFrames:
    """Frames that are held back until all frames decoded before them have been output.

    Only then is it certain that none of the frames that they are predicted from is missing.
    """

    def __init__(self, video: Video, needed: Iterable[int]) -> None:
        """Prepare for decoding the packets at the positions `needed`."""
        frame_indices = _frames_of_packet(video)
        self._until: dict[int, int] = {}  # index of a frame → index of the frame it waits for
        latest = -1
        for position in needed:
            for index in frame_indices[position]:
                latest = max(latest, index)
                self._until[index] = latest
        self._frames: deque[tuple[int, av.VideoFrame]] = deque()
        self.last = -1  # index of the last frame that the decoder output

    def add(self, index: int, frame: av.VideoFrame) -> Iterator[tuple[int, av.VideoFrame]]:
        """Hold the next frame; yield the frames that need not wait any longer, with indices."""
        self.last = index
        self._frames.append((index, frame))
        while self._frames and self._until[self._frames[0][0]] <= index:
            yield self._frames.popleft()

    def drop(self) -> None:
        """Discard all held frames because one they may depend on is missing."""
        self._frames.clear()

    def flush(self) -> Iterator[tuple[int, av.VideoFrame]]:
        """Yield the remaining frames at the end of the stream."""
        yield from self._frames
