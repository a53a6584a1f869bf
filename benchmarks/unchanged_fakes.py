"""Differences between fakes and their originals, and between unchanged frames after compression.

    python benchmarks/unchanged_fakes.py data/FaceForensics++

Real fakes are compared with their originals at every fifth frame. Unchanged frames are simulated:
runs of eight frames of a fake alternate with the same frames of its original (plus Gaussian noise,
so that no encoder has processed them before), and both videos are encoded at the same CRF. This is
repeated with a third of the contrast, as in a dark room.

False alarms (changed faces classified as unchanged) and misses (undetected unchanged faces) are
counted leave-one-pair-out: the limits for a pair are half of the smallest difference measured for
swaps of the other pairs, and at most those of `ffpp_tools.faces.unchanged_fakes`.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import av
import numpy as np
import pandas as pd

from ffpp_tools.faces import paired, unchanged_fakes
from ffpp_tools.faces.detect import FindSettings
from ffpp_tools.faces.tracking import FaceFinder
from ffpp_tools.sources.clip import Clip
from ffpp_tools.sources.faceforensics import find_clips
from ffpp_tools.video import decode, demux
from ffpp_tools.video.image import Image, Picture

METHODS = ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures")
EVERY = 5  # frame interval in real fakes
RUN = 8  # length of the alternating runs of changed and unchanged frames
LENGTH = 128  # frames of a simulated clip
CRFS = {"raw": 0, "c23": 23, "c40": 40}
CONTRASTS = (1.0, 0.33)
COLUMNS = ("source", "compression", "method", "clip", "changed", "level", "relative")


def main() -> None:
    """Measure the differences and print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", type=Path, help="folder of FF++")
    parser.add_argument("--out", type=Path, help="write every measurement to this CSV file")
    options = parser.parse_args()
    originals = {clip.name: clip for clip in find_clips(options.root, ["Youtube"])}
    rows: list[tuple[object, ...]] = []
    for fake in find_clips(options.root, METHODS):
        if original := originals.get(fake.target_id):
            rows += _real(original, fake)
            if fake.category in unchanged_fakes.SWAPS:
                rows += _simulated(original, fake)
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    if options.out:
        table.to_csv(options.out, index=False)
    print(_levels(table).round(2).to_string())
    print()
    print(_left_out(table).round(3).to_string())


def _real(original: Clip, fake: Clip) -> Iterator[tuple[object, ...]]:
    """Yield the differences of every fifth frame of a real fake that matches its original's."""
    follower, copies = FaceFinder(FindSettings()), {}
    for frame in _frames(original, EVERY):
        faces = follower.find(frame.picture, frame.time_s)
        copies[frame.index] = paired.reduce_original(frame.picture, faces, 0, original.compression)
    for frame in _frames(fake, EVERY):
        copy = copies.get(frame.index)
        twin = paired.match(frame.picture, copy) if copy and copy.faces else None
        for face in twin.faces if twin else ():
            difference = twin.difference(face.box)
            yield ("real", fake.compression, *_about(fake), True, *difference)


