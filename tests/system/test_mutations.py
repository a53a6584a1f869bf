"""Thousands of damaged videos: no crash, no hang, and no frame that FFmpeg reports as damaged.

H.264 has no checksums: changed bits that can still be decoded give wrong frames, which no decoder
reports. Frames whose damage FFmpeg does report must not be returned.
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
    """A random kind of damage, and the bytes of a file with this damage at a random position."""
    data, start = bytearray(data), draw.randrange(len(data))
    end = min(start + draw.randrange(1, 500), len(data))
    kind = draw.choice(("bit", "bits", "zeros", "noise", "cut", "delete", "insert", "swap"))
    if kind == "bit":
        data[start] ^= 1 << draw.randrange(8)
    elif kind == "bits":
        for _ in range(8):
            data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    elif kind == "zeros":
        data[start:end] = bytes(end - start)
    elif kind == "noise":
        data[start:end] = draw.randbytes(end - start)
    elif kind == "cut":
        del data[start:]
    elif kind == "delete":
        del data[start:end]
    elif kind == "insert":
        data[start:start] = draw.randbytes(end - start)
    else:
        other = draw.randrange(len(data) - (end - start) + 1)
        data[start:end], data[other : other + end - start] = (
            data[other : other + end - start],
            data[start:end],
        )
    return kind, bytes(data)


def fingerprint(image):
    return hashlib.sha256(image.tobytes()).digest()


def unreported(path, disposable):
    """Position of a packet → hash of its frame, unless FFmpeg reports damage that may affect it.

    The hash is None after a refused packet from which no frame is predicted: FFmpeg then drops some
    frames and shows others at the wrong time.

    Args:
        path: a damaged file.
        disposable: for each packet, whether no other frame was predicted from it before the damage.
    """
    frames, clean, sound, refused = {}, {}, True, False
    with container.open_container(path, MAX_PIXELS) as file:
        stream = container.video_stream(file, path, MAX_PIXELS)
        try:
            for number, packet in enumerate(file.demux(stream)):
                sound |= packet.is_keyframe
                refused &= not packet.is_keyframe
                packet.pts, clean[number] = number, sound  # damaged timestamps may repeat
                try:
                    decoded = stream.decode(packet)
                except av.FFmpegError:
                    decoded, clean[number], refused = [], False, True
                    sound &= number < len(disposable) and disposable[number]
                for frame in decoded:
                    pixels = frame.to_ndarray(format="rgb24")
                    frames[frame.pts] = None if refused else fingerprint(pixels)
                    clean[frame.pts] = clean.get(frame.pts) and not frame.is_corrupt
        except av.FFmpegError:
            pass
    return {number: frames.get(number) for number, undamaged in clean.items() if undamaged}


@pytest.fixture
def gc_frozen():
    """Exclude loaded objects from the garbage collection that the decoder runs for every video."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.slow
@pytest.mark.usefixtures("gc_frozen")
@pytest.mark.parametrize("name", CONTAINERS)
def test_frames_that_ffmpeg_reports_as_damaged_are_never_returned(name, tmp_path):
    intact = tmp_path / "whole.mp4"
    encode(intact, drawn(60), 25, 23)
    source = tmp_path / f"source.{name}"
    remux(intact, source, **CONTAINERS[name])
    data = source.read_bytes()
    expected = [fingerprint(image) for image in full_decode(source)]
    disposable = [packet.disposable for packet in demux.read_video(source).packets]
    path, counts, threads = tmp_path / f"x.{name}", Counter(), threading.active_count()
    for seed in range(MUTATIONS_OF_EACH):
        kind, damaged = mutated(data, random.Random(seed))
        path.write_bytes(damaged)

        def read():
            video = demux.read_video(path)
            yield video
            yield from decode.frames(video, range(0, video.n_frames, WANTED_EVERY))

        try:
            video, *frames = with_timeout(
                read, LIMIT_S, path
            )  # anything but a DecodeError is a failure
        except DecodeError as error:
            assert "timed out" not in str(error), (seed, kind)
            counts["refused"] += 1
            continue
        wrong = [
            frame
            for frame in frames
            if frame.index >= len(expected)
            or fingerprint(frame.picture.image) != expected[frame.index]
        ]
        counts["passed"] += len(frames)
        counts["silently wrong"] += len(wrong)
        if wrong:
            silent = unreported(path, disposable)
            for frame in wrong:
                position = video.packet_of_frame[frame.index]
                assert position in silent, (seed, kind, frame.index)
                assert silent[position] in (None, fingerprint(frame.picture.image)), (seed, kind)
    assert threading.active_count() <= threads + 1
    print(name, dict(counts))
    assert counts["refused"] > MUTATIONS_OF_EACH / 20
    assert counts["passed"] > 2 * MUTATIONS_OF_EACH
