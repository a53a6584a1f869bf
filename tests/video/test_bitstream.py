"""Parsing of compressed frames without decoding them."""

import pytest

from ffpp_tools.video.bitstream import (
    HEVC_CRA,
    HEVC_IDR,
    HEVC_RASL,
    content,
    pictures,
    reference_flags,
    shows_nothing,
    skips_leading,
    units,
)

SPS, IDR, REFERRED, DISPOSABLE = 0x67, 0x65, 0x41, 0x01  # first bytes of NAL units of H.264


def with_lengths(*parts):
    return memoryview(b"".join(len(p).to_bytes(4, "big") + p for p in parts))


def test_units_are_separated_by_lengths_or_start_codes():
    parts = [bytes([SPS, 1]), bytes([IDR, 0x80, 2, 3])]
    data = with_lengths(*parts)
    assert [bytes(data[a:b]) for a, b in units(data, 4)] == parts
    coded = memoryview(b"".join(b"\0\0\1" + p for p in parts))
    assert [bytes(coded[a:b]) for a, b in units(coded, 0)] == parts
    assert units(data[:-1], 4) == []  # lengths that do not fill the packet


@pytest.mark.parametrize(
    ("headers", "disposable", "closed_gop_start"),
    [
        ([SPS, IDR], False, True),
        ([REFERRED], False, False),
        ([DISPOSABLE], True, False),
        ([DISPOSABLE, REFERRED], False, False),
        ([SPS], False, False),
        ([DISPOSABLE | 0x80], False, False),  # damaged
    ],
)
def test_reference_flags_come_from_the_headers_of_units(headers, disposable, closed_gop_start):
    assert reference_flags(headers) == (disposable, closed_gop_start)


def test_pictures_are_counted_by_their_first_slices():
    data = with_lengths(bytes([SPS, 1]), *[bytes([IDR, first, 1]) for first in (0x80, 0x40, 0x80)])
    found = units(data, 4)
    assert pictures(data, found, "h264") == 2
    assert not shows_nothing(data, found, "h264")
    headers = with_lengths(bytes([SPS, 1]))
    assert shows_nothing(headers, units(headers, 4), "h264")
    assert pictures(headers, units(headers, 4), "h264") is None


def test_content_is_that_of_the_slices_in_any_container():
    parts = [bytes([SPS, 1]), bytes([IDR, 0x80, 7])]
    one, other = with_lengths(*parts), memoryview(b"\0\0\1" + parts[1] + b"\0\0")
    assert list(content(one, units(one, 4))) == list(content(other, units(other, 0)))


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        ([HEVC_CRA, HEVC_RASL[0]], True),  # its reference precedes the start
        ([HEVC_IDR[0], HEVC_CRA, HEVC_RASL[0]], False),  # decoding started earlier
        ([HEVC_IDR[0], 1, 1], False),
    ],
)
def test_leading_pictures_are_skipped_only_at_the_start_of_decoding(kinds, expected):
    assert skips_leading([{kind} for kind in kinds]) == expected