def _simulated(original: Clip, fake: Clip) -> Iterator[tuple[object, ...]]:
    """Yield the differences of a clip that alternates between a fake and its original."""
    genuine = [f.picture.image for f in _frames(original, 1, LENGTH)]
    forged = [f.picture.image for f in _frames(fake, 1, LENGTH)]
    if len(forged) < LENGTH or forged[0].shape != genuine[0].shape:
        return
    changed = [i // RUN % 2 == 1 for i in range(LENGTH)]
    rng = np.random.default_rng(0)
    for contrast in CONTRASTS:
        first = [_noisy(image, contrast, rng) for image in genuine]
        mixed = [
            _noisy(forged[i], contrast, rng) if changed[i] else first[i] for i in range(LENGTH)
        ]
        for compression, crf in CRFS.items():
            with tempfile.TemporaryDirectory() as folder:
                pair = [
                    _encoded(Path(folder) / f"{i}.mp4", images, crf)
                    for i, images in enumerate((first, mixed))
                ]
                yield from _compared(pair, compression, fake, changed, contrast)


def _compared(
    pair: Sequence[Sequence[Image]],
    compression: str,
    fake: Clip,
    changed: Sequence[bool],
    contrast: float,
) -> Iterator[tuple[object, ...]]:
    follower = FaceFinder(FindSettings())
    for i, (one, other) in enumerate(zip(*pair, strict=True)):
        faces = follower.find(Picture(one), i / 25)
        copy = paired.reduce_original(Picture(one), faces, 0, compression)
        twin = paired.match(Picture(other), copy) if faces else None
        for face in twin.faces if twin else ():
            source = "made" if contrast == 1 else "made, dark"
            yield (source, compression, *_about(fake), changed[i], *twin.difference(face.box))


def _about(fake: Clip) -> tuple[str, str]:
    return fake.category, fake.name


def _frames(clip: Clip, every: int, end: int | None = None) -> Iterator[decode.Frame]:
    video = demux.read_video(clip.path)
    yield from decode.frames(video, range(0, min(end or video.n_frames, video.n_frames), every))


def _noisy(image: Image, contrast: float, rng: np.random.Generator) -> Image:
    values = image * contrast + rng.normal(0, 1, image.shape)
    return np.asarray(np.clip(np.rint(values), 0, 255), np.uint8)


def _encoded(path: Path, images: Sequence[Image], crf: int) -> list[Image]:
    """Return the frames after x264 compression; `no-mbtree`, as mbtree reads unset memory."""
    height, width = (n // 2 * 2 for n in images[0].shape[:2])
    with av.open(path, "w") as container:
        options = {"crf": str(crf), "x264-params": "no-mbtree=1:threads=1"}
        stream = container.add_stream("libx264", rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for image in images:
            part = np.ascontiguousarray(image[:height, :width])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(part, format="rgb24")))
        container.mux(stream.encode(None))
    video = demux.read_video(path)
    return [f.picture.image for f in decode.frames(video, range(video.n_frames))]


def _levels(table: pd.DataFrame) -> pd.DataFrame:
    """Summarise the differences in grey levels, and relative to the face's contrast."""
    keys = ["source", "compression", "changed", "method"]
    quantiles = {"median": 0.5, "1 %": 0.01, "99 %": 0.99}
    rows = {}
    for key, part in table.groupby(keys):
        row = {"faces": len(part)}
        for column in ("level", "relative"):
            row[f"{column} least"] = part[column].min()
            row |= {f"{column} {q}": part[column].quantile(v) for q, v in quantiles.items()}
            row[f"{column} most"] = part[column].max()
        rows[key] = row
    summary = pd.DataFrame.from_dict(rows, orient="index")
    summary.index = pd.MultiIndex.from_tuples(summary.index, names=keys)
    return summary


def _left_out(table: pd.DataFrame) -> pd.DataFrame:
    """Count false alarms and misses of swaps, with limits for each pair from the others."""
    swaps = table[table["method"].isin(unchanged_fakes.SWAPS)].copy()
    swaps["pair"] = swaps["clip"].map(lambda name: "/".join(sorted(name.split("_"))))
    rows = []
    for pair in sorted(swaps["pair"].unique()):
        others, tested = swaps[swaps["pair"] != pair], swaps[swaps["pair"] == pair]
        changed = others[others["changed"] & (others["source"] != "made, dark")]
        for (source, compression), part in tested.groupby(["source", "compression"]):
            reference = changed[changed["compression"] == compression]
            level, relative = (
                unchanged_fakes.MARGIN * reference[c].min() for c in ("level", "relative")
            )
            level = min(level, unchanged_fakes.MAX_DIFFERENCE[str(compression)])
            relative = min(relative, unchanged_fakes.MAX_RELATIVE)
            detected = (part["level"] <= level) & (part["relative"] <= relative)
            is_changed = part["changed"]
            rows.append(
                {
                    "pair": pair,
                    "source": source,
                    "compression": compression,
                    "limit": level,
                    "relative limit": relative,
                    "changed": is_changed.sum(),
                    "false alarms": (detected & is_changed).sum(),
                    "unchanged": (~is_changed).sum(),
                    "missed": (~detected & ~is_changed).sum(),
                    "nearest": (part["level"] / level)[is_changed].min(),
                }
            )
    return pd.DataFrame(rows).set_index(["source", "compression", "pair"]).sort_index()


if __name__ == "__main__":
    main()
