"""Measures of a classifier, as pure functions on arrays. Fake is the positive class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

Ints = npt.NDArray[np.integer]
Floats = npt.NDArray[np.floating]


def confusion(actual: Ints, predicted: Ints, classes: Sequence[str]) -> pd.DataFrame:
    """Counts, a row per actual and a column per predicted class."""
    from sklearn.metrics import confusion_matrix

    counts = confusion_matrix(actual, predicted, labels=range(len(classes)))
    return pd.DataFrame(
        counts, index=pd.Index(classes, name="actual"), columns=pd.Index(classes, name="predicted")
    )


def row_percent(counts: pd.DataFrame) -> pd.DataFrame:
    """Counts → per cent of each row; nan in a row without samples."""
    return counts.div(counts.sum(axis=1).replace(0, np.nan), axis=0) * 100


def per_class(actual: Ints, predicted: Ints, classes: Sequence[str]) -> pd.DataFrame:
    """Precision, recall, F1 and support, a row per class.

    0 where a class was never predicted; nan where there is none of it to be found.
    """
    from sklearn.metrics import precision_recall_fscore_support

    values = precision_recall_fscore_support(
        actual, predicted, labels=range(len(classes)), zero_division=0
    )
    columns = ("precision", "recall", "f1", "support")
    table = pd.DataFrame(
        dict(zip(columns, values, strict=True)), index=pd.Index(classes, name="class")
    )
    table.loc[table["support"] == 0, ["precision", "recall", "f1"]] = np.nan
    return table


def accuracy(actual: Ints, predicted: Ints) -> float:
    """Share of samples whose class is predicted."""
    return float(np.mean(np.asarray(actual) == np.asarray(predicted)))


def auc(is_fake: npt.ArrayLike, p_fake: npt.ArrayLike) -> float:
    """Area under the ROC curve, fake positive; nan where only one kind is present."""
    from sklearn.metrics import roc_auc_score

    if len(np.unique(is_fake)) < 2:
        return float("nan")
    return float(roc_auc_score(is_fake, p_fake))
