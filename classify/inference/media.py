"""Classify the faces in any images and videos with a trained network."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from classify.errors import ClassifyError
from classify.evaluation.metrics import Floats
from classify.evaluation.predict import predict_probabilities
from classify.evaluation.scores import PREFIX, p_fake
from classify.evaluation.thresholds import OperatingPoint, operating_point_or_default
from classify.reporting.formatting import FACE_SIDE
from classify.training.runs import Run
from ffpp_tools.errors import DecodeError
from ffpp_tools.extraction.any_media import FrameCrops, faces_in_image, faces_in_video
from ffpp_tools.extraction.settings import ClipSettings, StillSettings
from ffpp_tools.faces.detect import load
from ffpp_tools.files import checked_paths, special_file_kind
from ffpp_tools.loading.crop_files import scaled
from ffpp_tools.pixel_limits import MAX_FRAME_PIXELS, MAX_PIXELS
from ffpp_tools.sources.media_files import PICTURE, VIDEO, file_kind, find_files, summary
from ffpp_tools.video.decode_limits import Limits
from ffpp_tools.video.image import Image
from ffpp_tools.video.sampling import FramePlan

if TYPE_CHECKING:
    import keras

BATCH = 16
FACES_KEPT = 32  # maximum per person, for the page
FRAME_COLUMNS = ("person", "frame", "time_s", "box_x", "box_y", "box_w", "box_h")


@dataclass(frozen=True)
class Classifier:
    """A network and everything needed to apply it as it was trained."""

    model: keras.Model
    classes: dict[str, str]  # class → "real" or "fake", in index order
    operating: OperatingPoint
    clips: ClipSettings
    stills: StillSettings
    max_pixels: int | None = None  # of an image or a video frame; None: the default limits


@dataclass(frozen=True)
class Person:
    """The result for one person in an image or video."""

    person: int  # from 0
    verdict: str  # "fake" or "real"
    p_fake: float  # the mean over the frames
    frames_above: float  # fraction of the frames with P(fake) above the decision threshold
    p_fake_q10: float  # quantiles of the frames' P(fake), not a confidence interval of the mean:
    p_fake_q90: float  # neighbouring frames are correlated, to an extent unknown from one clip
    probabilities: dict[str, float]  # class → mean over the frames
    frames: int
    first_s: float
    last_s: float


@dataclass(frozen=True)
class Verdict:
    """The result for one file."""

    path: Path
    kind: str  # "picture" or "video"
    people: tuple[Person, ...]  # in descending order of their number of frames
    frames_searched: int  # number of frames searched for faces
    threshold: float  # of P(fake)
    frames: pd.DataFrame  # a row per face: `FRAME_COLUMNS`, p_fake, and p_<class> of every class
    faces: Sequence[tuple[int, Image]] = field(default=(), repr=False)  # some rows and faces
    error: str = ""  # why the file could not be read, or not completely

    @property
    def status(self) -> str:
        """One of "ok", "incomplete", "unreadable" and "no face found"."""
        if self.people:
            return "incomplete" if self.error else "ok"
        return "unreadable" if self.error else "no face found"


def find_media(
    paths: Sequence[Path], remark: Callable[[str], object] = lambda _: None
) -> list[Path]:
    """Return the given files, and the images and videos under the given folders, in order.

    Args:
        paths: files and folders.
        remark: called with a sentence about the files skipped in a folder.

    Raises:
        ClassifyError: a path does not exist or is not a regular file, or a folder contains no
            images or videos.
    """
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            media = find_files(path, (PICTURE, VIDEO))
            skipped = list(summary(media.passed_over, path))
            if not media.paths:
                raise ClassifyError(
                    f"{path}: contains no images or videos{': ' if skipped else ''}"
                    f"{'; '.join(skipped)}. Pass a folder that contains some, or a file"
                )
            files += media.paths
            for sentence in skipped:
                remark(f"{path}: {sentence}")
        elif what := special_file_kind(path):
            raise ClassifyError(
                f"{path}: {what}, not a file; save its contents to a file and pass that"
            )
        elif path.exists():
            files.append(path)
        else:
            raise ClassifyError(f"{path}: no such file or folder")
    return checked_paths(dict.fromkeys(files))


def classify_file(path: Path, classifier: Classifier) -> Verdict:
    """Classify every person in an image or video.

    A file that cannot be read, or not completely, raises no exception: `error` gives the reason.

    Raises:
        ModelError: the network's output is not finite.
    """
    kind = file_kind(path)
    is_video = kind != PICTURE
    threshold = classifier.operating.threshold("clip" if is_video else "frame")
    batch = BATCH if is_video else 1
    rows: list[tuple[float, ...]] = []
    waiting: list[Image] = []  # at the network's size
    probabilities = [np.empty((0, len(classifier.classes)))]
    sampler = _FaceSampler()
    frames_searched, error = 0, ""

    def predict_waiting() -> None:
        predicted = predict_probabilities(
            classifier.model, np.stack(waiting), batch, tta=classifier.operating.tta
        )
        probabilities.append(predicted.astype(float))
        waiting.clear()

    try:
        if kind not in (PICTURE, VIDEO):
            raise DecodeError(f"{path}: {kind}")
        for crops in _frame_crops(path, is_video, classifier):
            frames_searched += 1
            for face in crops.faces:
                box = face.box
                sampler.add(face.person, len(rows), face.image)
                position = (box.x, box.y, box.width, box.height)
                rows.append((face.person, crops.frame, crops.time_s, *position))
                waiting.append(scaled(face.image, classifier.model.input_shape[1]))
                if len(waiting) == batch:
                    predict_waiting()
    except DecodeError as failure:
        error = str(failure)
    if waiting:
        predict_waiting()
    frames = _table(rows, np.concatenate(probabilities), classifier.classes)
    people = [
        _person(int(str(number)), group, classifier.classes, threshold)
        for number, group in frames.groupby("person")
    ]
    people.sort(key=lambda p: (-p.frames, p.person))
    return Verdict(
        path,
        VIDEO if is_video else PICTURE,
        tuple(people),
        frames_searched,
        threshold,
        frames,
        sampler.faces,
        error,
    )


class _FaceSampler:
    """Keeps small face images of every person, evenly spaced in time, for a video of any length."""

    def __init__(self) -> None:
        self._kept: dict[int, list[tuple[int, Image]]] = {}
        self._stride: dict[int, int] = {}
        self._count: Counter[int] = Counter()

    def add(self, person: int, row: int, face: Image) -> None:
        """Keep every n-th face of a person; with too many faces, drop half of them and double n."""
        kept, stride = self._kept.setdefault(person, []), self._stride.setdefault(person, 1)
        if self._count[person] % stride == 0:
            kept.append((row, scaled(face, FACE_SIDE)))
        self._count[person] += 1
        if len(kept) > FACES_KEPT:
            del kept[1::2]
            self._stride[person] *= 2

    @property
    def faces(self) -> list[tuple[int, Image]]:
        """Row positions and their faces, in temporal order."""
        faces = (face for kept in self._kept.values() for face in kept)
        return sorted(faces, key=lambda face: face[0])


def _frame_crops(path: Path, is_video: bool, classifier: Classifier) -> Iterator[FrameCrops]:
    if is_video:
        limits = Limits(pixels=classifier.max_pixels or MAX_FRAME_PIXELS)
        yield from faces_in_video(path, classifier.clips, limits)
    else:
        yield faces_in_image(path, classifier.stills, classifier.max_pixels or MAX_PIXELS)


def _table(
    rows: list[tuple[float, ...]], probabilities: Floats, classes: dict[str, str]
) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=list(FRAME_COLUMNS))
    columns = {f"{PREFIX}{name}": probabilities[:, i] for i, name in enumerate(classes)}
    return table.assign(**columns | {"p_fake": p_fake(probabilities, classes)})


def _person(number: int, rows: pd.DataFrame, classes: dict[str, str], threshold: float) -> Person:
    scores = rows["p_fake"].to_numpy()
    mean = float(scores.mean())
    low, high = (float(v) for v in np.quantile(scores, (0.1, 0.9)))
    return Person(
        number,
        "fake" if mean > threshold else "real",
        mean,
        float(np.mean(scores > threshold)),
        low,
        high,
        {name: float(rows[f"{PREFIX}{name}"].mean()) for name in classes},
        len(rows),
        float(rows["time_s"].min()),
        float(rows["time_s"].max()),
    )


def classifier_of(
    run: Run,
    every: int | None = None,
    max_pixels: int | None = None,
    detector_model: Path | None = None,
) -> Classifier:
    """Return a run's network with its classes, threshold, and face detection and crop settings.

    Args:
        run: a run folder; its data is not needed.
        every: sample every n-th frame of a video instead of the frames sampled for training.
        max_pixels: refuse larger images and video frames, instead of the default limits.
        detector_model: the model file of the detector that found the training faces, if it has one.

    Raises:
        RunError: no epoch has finished, or the folder is of an older version.
        SettingsError: `every` is not at least 1, or the model file is missing or another one.
    """
    clips, stills = run.face_settings
    find = replace(clips.find, model_file=detector_model)
    load(find)
    clips, stills = replace(clips, find=find), replace(stills, find=find)
    if every is not None:
        clips = replace(clips, plan=FramePlan(every=every))
    operating = operating_point_or_default(run)
    return Classifier(run.best_model(), run.classes, operating, clips, stills, max_pixels)
