"""Samples with a probability for every class, of frames or of clips."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

from classify.errors import ClassifyError
from classify.evaluation.metrics import Floats
from data_manifests import labels
from ffpp_tools.store.schema import STILL

PREFIX = "p_"  # of the probability columns: p_Deepfakes, p_Face2Face, …
BINARY = {"fake": "fake", "real": "real"}
CLIP_KEY = ["category", "compression", "clip"]  # four fakes may share one clip name
CLIP_COLUMNS = ["class", "class_index", "label", "group"]  # what all frames of a clip share


@dataclass(frozen=True)
class Scores:
    """What a detector makes of some samples.

    table: a manifest's columns and `p_<class>` for every class.
    classes: class → "real" or "fake", in the order of `class_index`.
    unit: "frame", crops of frames and stills; or "clip", of which the table has a row each: with
        the face_id, path and frame of a crop of it.
    """

    table: pd.DataFrame
    classes: dict[str, str]
    unit: str = "frame"

    def __len__(self) -> int:
        return len(self.table)

    @cached_property
    def probabilities(self) -> Floats:
        """(n, classes)."""
        return self.table[[f"{PREFIX}{name}" for name in self.classes]].to_numpy(float)

    @property
    def actual(self) -> npt.NDArray[np.int64]:
        """(n,) class indices."""
        return self.table["class_index"].to_numpy(np.int64)

    @cached_property
    def predicted(self) -> npt.NDArray[np.intp]:
        """(n,) indices of the most probable classes."""
        return self.probabilities.argmax(axis=1)

    @property
    def is_fake(self) -> npt.NDArray[np.bool_]:
        """(n,) what each sample is."""
        return (self.table["label"] == "fake").to_numpy()

    @cached_property
    def p_fake(self) -> Floats:
        """(n,) the sum over all fake classes."""
        return p_fake(self.probabilities, self.classes)

    def clips(self) -> Scores:
        """One row per clip: the mean probabilities of its crops. Stills are left out.

        A clip is identified by category, compression and name: `000_003` alone names four fakes.
        """
        if self.unit == "clip":
            return self
        clips = self.table[self.table["compression"] != STILL]
        columns = {f"{PREFIX}{name}": "mean" for name in self.classes}
        how = {**dict.fromkeys(CLIP_COLUMNS, "first"), **columns}
        return Scores(clips.groupby(CLIP_KEY, as_index=False).agg(how), self.classes, "clip")


def p_fake(probabilities: Floats, classes: Mapping[str, str]) -> Floats:
    """The sum over the fake classes: (n, classes) → (n,)."""
    return probabilities[:, [label == "fake" for label in classes.values()]].sum(axis=1)


def make_scores(
    samples: pd.DataFrame, probabilities: Floats, classes: dict[str, str], unit: str = "frame"
) -> Scores:
    """Samples of a manifest with the probabilities that a detector of `classes` gave them.

    The classes of the samples are found among the detector's by name: the manifest's own, else the
    categories, and for a detector of real and fake the labels.

    Args:
        samples: columns of `ManifestRow`.
        probabilities: (n, classes).
        classes: the detector's, with what they are, in order.
        unit: as in `Scores`.

    Raises:
        ClassifyError: some sample belongs to no class of the detector.
    """
    own = classes_of(samples, classes)
    index = own.map({name: i for i, name in enumerate(classes)})
    columns = [f"{PREFIX}{name}" for name in classes]
    table = samples.assign(**{"class": own, "class_index": index.astype("int64")})
    table = table.reset_index(drop=True)
    table = pd.concat([table, pd.DataFrame(probabilities, columns=columns)], axis=1)
    return Scores(table, classes, unit)


def classes_of(samples: pd.DataFrame, classes: Mapping[str, str]) -> pd.Series:
    """Which of a detector's classes each sample belongs to, as `make_scores` finds it.

    Raises:
        ClassifyError: some sample belongs to none.
    """
    if set(classes) == set(BINARY):
        return samples["label"]
    for column in ("class", "category"):
        if samples[column].isin(classes).all():
            return samples[column]
    unknown = sorted(set(samples["category"]) - set(classes))
    raise ClassifyError(
        f"{', '.join(unknown)} is none of the detector's classes ({', '.join(classes)}), so it can "
        f"be neither right nor wrong there. Judge on a manifest of these, or with a detector that "
        f"tells real from fake (mode binary)."
    )


def label_of(name: str) -> str | None:
    """Whether a class of this name is real or fake; None for one that nobody knows."""
    return {**labels(), **BINARY}.get(name)
