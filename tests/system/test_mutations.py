"""Thousands of damaged videos: no crash, no hang, and no frame that can be known to be wrong.

H.264 has no checksums: bits that were changed and still decode give wrong frames of which no
decoder reports anything. What FFmpeg does report must not get through.
"""

import gc
import hashlib
import random
import threading
from collections import Counter

import av
import pytest

from ffpp_tools.demo.world import encode
from ffpp_tools.errors import DecodeError
from ffpp_tools.pixel_limits import MAX_PIXELS
from ffpp_tools.video import container, decode, demux
from ffpp_tools.video.decode_limits import with_timeout
from tests.helpers.videos import drawn, full_decode, remux

CONTAINERS = {"mp4": {}, "index-first.mp4": {"movflags": "faststart"}}
MUTATIONS_OF_EACH = 1100
WANTED_EVERY = 3
LIMIT_S = 30


def mutated(data, draw):
    """The bytes of a file with one kind of damage somewhere."""
    data, at = bytearray(data), draw.randrange(len(data))
    end = min(at + draw.randrange(1, 500), len(data))
    kind = draw.choice(("bit", "bits", "zeros", "noise", "cut", "delete", "insert", "swap"))
    if kind == "bit":
        data[at] ^= 1 << draw.randrange(8)
    elif kind == "bits":
        for _ in range(8):
            data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    elif kind == "zeros":
        data[at:end] = bytes(end - at)
    elif kind == "noise":
        data[at:end] = draw.randbytes(end - at)
    elif kind == "cut":
        del data[at:]
    elif kind == "delete":
        del data[at:end]
    elif kind == "insert":
        data[at:at] = draw.randbytes(end - at)
    else:
        other = draw.randrange(len(data) - (end - at) + 1)
        data[at:end], data[other : other + end - at] = (
            data[other : other + end - at],
            data[at:end],
        )
    return kind, bytes(data)


def fingerprint(image):
    return hashlib.sha256(image.tobytes()).digest()


def unreported(path, disposable):
    """Position of a packet → its frame, where FFmpeg reports nothing wrong that it may rest on.

    None for a frame behind a refused packet that nothing is predicted from: FFmpeg then loses some,
    and shows others at the wrong time.

    Args:
        path: a damaged file.
        disposable: of each packet, whether nothing was predicted from it before the damage.
    """
    frames, clean, sound, refused = {}, {}, True, False
    with container.open_container(path, MAX_PIXELS) as file:
        stream = container.video_stream(file, path, MAX_PIXELS)
        try:
            for number, packet in enumerate(file.demux(stream)):
                sound |= packet.is_keyframe
                refused &= not packet.is_keyframe
                packet.pts, clean[number] = number, sound  # damaged timestamps may come twice
                try:
                    came = stream.decode(packet)
                except av.FFmpegError:
                    came, clean[number], refused = [], False, True
                    sound &= number < len(disposable) and disposable[number]
                for frame in came:
                    pixels = frame.to_ndarray(format="rgb24")
                    frames[frame.pts] = None if refused else fingerprint(pixels)
                    clean[frame.pts] = clean.get(frame.pts) and not frame.is_corrupt
        except av.FFmpegError:
            pass
    return {number: frames.get(number) for number, sure in clean.items() if sure}


@pytest.fixture
def unburdened():
    """The decoder collects garbage at every video; what is loaded already is left out."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.slow
@pytest.mark.usefixtures("unburdened")
@pytest.mark.parametrize("name", CONTAINERS)
def test_damage_that_ffmpeg_reports_is_never_passed_on(name, tmp_path):
    whole = tmp_path / "whole.mp4"
    encode(whole, drawn(60), 25, 23)
    source = tmp_path / f"source.{name}"
    remux(whole, source, **CONTAINERS[name])
    data = source.read_bytes()
    right = [fingerprint(image) for image in full_decode(source)]
    disposable = [packet.disposable for packet in demux.read_video(source).packets]
    path, seen, threads = tmp_path / f"x.{name}", Counter(), threading.active_count()
    for seed in range(MUTATIONS_OF_EACH):
        kind, damaged = mutated(data, random.Random(seed))
        path.write_bytes(damaged)

        def read():
            video = demux.read_video(path)
            yield video
            yield from decode.frames(video, range(0, video.n_frames, WANTED_EVERY))

        try:
            video, *found = with_timeout(
                read, LIMIT_S, path
            )  # anything but a DecodeError is a failure
        except DecodeError as error:
            assert "hung" not in str(error), (seed, kind)
            seen["refused"] += 1
            continue
        wrong = [
            frame
            for frame in found
            if frame.index >= len(right) or fingerprint(frame.picture.image) != right[frame.index]
        ]
        seen["passed"] += len(found)
        seen["silently wrong"] += len(wrong)
        if wrong:
            silent = unreported(path, disposable)
            for frame in wrong:
                position = video.shown[frame.index]
                assert position in silent, (seed, kind, frame.index)
                assert silent[position] in (None, fingerprint(frame.picture.image)), (seed, kind)
    assert threading.active_count() <= threads + 1
    print(name, dict(seen))
    assert seen["refused"] > MUTATIONS_OF_EACH / 20
    assert seen["passed"] > 2 * MUTATIONS_OF_EACH
