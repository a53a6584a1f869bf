"""What a trained network says of pictures and videos of anybody's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from classify.data.pack import scaled
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
from ffpp_tools.files import checked_paths, special_file_kind
from ffpp_tools.pixel_limits import MAX_FRAME_PIXELS, MAX_PIXELS
from ffpp_tools.sources.media_files import PICTURE, VIDEO, file_kind, find_files, summary
from ffpp_tools.video.decode_limits import Limits
from ffpp_tools.video.image import Image
from ffpp_tools.video.sampling import FramePlan

if TYPE_CHECKING:
    import keras

BATCH = 16
FACES_KEPT = 32  # of a person, to be looked at
FRAME_COLUMNS = ("person", "frame", "time_s", "box_x", "box_y", "box_w", "box_h")


@dataclass(frozen=True)
class Classifier:
    """A network and all it takes to use it as it was trained."""

    model: keras.Model
    classes: dict[str, str]  # class → "real" or "fake", in index order
    operating: OperatingPoint
    clips: ClipSettings
    stills: StillSettings
    max_pixels: int | None = None  # of a picture, or of a video's frame; None: the usual limits


@dataclass(frozen=True)
class Person:
    """One person of a picture or video."""

    person: int  # from 0
    verdict: str  # "fake" or "real"
    p_fake: float  # the mean over the frames
    frames_above: float  # share of the frames with a P(fake) above the decision threshold
    p_fake_q10: float  # quantiles of the frames' P(fake), no confidence interval of the mean:
    p_fake_q90: float  # neighbouring frames are alike, and how much so one clip does not tell
    probabilities: dict[str, float]  # of the classes, their means
    frames: int
    first_s: float
    last_s: float


@dataclass(frozen=True)
class Verdict:
    """What there is to say of one file."""

    path: Path
    kind: str  # "picture" or "video"
    people: tuple[Person, ...]  # from the one seen in most frames to the one in fewest
    looked: int  # how many frames were searched for faces
    threshold: float  # of P(fake)
    frames: pd.DataFrame  # a row per face: `FRAME_COLUMNS`, p_fake and p_<class> of every class
    faces: Sequence[tuple[int, Image]] = field(default=(), repr=False)  # some rows, with the face
    error: str = ""  # why the file could not be read, or not to its end

    @property
    def status(self) -> str:
        """Such as "ok", "no face found", "unreadable"."""
        if self.people:
            return "incomplete" if self.error else "ok"
        return "unreadable" if self.error else "no face found"


def find_media(
    paths: Sequence[Path], remark: Callable[[str], object] = lambda _: None
) -> list[Path]:
    """The pictures and videos among some files and below some folders, in order.

    Args:
        paths: files and folders.
        remark: is told what was passed over in the folders.

    Raises:
        ClassifyError: a path that does not exist or is no file, or nothing to look at in a folder.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            below = find_files(path, (PICTURE, VIDEO))
            told = list(summary(below.passed_over, path))
            if not below.paths:
                raise ClassifyError(
                    f"{path}: no pictures or videos there{': ' if told else ''}{'; '.join(told)}. "
                    f"Name a folder that holds some, or a file"
                )
            found += below.paths
            for sentence in told:
                remark(f"{path}: {sentence}")
        elif what := special_file_kind(path):
            raise ClassifyError(f"{path}: {what}, not a file; save what comes out of it, name that")
        elif path.exists():
            found.append(path)
        else:
            raise ClassifyError(f"{path}: there is no such file or folder")
    return checked_paths(dict.fromkeys(found))


def classify_file(path: Path, classifier: Classifier) -> Verdict:
    """What a network says of everybody in a picture or video.

    A file that cannot be read, or not to its end, is no exception: `error` says so.

    Raises:
        ModelError: the network gives something else than numbers.
    """
    what = file_kind(path)
    moving = what != PICTURE
    threshold = classifier.operating.threshold("clip" if moving else "frame")
    batch = BATCH if moving else 1
    rows: list[tuple[float, ...]] = []
    waiting: list[Image] = []  # at the network's size
    probabilities = [np.empty((0, len(classifier.classes)))]
    seen = _FaceSampler()
    looked, error = 0, ""

    def judge() -> None:
        found = predict_probabilities(classifier.model, np.stack(waiting), batch)
        probabilities.append(found.astype(float))
        waiting.clear()

    try:
        if what not in (PICTURE, VIDEO):
            raise DecodeError(f"{path}: {what}")
        for look in _looks(path, moving, classifier):
            looked += 1
            for face in look.faces:
                box = face.box
                seen.add(face.person, len(rows), face.image)
                place = (box.x, box.y, box.width, box.height)
                rows.append((face.person, look.frame, look.time_s, *place))
                waiting.append(scaled(face.image, classifier.model.input_shape[1]))
                if len(waiting) == batch:
                    judge()
    except DecodeError as failure:
        error = str(failure)
    if waiting:
        judge()
    frames = _table(rows, np.concatenate(probabilities), classifier.classes)
    people = [
        _person(int(str(number)), part, classifier.classes, threshold)
        for number, part in frames.groupby("person")
    ]
    people.sort(key=lambda p: (-p.frames, p.person))
    called = VIDEO if moving else PICTURE
    return Verdict(path, called, tuple(people), looked, threshold, frames, seen.faces, error)


class _FaceSampler:
    """Small pictures of everybody, evenly spread over time, however long that is."""

    def __init__(self) -> None:
        self._kept: dict[int, list[tuple[int, Image]]] = {}
        self._every: dict[int, int] = {}
        self._count: Counter[int] = Counter()

    def add(self, person: int, row: int, face: Image) -> None:
        """Keep the face, or not; when there are too many of a person, every second one goes."""
        kept, every = self._kept.setdefault(person, []), self._every.setdefault(person, 1)
        if self._count[person] % every == 0:
            kept.append((row, scaled(face, FACE_SIDE)))
        self._count[person] += 1
        if len(kept) > FACES_KEPT:
            del kept[1::2]
            self._every[person] *= 2

    @property
    def faces(self) -> list[tuple[int, Image]]:
        """Rows and their faces, in order of time."""
        return sorted((one for kept in self._kept.values() for one in kept), key=lambda one: one[0])


def _looks(path: Path, moving: bool, classifier: Classifier) -> Iterator[FrameCrops]:
    if moving:
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


def classifier_of(run: Run, every: int | None = None, max_pixels: int | None = None) -> Classifier:
    """A run's network with its own classes, threshold, and way to find and crop faces.

    Args:
        run: a run folder, which may have been taken away from its data.
        every: look at every so many frames of a video instead of as many as it was trained on.
        max_pixels: refuse pictures, and videos with frames, of more instead of the usual limits.

    Raises:
        RunError: no epoch was finished, or the folder is of an older version.
        SettingsError: `every` is not at least 1.
    """
    clips, stills = run.face_settings
    if every is not None:
        clips = replace(clips, plan=FramePlan(every=every))
    operating = operating_point_or_default(run)
    return Classifier(run.best_model(), run.classes, operating, clips, stills, max_pixels)
