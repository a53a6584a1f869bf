"""Which packets of a video are shown, in which order, and when.

Timestamps tell where the container has them and every packet is one frame. Otherwise everything
is decoded, and what comes out counts: an AVI file has times of decoding alone, VP8 has reference
frames that are never shown, MPEG-4 has packets that repeat a frame, and a cut leaves pictures that
refer to what was cut off.
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

# Containers that tell when a frame is shown, by FFmpeg's names.
TIMED = (MOV, "matroska,webm", "mpegts", "flv")
# Codecs whose every packet holds a frame that is shown, unless it is known that it does not.
TOLD = ("h264", "hevc", "vp8", "vp9", "mpeg4")
WHOLE = (0, 1)  # FFmpeg's AV_FIELD_UNKNOWN and AV_FIELD_PROGRESSIVE: no packet is half a frame


@dataclass(frozen=True)
class Packet:
    """One compressed frame."""

    pts: int | None  # when it is shown, in units of the stream's time base
    dts: int | None  # when it is decoded
    hidden: bool  # the container says that it is not shown: an edit list leaves it out
    key: bool  # the container says that decoding may start here
    disposable: bool = False  # known that no other frame refers to it
    fresh: bool = False  # known that neither it nor any packet behind it refers to one before it
    pictures: int | None = None  # how many start in it; None where that is not known
    empty: bool = False  # known to hold no frame that is shown
    damaged: bool = False  # its structure is broken
    recovers: bool = False  # decoding may start here, though what lies behind may fail to find
    # pictures before it: the key picture of an open GOP
    kinds: frozenset[int] = frozenset()  # of HEVC, the types of its NAL units


@dataclass(frozen=True)
class DisplayedFrame:
    """A frame that is shown."""

    position: int  # of its packet, in decoding order
    behind: int | None = None  # position of the packet behind which it came out of the decoder
    key: bool = False  # a key picture


def by_timestamps(
    packets: Sequence[Packet], stream: av.VideoStream, container: str
) -> list[DisplayedFrame] | None:
    """The shown frames in display order; None where timestamps do not tell it."""
    codec = stream.codec_context
    times = [packet.pts for packet in packets if packet.pts is not None]
    whole = codec.name in ("h264", "hevc") and codec.field_order in WHOLE
    if (
        container not in TIMED
        or not whole
        or not _hold_one_picture_each(packets)
        or len(set(times)) < len(packets)
        or (codec.has_b_frames and _are_of_decoding(times))
        or _overlap(packets, times)
    ):
        return None
    order = sorted((i for i, p in enumerate(packets) if not p.hidden), key=times.__getitem__)
    return [DisplayedFrame(position) for position in order]


def _hold_one_picture_each(packets: Sequence[Packet]) -> bool:
    """Whether every packet shows one picture, from the first on.

    A packet of no known structure is damaged: it is taken for the one picture that it was.
    """
    return (
        _begins(packets[0])
        and not packets[0].recovers
        and not any(packet.empty or packet.pictures not in (None, 1) for packet in packets)
        and not bitstream.skips_leading(packet.kinds for packet in packets)
    )


def _are_of_decoding(times: Sequence[int]) -> bool:
    """Whether times of a video with B-frames rise from packet to packet.

    Whoever copies frames out of an AVI file takes the times of decoding for those of display.
    """
    return all(a < b for a, b in pairwise(times))


def _overlap(packets: Sequence[Packet], times: Sequence[int]) -> bool:
    """Whether a key picture is shown before one that comes earlier in the file.

    Whoever joins files may let their times overlap.
    """
    latest = accumulate(times, max)
    after = zip(packets[1:], times[1:], latest, strict=False)
    return any(packet.key and before >= time for packet, time, before in after)


def by_decoding(
    path: Path, packets: Sequence[Packet], max_pixels: int
) -> Generator[None, None, list[DisplayedFrame]]:
    """The frames that come out of the decoder, in that order.

    A damaged packet whose frame does not come out has its place where the frame would have been, or
    before that, unless it lies before the first key picture.

    Yields:
        None, often, as a sign of life.

    Raises:
        DecodeError: no frame comes out.
    """
    found, failed, told = yield from _come_out(path, packets, max_pixels, strict=True)
    if failed:  # what is known to be wrong is left out; a decoder that conceals it counts frames
        concealed, *_ = yield from _come_out(path, packets, max_pixels, strict=False)
        found = list({one.position: one for one in concealed}.values())
    if not found:
        raise DecodeError(f"{path}: no frame of its {len(packets)} packets can be decoded")
    if told:  # those that silently give nothing are damaged too
        failed |= {i for i, packet in enumerate(packets) if not packet.empty}
    start = next((i for i, packet in enumerate(packets) if _begins(packet)), 0)
    if packets[start].recovers:  # over some frames, which are not shown
        start = min(one.position for one in found)
    timed = _increasing([packets[one.position].pts for one in found]) is not None
    for position in sorted(failed - {one.position for one in found}):
        packet = packets[position]
        if position < start or packet.hidden or (timed and _leads(packets, start, position)):
            continue
        if timed and packet.pts is not None:
            before = [(packets[one.position].pts or 0) < packet.pts for one in found]
        else:
            # Behind the last key picture, and what came out before the packet went in.
            key = max(
                (i for i, x in enumerate(found) if x.key and x.position < position), default=-1
            )
            out = [x.behind is not None and x.behind < position for x in found]
            before = [i <= key or came for i, came in enumerate(out)]
        place = before.index(False) if False in before else len(found)
        found.insert(place, DisplayedFrame(position, position))
    return found


def _leads(packets: Sequence[Packet], start: int, position: int) -> bool:
    """Whether a packet is shown before the key picture at `start`, behind which it is stored.

    Matroska has no times below 0: where its first key picture is shown at 0, the packets directly
    behind it that have no time are shown before it.
    """
    first, packet = packets[start], packets[position]
    if packet.pts is not None:
        return packet.pts < (first.pts or 0)
    opens = first.recovers or bitstream.HEVC_CRA in first.kinds
    return opens and all(one.pts is None for one in packets[start + 1 : position])


def _begins(packet: Packet) -> bool:
    """Whether decoding may start at a packet: one that is damaged may have been a key picture."""
    return packet.key or packet.damaged


def _come_out(
    path: Path, packets: Sequence[Packet], max_pixels: int, strict: bool
) -> Generator[None, None, tuple[list[DisplayedFrame], set[int], bool]]:
    """The frames that come out, the packets that fail, and whether every packet should give one."""
    found, failed = [], set()
    with open_container(path, max_pixels, strict) as container:
        stream = video_stream(container, path, max_pixels)
        told = stream.codec_context.name in TOLD and stream.codec_context.field_order in WHOLE
        for position, frame in decoded_frames(container, stream, range(len(packets))):
            if frame is None:
                failed.add(position)
            else:
                found.append(DisplayedFrame(position, frame.dts, bool(frame.key_frame)))
            yield
    return found, failed, told


def times(packets: Sequence[Packet], shown: Sequence[DisplayedFrame]) -> list[int] | None:
    """When every shown frame is shown, in units of the time base; None where nothing tells it.

    Where frames do not come out in the order of their times of display, these were made up: then
    it is when they come out. Single times that are missing are put in at the usual distance.
    """
    displayed = [packets[one.position].pts for one in shown]
    decoded = [None if one.behind is None else packets[one.behind].dts for one in shown]
    for found in (displayed, decoded):
        if known := _increasing(_filled(found)):
            return known
    return None


def _filled(found: Sequence[int | None]) -> Sequence[int | None]:
    """The times, and for missing ones the time before (or behind) with the usual distance."""
    steps = [b - a for a, b in pairwise(found) if a is not None and b is not None]
    if None not in found or not steps:
        return found
    step = round(median(steps))
    filled = list(found)
    first = next(i for i, time in enumerate(filled) if time is not None)
    for i in range(first - 1, -1, -1):
        filled[i] = (filled[i + 1] or 0) - step
    for i in range(first + 1, len(filled)):
        filled[i] = (filled[i - 1] or 0) + step if filled[i] is None else filled[i]
    return filled


def _increasing(found: Sequence[int | None]) -> list[int] | None:
    """The times, if all are known and each is larger than the one before."""
    known = [time for time in found if time is not None]
    ordered = len(known) == len(found) and all(a < b for a, b in pairwise(known))
    return known if ordered else None
