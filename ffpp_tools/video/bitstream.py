"""What compressed frames tell without being decoded: pictures, and what refers to them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence, Set
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import av

Unit = tuple[int, int]  # where it starts and ends in its packet

# NAL unit types of H.264 (ITU-T H.264, table 7-1).
SLICE, IDR_SLICE, SEI, EXTENSION_SLICE = 1, 5, 6, 20
RECOVERY_POINT = 6  # type of an SEI message (D.1.1)
FORBIDDEN = 0x80  # the bit of a unit's first byte that is never set
# NAL unit types of HEVC (ITU-T H.265, table 7-1).
HEVC_RASL, HEVC_BLA, HEVC_IDR, HEVC_CRA, HEVC_END = (8, 9), (16, 17, 18), (19, 20), 21, (36, 37)
HEVC_SLICES = 32  # types below are slices
HEVC_HEADERS = range(32, 41)  # parameter sets, messages and ends
H264_HEADERS = range(6, 14)
# Start codes of MPEG-4 (ISO/IEC 14496-2, table 6-3), and the bytes it takes to repeat a frame, at
# most, by FFmpeg's measure.
MPEG4_PICTURE, MPEG4_CODES, MPEG4_REPEAT = 0xB6, range(0xB0, 0xC4), 19
VP8_SHOWN = 0x10  # the bit of a frame's first byte (RFC 6386, 9.1)
START_CODE = re.compile(b"\x00\x00\x01(.)", re.DOTALL)


def length_size(codec: av.VideoCodecContext) -> int | None:
    """How many bytes tell a NAL unit's length in a stream; 0: start codes part them.

    None for every codec but H.264 and HEVC.
    """
    header = codec.extradata or b""
    if codec.name not in ("h264", "hevc"):
        return None
    at = 4 if codec.name == "h264" else 21  # in avcC and hvcC (ISO/IEC 14496-15)
    return (header[at] & 3) + 1 if len(header) > at and header[0] == 1 else 0


def units(data: memoryview, size: int) -> list[Unit]:
    """Where every NAL unit in a packet starts and ends; none where they do not fill it."""
    if not size:
        starts = [(match.start(), match.start(1)) for match in START_CODE.finditer(data)]
        ends = [code for code, _ in starts[1:]] + [len(data)]
        return [(start, end) for (_, start), end in zip(starts, ends, strict=True)]
    found, start = [], 0
    while start + size < len(data):
        length = int.from_bytes(data[start : start + size], "big")
        found.append((start + size, start + size + length))
        start += size + length
    return found if start == len(data) else []


def reference_flags(headers: Sequence[int]) -> tuple[bool, bool]:
    """Whether an H.264 packet is known to be disposable, and to be fresh, as in `Packet`.

    A picture whose nal_ref_idc is 0 is referred to by no other (7.4.1); an IDR picture empties the
    decoder's store of reference pictures (7.4.1.2.4). A damaged packet is not believed.

    Args:
        headers: the first byte of every NAL unit in it.
    """
    if any(header & FORBIDDEN for header in headers):
        return False, False
    referred, fresh, slices = False, False, 0
    for header in headers:
        kind = header & 31
        if _holds_picture(header):
            slices += 1
            referred |= bool(header >> 5 & 3) or kind == EXTENSION_SLICE
            fresh |= kind == IDR_SLICE
    return slices > 0 and not referred, fresh


def pictures(data: memoryview, found: Sequence[Unit], codec: str) -> int | None:
    """How many pictures start in a packet: slices whose first macroblock is the picture's first.

    Pictures of further layers do not count. None where it is not known, or the packet is damaged.
    """
    if not found or any(data[start] & FORBIDDEN for start, _ in found):
        return None
    if codec == "h264":
        begin = [start for start, _ in found if SLICE <= data[start] & 31 <= IDR_SLICE]
        first = [s + 1 for s in begin if data[s] & 31 in (1, 2, IDR_SLICE)]
    else:
        base = [start for start, end in found if end - start > 2 and not _hevc_layer(data, start)]
        first = [start + 2 for start in base if data[start] >> 1 < HEVC_SLICES]
    return sum(at < len(data) and data[at] >> 7 for at in first) or None


def shows_nothing(data: memoryview, found: Sequence[Unit], codec: str) -> bool:
    """Whether a packet is known to hold no frame that is shown: headers, a hidden reference."""
    if codec in ("h264", "hevc"):
        if any(data[start] & FORBIDDEN for start, _ in found):
            return False
        if codec == "h264":
            return bool(found) and all(data[start] & 31 in H264_HEADERS for start, _ in found)
        return bool(found) and all(data[start] >> 1 in HEVC_HEADERS for start, _ in found)
    if codec == "mpeg4":
        codes = {match.group(1)[0] for match in START_CODE.finditer(data)}
        if MPEG4_PICTURE in codes:
            return len(data) <= MPEG4_REPEAT
        return any(code in MPEG4_CODES for code in codes)
    if codec == "vp8":
        return not data[0] & VP8_SHOWN
    if codec == "vp9":
        return _vp9_hidden(data[0])
    return False


def recovers(data: memoryview, found: Sequence[Unit]) -> bool:
    """Whether an H.264 packet says that decoding may start here, though it is no IDR picture."""
    kinds = {data[start] & 31 for start, _ in found}
    return IDR_SLICE not in kinds and any(
        RECOVERY_POINT in _sei_messages(data[start + 1 : end])
        for start, end in found
        if data[start] & 31 == SEI
    )


def hevc_kinds(data: memoryview, found: Sequence[Unit]) -> frozenset[int]:
    """The types of the NAL units of an HEVC packet."""
    base = [start for start, _ in found if not _hevc_layer(data, start)]
    return frozenset(data[start] >> 1 & 63 for start in base)


def skips_leading(kinds: Iterable[Set[int]]) -> bool:
    """Whether an HEVC stream has pictures that no decoder shows, since it lacks what they refer to.

    RASL pictures behind a CRA picture with which decoding starts, or a BLA picture (8.1.3).

    Args:
        kinds: the types of the NAL units of every packet, in decoding order.
    """
    starts, dropping = True, False  # whether decoding starts at the next random access point
    for types in kinds:
        if types & {*HEVC_BLA, *HEVC_IDR, HEVC_CRA}:
            dropping = bool(types & {*HEVC_BLA}) or (starts and HEVC_CRA in types)
            starts = False
        elif dropping and types & {*HEVC_RASL}:
            return True
        starts |= bool(types & {*HEVC_END})
    return False


def content(data: memoryview, found: Sequence[Unit]) -> Iterator[bytes]:
    """What of a packet does not depend on the container: its slices, or all of it.

    Containers part NAL units in different ways, repeat parameter sets and pad with zeros.
    """
    slices = [(start, end) for start, end in found if _holds_picture(data[start])]
    for start, end in slices or [(0, len(data))]:
        part = bytes(data[start:end]).rstrip(b"\0")
        yield len(part).to_bytes(4, "big")
        yield part


def _holds_picture(header: int) -> bool:
    return SLICE <= header & 31 <= IDR_SLICE or header & 31 == EXTENSION_SLICE


def _vp9_hidden(header: int) -> bool:
    """Whether a VP9 frame is not shown (its specification, 6.2), by its first byte."""
    # Bits: 2 of a marker, 2 of the profile and, of profile 3, 1 reserved; then three flags.
    flags = header << 1 if header >> 4 & 3 == 3 else header
    shows_another, shown = flags & 8, flags & 2
    return not shows_another and not shown


def _hevc_layer(data: memoryview, start: int) -> int:
    return (data[start] & 1) << 5 | data[start + 1] >> 3 if start + 1 < len(data) else 0


def _sei_messages(data: memoryview) -> Iterator[int]:
    """The types of the messages in an SEI unit (7.3.2.3.1)."""
    at = 0
    while at + 2 < len(data):  # what follows the last one is a single byte
        numbers = []
        for _ in range(2):  # type and size, each of bytes of 255 and a last one below
            number = 0
            while at < len(data) and data[at] == 255:
                number, at = number + 255, at + 1
            numbers.append(number + (data[at] if at < len(data) else 0))
            at += 1
        yield numbers[0]
        at += numbers[1]
