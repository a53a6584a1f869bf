"""Class probabilities of samples, per frame or per clip."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

from classify.errors import ClassifyError
from classify.evaluation.metrics import Floats
from classify.training.settings import BLENDED
from data_manifests import labels
from ffpp_tools.store.schema import STILL

PREFIX = "p_"  # prefix of the probability columns: p_Deepfakes, p_Face2Face, …
BINARY = {"fake": "fake", "real": "real"}
CLIP_KEY = ["category", "compression", "clip"]  # four fakes may share one clip name
CLIP_COLUMNS = ["class", "class_index", "label", "group"]  # equal for all frames of a clip


@dataclass(frozen=True)
class Scores:
    """A detector's class probabilities for a set of samples.

    table: the manifest's columns and `p_<class>` for every class.
    classes: class → "real" or "fake", in the order of `class_index`.
    unit: "frame" if each row is the crop of a frame or still; "clip" if each row is a clip, with
        the face_id, path and frame of one of its crops.
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
        """(n,) index of the most probable class."""
        return self.probabilities.argmax(axis=1)

    @property
    def is_fake(self) -> npt.NDArray[np.bool_]:
        """(n,) whether each sample is labelled fake."""
        return (self.table["label"] == "fake").to_numpy()

    @cached_property
    def p_fake(self) -> Floats:
        """(n,) P(fake): the sum over all fake classes."""
        return p_fake(self.probabilities, self.classes)

    def clips(self) -> Scores:
        """Return scores per clip: the mean probabilities of its crops. Stills are dropped.

        A clip is identified by category, compression and name: `000_003` alone names four fakes.
        """
        if self.unit == "clip":
            return self
        clips = self.table[self.table["compression"] != STILL]
        means = {f"{PREFIX}{name}": "mean" for name in self.classes}
        aggregation = {**dict.fromkeys(CLIP_COLUMNS, "first"), **means}
        table = clips.groupby(CLIP_KEY, as_index=False).agg(aggregation)
        return Scores(table, self.classes, "clip")


def p_fake(probabilities: Floats, classes: Mapping[str, str]) -> Floats:
    """Sum the probabilities of the fake classes: (n, classes) → (n,)."""
    return probabilities[:, [label == "fake" for label in classes.values()]].sum(axis=1)


def make_scores(
    samples: pd.DataFrame, probabilities: Floats, classes: dict[str, str], unit: str = "frame"
) -> Scores:
    """Combine a manifest's samples with a detector's probabilities for them.

    The detector's class of each sample is found by name; see `classes_of`.

    Args:
        samples: columns of `ManifestRow`.
        probabilities: (n, classes).
        classes: the detector's classes → "real" or "fake", in the order of the columns.
        unit: as in `Scores`.

    Raises:
        ClassifyError: a sample belongs to none of the detector's classes.
    """
    actual = classes_of(samples, classes)
    index = actual.map({name: i for i, name in enumerate(classes)})
    columns = [f"{PREFIX}{name}" for name in classes]
    table = samples.assign(**{"class": actual, "class_index": index.astype("int64")})
    table = table.reset_index(drop=True)
    table = pd.concat([table, pd.DataFrame(probabilities, columns=columns)], axis=1)
    return Scores(table, classes, unit)


def classes_of(samples: pd.DataFrame, classes: Mapping[str, str]) -> pd.Series:
    """Return the detector's class of each sample.

    For a detector of the two classes real and fake, it is the label. Otherwise it is the class in
    the manifest, if the detector has all of these classes, or else the category.

    Raises:
        ClassifyError: a sample belongs to none of the detector's classes.
    """
    if set(classes) == set(BINARY):
        return samples["label"]
    for column in ("class", "category"):
        if samples[column].isin(classes).all():
            return samples[column]
    unknown = sorted(set(samples["category"]) - set(classes))
    raise ClassifyError(
        f"the detector has no class for {', '.join(unknown)}; its classes are "
        f"{', '.join(classes)}. Evaluate on a manifest of these classes, or use a detector of real "
        f"and fake (mode binary)."
    )


def label_of(name: str) -> str | None:
    """Return whether a class of this name is "real" or "fake"; None if the name is unknown."""
    return {**labels(), **BINARY, BLENDED: "fake"}.get(name)
