"""Display order and times of the frames of a video.

They follow from timestamps if the container has them and every packet is one frame. Otherwise the
whole video is decoded, and the decoder's output counts: AVI files only have decoding times, VP8 has
reference frames that are never shown, MPEG-4 has packets that repeat a frame, and in a video that
was cut, pictures may refer to others that were cut off.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from ffpp_tools.errors import DecodeError
from ffpp_tools.video import bitstream
from ffpp_tools.video.container import MOV, decoded_frames, open_container, video_stream

if TYPE_CHECKING:
    import av

# Containers that store when a frame is shown, by FFmpeg's names.
TIMED = (MOV, "matroska,webm", "mpegts", "flv")
# Codecs with a displayed frame in every packet, except in packets where `Packet.empty` is set.
ONE_FRAME_PER_PACKET = ("h264", "hevc", "vp8", "vp9", "mpeg4")
# FFmpeg's AV_FIELD_UNKNOWN and AV_FIELD_PROGRESSIVE: no packet is a single field of a frame.
PROGRESSIVE = (0, 1)


@dataclass(frozen=True)
class Packet:
    """One packet of a video stream, normally one compressed frame."""

    pts: int | None  # presentation time, in units of the stream's time base
    dts: int | None  # decoding time
    hidden: bool  # not shown according to the container, because of an edit list
    key: bool  # decoding may start here according to the container
    disposable: bool = False  # certainly not a reference of any other frame
    closed_gop_start: bool = False  # certainly, neither it nor later packets refer to earlier ones
    pictures: int | None = None  # number of pictures that start in it; None if unknown
    empty: bool = False  # certainly contains no displayed frame
    damaged: bool = False  # its structure is invalid
    # Key picture of an open GOP: decoding may start here, but later packets may refer to earlier
    # ones.
    open_gop_start: bool = False
    nal_types: frozenset[int] = frozenset()  # types of its NAL units (HEVC only)


@dataclass(frozen=True)
class DisplayedFrame:
    """A frame that is shown."""

    position: int  # of its packet, in decoding order
    output_after: int | None = None  # position of the packet after which the decoder output it
    key: bool = False  # a key picture


def by_timestamps(
    packets: Sequence[Packet], stream: av.VideoStream, container: str
) -> list[DisplayedFrame] | None:
    """Return the displayed frames in display order; None if timestamps do not determine it."""
    codec = stream.codec_context
    times = [packet.pts for packet in packets if packet.pts is not None]
    is_progressive = codec.name in ("h264", "hevc") and codec.field_order in PROGRESSIVE
    if (
        container not in TIMED
        or not is_progressive
        or not _have_one_picture_each(packets)
        or len(set(times)) < len(packets)
        or (codec.has_b_frames and _are_decoding_times(times))
        or _overlap(packets, times)
    ):
        return None
    order = sorted((i for i, p in enumerate(packets) if not p.hidden), key=times.__getitem__)
    return [DisplayedFrame(position) for position in order]


def _have_one_picture_each(packets: Sequence[Packet]) -> bool:
    """Whether every packet shows exactly one picture, starting with the first packet.

    A packet of unknown structure is damaged; it counts as the one picture that it once held.
    """
    return (
        _may_start(packets[0])
        and not packets[0].open_gop_start
        and not any(packet.empty or packet.pictures not in (None, 1) for packet in packets)
        and not bitstream.skips_leading(packet.nal_types for packet in packets)
    )


def _are_decoding_times(times: Sequence[int]) -> bool:
    """Whether the times of a video with B-frames increase from packet to packet.

    Tools that copy packets from an AVI file store its decoding times as presentation times.
    """
    return all(a < b for a, b in pairwise(times))


def _overlap(packets: Sequence[Packet], times: Sequence[int]) -> bool:
    """Whether a key picture is shown before a frame that is stored earlier in the file.

    This happens in concatenated files whose times overlap.
    """
    latest = accumulate(times, max)
    pairs = zip(packets[1:], times[1:], latest, strict=False)
    return any(packet.key and latest_before >= time for packet, time, latest_before in pairs)


def by_decoding(
    path: Path, packets: Sequence[Packet], max_pixels: int
) -> Generator[None, None, list[DisplayedFrame]]:
    """Determine the displayed frames by decoding the video, in the decoder's output order.

    A damaged packet that yields no frame is inserted where its frame would have been displayed, or
    earlier, unless it precedes the first key picture.

    Yields:
        None, often, so that a timeout can be enforced.

    Raises:
        DecodeError: no frame can be decoded.
    """
    shown, failed, one_per_packet = yield from _output(path, packets, max_pixels, strict=True)
    if failed:  # a strict decoder omits damaged frames; one that conceals damage counts them
        concealed, *_ = yield from _output(path, packets, max_pixels, strict=False)
        shown = list({frame.position: frame for frame in concealed}.values())
    if not shown:
        raise DecodeError(f"{path}: no frame of its {len(packets)} packets can be decoded")
    if one_per_packet:  # packets that silently yield no frame are damaged too
        failed |= {i for i, packet in enumerate(packets) if not packet.empty}
    start = next((i for i, packet in enumerate(packets) if _may_start(packet)), 0)
    if packets[start].open_gop_start:  # frames before the decoder has recovered are not shown
        start = min(frame.position for frame in shown)
    timed = _increasing([packets[frame.position].pts for frame in shown]) is not None
    for position in sorted(failed - {frame.position for frame in shown}):
        packet = packets[position]
        if position < start or packet.hidden or (timed and _is_leading(packets, start, position)):
            continue
        if timed and packet.pts is not None:
            is_before = [(packets[frame.position].pts or 0) < packet.pts for frame in shown]
        else:
            # After the last key picture, and after all frames output before the packet was decoded.
            key = max(
                (i for i, f in enumerate(shown) if f.key and f.position < position), default=-1
            )
            is_output = [f.output_after is not None and f.output_after < position for f in shown]
            is_before = [i <= key or output for i, output in enumerate(is_output)]
        index = is_before.index(False) if False in is_before else len(shown)
        shown.insert(index, DisplayedFrame(position, position))
    return shown


def _is_leading(packets: Sequence[Packet], start: int, position: int) -> bool:
    """Whether a packet is stored after the key picture at `start` but shown before it.

    Matroska has no negative times: if its first key picture is shown at 0, the packets right after
    it that have no time are shown before it.
    """
    first, packet = packets[start], packets[position]
    if packet.pts is not None:
        return packet.pts < (first.pts or 0)
    is_open = first.open_gop_start or bitstream.HEVC_CRA in first.nal_types
    return is_open and all(p.pts is None for p in packets[start + 1 : position])


def _may_start(packet: Packet) -> bool:
    """Whether decoding may start at a packet; a damaged one may have been a key picture."""
    return packet.key or packet.damaged


def _output(
    path: Path, packets: Sequence[Packet], max_pixels: int, strict: bool
) -> Generator[None, None, tuple[list[DisplayedFrame], set[int], bool]]:
    """Decode all packets, yielding after each.

    Returns:
        The frames that the decoder outputs, the positions of packets that fail, and whether every
        packet should yield exactly one frame.
    """
    output, failed = [], set()
    with open_container(path, max_pixels, strict) as container:
        stream = video_stream(container, path, max_pixels)
        codec = stream.codec_context
        one_per_packet = codec.name in ONE_FRAME_PER_PACKET and codec.field_order in PROGRESSIVE
        for position, frame in decoded_frames(container, stream, range(len(packets))):
            if frame is None:
                failed.add(position)
            else:
                output.append(DisplayedFrame(position, frame.dts, bool(frame.key_frame)))
            yield
    return output, failed, one_per_packet


def times(packets: Sequence[Packet], shown: Sequence[DisplayedFrame]) -> list[int] | None:
    """Return the time of each displayed frame, in units of the time base; None if unknown.

    Presentation times that contradict the output order are invalid; then the decoding times at
    which the frames are output are used. Single missing times are filled in with the median step.
    """
    pts = [packets[frame.position].pts for frame in shown]
    dts = [None if f.output_after is None else packets[f.output_after].dts for f in shown]
    for candidate in (pts, dts):
        if known := _increasing(_interpolated(candidate)):
            return known
    return None


def _interpolated(times: Sequence[int | None]) -> Sequence[int | None]:
    """Fill in missing times from the nearest known time before (else after) and the median step."""
    steps = [b - a for a, b in pairwise(times) if a is not None and b is not None]
    if None not in times or not steps:
        return times
    step = round(median(steps))
    filled = list(times)
    first = next(i for i, time in enumerate(filled) if time is not None)
    for i in range(first - 1, -1, -1):
        filled[i] = (filled[i + 1] or 0) - step
    for i in range(first + 1, len(filled)):
        filled[i] = (filled[i - 1] or 0) + step if filled[i] is None else filled[i]
    return filled


def _increasing(times: Sequence[int | None]) -> list[int] | None:
    """Return the times if all are known and strictly increasing, else None."""
    known = [time for time in times if time is not None]
    is_increasing = len(known) == len(times) and all(a < b for a, b in pairwise(known))
    return known if is_increasing else None
