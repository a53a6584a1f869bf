"""Parse packets without decoding them: which pictures they contain and what refers to them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence, Set
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import av

Unit = tuple[int, int]  # start and end of a NAL unit in its packet

# NAL unit types of H.264 (ITU-T H.264, table 7-1).
SLICE, IDR_SLICE, SEI, EXTENSION_SLICE = 1, 5, 6, 20
RECOVERY_POINT = 6  # type of an SEI message (D.1.1)
FORBIDDEN = 0x80  # forbidden_zero_bit of a unit's first byte, which is never set
# NAL unit types of HEVC (ITU-T H.265, table 7-1).
HEVC_RASL, HEVC_BLA, HEVC_IDR, HEVC_CRA, HEVC_END = (8, 9), (16, 17, 18), (19, 20), 21, (36, 37)
HEVC_SLICES = 32  # types below this are slices
HEVC_HEADERS = range(32, 41)  # parameter sets, SEI messages and ends of sequences
H264_HEADERS = range(6, 14)
# Start codes of MPEG-4 (ISO/IEC 14496-2, table 6-3), and the maximum size in bytes of a packet that
# only repeats a frame, according to FFmpeg.
MPEG4_PICTURE, MPEG4_CODES, MPEG4_REPEAT = 0xB6, range(0xB0, 0xC4), 19
VP8_SHOWN = 0x10  # show_frame bit of a frame's first byte (RFC 6386, 9.1)
START_CODE = re.compile(b"\x00\x00\x01(.)", re.DOTALL)


def length_size(codec: av.VideoCodecContext) -> int | None:
    """Return the size in bytes of the length field of NAL units; 0 if start codes separate them.

    None for codecs other than H.264 and HEVC.
    """
    header = codec.extradata or b""
    if codec.name not in ("h264", "hevc"):
        return None
    offset = 4 if codec.name == "h264" else 21  # in avcC and hvcC (ISO/IEC 14496-15)
    return (header[offset] & 3) + 1 if len(header) > offset and header[0] == 1 else 0


def units(data: memoryview, size: int) -> list[Unit]:
    """Return start and end of each NAL unit in a packet; empty if they do not fill the packet.

    Args:
        data: the packet.
        size: what `length_size` returned.
    """
    if not size:
        starts = [(match.start(), match.start(1)) for match in START_CODE.finditer(data)]
        ends = [code for code, _ in starts[1:]] + [len(data)]
        return [(start, end) for (_, start), end in zip(starts, ends, strict=True)]
    ranges, start = [], 0
    while start + size < len(data):
        length = int.from_bytes(data[start : start + size], "big")
        ranges.append((start + size, start + size + length))
        start += size + length
    return ranges if start == len(data) else []


def reference_flags(headers: Sequence[int]) -> tuple[bool, bool]:
    """Return `Packet.disposable` and `Packet.closed_gop_start` of an H.264 packet.

    A picture whose nal_ref_idc is 0 is not a reference picture (7.4.1); an IDR picture empties the
    decoder's buffer of reference pictures (7.4.1.2.4). Both flags are False for a damaged packet.

    Args:
        headers: the first byte of each NAL unit in the packet.
    """
    if any(header & FORBIDDEN for header in headers):
        return False, False
    is_reference, has_idr, slices = False, False, 0
    for header in headers:
        unit_type = header & 31
        if _is_slice(header):
            slices += 1
            is_reference |= bool(header >> 5 & 3) or unit_type == EXTENSION_SLICE
            has_idr |= unit_type == IDR_SLICE
    return slices > 0 and not is_reference, has_idr


def pictures(data: memoryview, units: Sequence[Unit], codec: str) -> int | None:
    """Count the pictures that start in a packet: slices that begin with a picture's first block.

    Pictures of additional layers do not count. None if unknown or if the packet is damaged.
    """
    if not units or any(data[start] & FORBIDDEN for start, _ in units):
        return None
    if codec == "h264":
        slices = [start for start, _ in units if SLICE <= data[start] & 31 <= IDR_SLICE]
        headers = [s + 1 for s in slices if data[s] & 31 in (1, 2, IDR_SLICE)]
    else:
        base = [start for start, end in units if end - start > 2 and not _hevc_layer(data, start)]
        headers = [start + 2 for start in base if data[start] >> 1 < HEVC_SLICES]
    # The first bit of a slice header is set if the slice is the first of its picture.
    return sum(i < len(data) and data[i] >> 7 for i in headers) or None


def shows_nothing(data: memoryview, units: Sequence[Unit], codec: str) -> bool:
    """Whether a packet is known to contain no displayed frame, only headers or a hidden frame."""
    if codec in ("h264", "hevc"):
        if any(data[start] & FORBIDDEN for start, _ in units):
            return False
        if codec == "h264":
            return bool(units) and all(data[start] & 31 in H264_HEADERS for start, _ in units)
        return bool(units) and all(data[start] >> 1 in HEVC_HEADERS for start, _ in units)
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


def recovers(data: memoryview, units: Sequence[Unit]) -> bool:
    """Whether an H.264 packet is marked as a recovery point, and contains no IDR picture."""
    types = {data[start] & 31 for start, _ in units}
    return IDR_SLICE not in types and any(
        RECOVERY_POINT in _sei_messages(data[start + 1 : end])
        for start, end in units
        if data[start] & 31 == SEI
    )


def hevc_kinds(data: memoryview, units: Sequence[Unit]) -> frozenset[int]:
    """Return the types of the NAL units in the base layer of an HEVC packet."""
    base = [start for start, _ in units if not _hevc_layer(data, start)]
    return frozenset(data[start] >> 1 & 63 for start in base)


def skips_leading(kinds: Iterable[Set[int]]) -> bool:
    """Whether an HEVC stream has pictures that decoders skip because their references are missing.

    These are RASL pictures after a BLA picture, or after the CRA picture at which decoding starts
    (8.1.3).

    Args:
        kinds: types of the NAL units of each packet, in decoding order.
    """
    is_start = True  # whether decoding starts at the next random access point
    skips_rasl = False
    for types in kinds:
        if types & {*HEVC_BLA, *HEVC_IDR, HEVC_CRA}:
            skips_rasl = bool(types & {*HEVC_BLA}) or (is_start and HEVC_CRA in types)
            is_start = False
        elif skips_rasl and types & {*HEVC_RASL}:
            return True
        is_start |= bool(types & {*HEVC_END})
    return False


def content(data: memoryview, units: Sequence[Unit]) -> Iterator[bytes]:
    """Yield the bytes of a packet that do not depend on the container: its slices, or all of it.

    Containers separate NAL units in different ways, repeat parameter sets and pad with zeros.
    """
    slices = [(start, end) for start, end in units if _is_slice(data[start])]
    for start, end in slices or [(0, len(data))]:
        payload = bytes(data[start:end]).rstrip(b"\0")
        yield len(payload).to_bytes(4, "big")
        yield payload


def _is_slice(header: int) -> bool:
    return SLICE <= header & 31 <= IDR_SLICE or header & 31 == EXTENSION_SLICE


def _vp9_hidden(header: int) -> bool:
    """Whether a VP9 frame is not shown, from its first byte (VP9 specification, 6.2)."""
    # Bits: 2 marker, 2 profile, 1 reserved in profile 3 only, then three flags.
    flags = header << 1 if header >> 4 & 3 == 3 else header
    show_existing_frame, show_frame = flags & 8, flags & 2
    return not show_existing_frame and not show_frame


def _hevc_layer(data: memoryview, start: int) -> int:
    return (data[start] & 1) << 5 | data[start + 1] >> 3 if start + 1 < len(data) else 0


def _sei_messages(data: memoryview) -> Iterator[int]:
    """Yield the types of the messages in an SEI unit (7.3.2.3.1)."""
    position = 0
    while position + 2 < len(data):  # the last message is followed by a single byte
        type_and_size = []
        for _ in range(2):  # each is the sum of bytes of 255 and a last byte below 255
            number = 0
            while position < len(data) and data[position] == 255:
                number, position = number + 255, position + 1
            type_and_size.append(number + (data[position] if position < len(data) else 0))
            position += 1
        yield type_and_size[0]
        position += type_and_size[1]
