"""Face detectors beside each other: cost, missed faces and agreement with HOG.

    python benchmarks/detectors.py FF++_FOLDER YUNET.onnx [--stills CELEBA-HQ_FOLDER]

Every 25th frame of each clip is searched in two ways: `search` looks at each frame alone, as in a
still, and `track` looks near the last faces first, as extraction does for originals. Boxes of fakes
are not taken from their originals here. Milliseconds are CPU time of detection alone, in one
thread, without decoding. A detector agrees with HOG in a frame if one of its boxes overlaps that of
HOG's largest face by half or more (intersection over union). Prints a Markdown table.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer

from ffpp_tools.extraction.clips import open_clip
from ffpp_tools.extraction.stills import read_still
from ffpp_tools.faces.detect import Face, FindSettings, find_faces
from ffpp_tools.faces.select import largest_face
from ffpp_tools.faces.tracking import FaceFinder
from ffpp_tools.sources.faceforensics import find_clips
from ffpp_tools.sources.stills import survey
from ffpp_tools.video.decode_limits import Limits
from ffpp_tools.video.image import Picture
from ffpp_tools.video.sampling import FramePlan

EVERY = 25
AGREE = 0.5  # minimum intersection over union

Find = Callable[[Picture, float], list[Face]]


@dataclass
class Result:
    """What one way of detecting gave, frame by frame."""

    seconds: list[float] = field(default_factory=list)
    faces: list[list[Face]] = field(default_factory=list)

    def run(self, find: Find, picture: Picture, time_s: float) -> None:
        """Detect the faces of a frame."""
        start = time.process_time()
        faces = find(picture, time_s)
        self.seconds.append(time.process_time() - start)
        self.faces.append(faces)


def clips(root: Path, limit: int | None) -> Iterator[Iterator[tuple[Picture, float]]]:
    """Yield the frames of each clip."""
    for clip in find_clips(root, limit=limit):
        _, frames = open_clip(clip, FramePlan(EVERY), Limits())
        yield ((frame.picture, frame.time_s) for frame in frames)


def row(name: str, result: Result, reference: Result) -> str:
    """Return the row of the table for one way of detecting."""
    ious = [
        max((face.box.iou(largest_face(known).box) for face in faces), default=0.0)
        for faces, known in zip(result.faces, reference.faces, strict=True)
        if known
    ]
    missed = sum(not faces for faces in result.faces)
    agreeing = sum(iou >= AGREE for iou in ious)
    cells = (
        f"{1000 * np.mean(result.seconds):.1f}",
        f"{missed} of {len(result.faces)}",
        f"{agreeing} of {len(ious)}",
        f"{np.mean(ious):.2f}",
        str(sum(map(len, result.faces))),
    )
    return f"| {name} | {' | '.join(cells)} |"


def main(
    ffpp: Path,
    model_file: Path,
    stills: Annotated[Path | None, typer.Option(help="Folder of CelebA-HQ.")] = None,
    limit: Annotated[int | None, typer.Option(help="Clips of each category.")] = None,
) -> None:
    """Measure HOG and YuNet on the same frames."""
    cv2.setNumThreads(1)
    detectors = {"HOG": FindSettings(), "YuNet": FindSettings("yunet", model_file=model_file)}
    for settings in detectors.values():  # load the models
        find_faces(Picture(np.zeros((480, 640, 3), np.uint8)), settings)
    results = {(name, how): Result() for name in detectors for how in ("search", "track")}
    for frames in clips(ffpp, limit):
        finders = {name: FaceFinder(settings) for name, settings in detectors.items()}
        for picture, time_s in frames:
            for name, settings in detectors.items():
                results[name, "search"].run(
                    lambda p, _, s=settings: find_faces(p, s), picture, time_s
                )
                results[name, "track"].run(finders[name].find, picture, time_s)
    print("| | CPU ms per frame | no face | agree with HOG | mean IoU | faces |")
    print("|---|---|---|---|---|---|")
    for (name, how), result in results.items():
        print(row(f"clips, {name}, {how}", result, results["HOG", "search"]))
    if stills:
        of_stills = {name: Result() for name in detectors}
        for still in survey(stills, "CelebA-HQ").stills:
            image, _, _ = read_still(still.path)
            if image is not None:
                for name, settings in detectors.items():
                    of_stills[name].run(
                        lambda p, _, s=settings: find_faces(p, s), Picture(image), 0.0
                    )
        for name, result in of_stills.items():
            print(row(f"CelebA-HQ, {name}", result, of_stills["HOG"]))


if __name__ == "__main__":
    typer.run(main)
