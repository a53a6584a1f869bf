"""Write small test videos, and decode videos with a plain loop."""

import av
import cv2
import numpy as np

from ffpp_tools.demo.world import encode
from ffpp_tools.video import decode, demux


def full_decode(path):
    """Every frame of a video, decoded by a plain loop."""
    with av.open(str(path)) as file:
        return [f.to_ndarray(format="rgb24") for f in file.decode(video=0)]


def gradient(index, width=64, height=48):
    """A frame whose grey level encodes its index."""
    image = np.full((height, width, 3), (index * 5) % 250, np.uint8)
    image[:, : width // 2] += 3
    return image


def drawn(count, width=128, height=96):
    """Frames of a panning camera: all differ, and motion compensation predicts them well."""
    noise = np.random.default_rng(0).integers(0, 256, (height, width + 3 * count, 3))
    scene = cv2.GaussianBlur(noise.astype(np.uint8), (0, 0), 2)
    return [scene[:, 3 * i : 3 * i + width] for i in range(count)]


def write(path, images, codec="libx264", pixels="yuv420p", first=0, turn=None, **options):
    """Encode images at 25 fps; `turn`: display rotation as (degrees, hflip, vflip)."""
    with av.open(str(path), "w") as file:
        stream = file.add_stream(codec, rate=25, options=options)
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = pixels
        if turn:
            stream.set_display_rotation(*turn)
        for i, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts = first + i
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    return path


def remux(path, target, comment="", **options):
    """Copy the packets of a video to a new file."""
    with av.open(str(path)) as source, av.open(str(target), "w", options=options) as sink:
        sink.metadata["comment"] = comment
        stream = sink.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                sink.mux(packet)


def shortened_with_index_first(path, folder):
    """The first two thirds of a clip's bytes, after its index is moved to the front."""
    remux(path, folder / "faststart.mp4", movflags="faststart")
    data = (folder / "faststart.mp4").read_bytes()
    return data[: len(data) * 2 // 3]


def audio_only(path):
    with av.open(str(path), "w") as file:
        stream = file.add_stream("aac", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.rate = 8000
        file.mux(stream.encode(frame))
        file.mux(stream.encode())


def written_again(path, target, crf=None, scale=1.0, container="mp4"):
    """Remux a video into another container, or with `crf` re-encode and scale it."""
    if crf is None:
        with av.open(str(path)) as source, av.open(str(target), "w", format=container) as copy:
            stream = source.streams.video[0]
            copied = copy.add_stream_from_template(stream)
            for packet in source.demux(stream):
                if packet.dts is not None:
                    packet.stream = copied
                    copy.mux(packet)
        return
    video = demux.read_video(path)
    images = [f.picture.image for f in decode.frames(video, range(video.n_frames))]
    size = [int(side * scale) // 2 * 2 for side in images[0].shape[1::-1]]
    small = [cv2.resize(i, size, interpolation=cv2.INTER_AREA) for i in images]
    encode(target, small, round(1 / (video.time_s(1))), crf)
