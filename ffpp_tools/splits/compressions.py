"""Choice of the compressions that a manifest uses.

A network easily distinguishes c23 from c40. If one class has a larger share of either than another
class, the network can predict the class from compression instead of the face.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from ffpp_tools.errors import SplitError
from ffpp_tools.store.schema import STILL


def clip_compressions(rows: pd.DataFrame) -> list[str]:
    """Return the compressions of the clips among the rows, sorted."""
    return sorted(set(rows["compression"].unique()) - {STILL})


def restricted(frames: pd.DataFrame, wanted: Sequence[str]) -> pd.DataFrame:
    """Return the stills, and the clips of the wanted compressions.

    Args:
        frames: frames of a manifest's categories; columns category and compression.
        wanted: compressions; empty for all.

    Raises:
        SplitError: no clip has one of the compressions, or a category has clips of none of them.
    """
    if not wanted:
        return frames
    available = clip_compressions(frames)
    if missing := [c for c in wanted if c not in available]:
        if available:
            problem = f"the clips of these categories in the dataset have {_and(available)} only"
        else:
            problem = "the dataset has no clips of these categories, and stills have no compression"
        raise SplitError(
            f"--compression {', '.join(missing)}: {problem}. Extract the videos of that "
            f"compression first, or choose another."
        )
    selected = frames[frames["compression"].isin([*wanted, STILL])]
    for category in sorted(set(frames["category"]) - set(selected["category"])):
        available = clip_compressions(frames[frames["category"] == category])
        raise SplitError(
            f"--compression {', '.join(wanted)}: the dataset has {category} at {_and(available)} "
            f"only. Extract the missing videos first, or choose another --compression."
        )
    return selected


def drop_unshared_compressions(
    samples: pd.DataFrame, wanted: Sequence[str] = (), by_method: bool = True
) -> tuple[pd.DataFrame, dict[str, dict[str, Any]]]:
    """Exclude the clips of compressions that a class does not have.

    If that would remove all samples of a category, all samples stay: class and compression are
    then confounded, which an audit reports.

    Args:
        samples: columns class, category, label and compression.
        wanted: compressions that the user requested.
        by_method: require each compression for every method of a fake class, not only the class.

    Returns:
        The remaining samples, and excluded compression → its number of `samples` and the
        categories that are `lacking` it.

    Raises:
        SplitError: a wanted compression would be excluded.
    """
    if len(clip_compressions(samples)) < 2:
        return samples, {}
    clips = samples[samples["compression"] != STILL]
    unit = clips.groupby("class")["category"].transform(lambda c: ", ".join(sorted(c.unique())))
    if by_method:
        unit = unit.where(clips["label"] != "fake", clips["category"])
    sizes = pd.crosstab(unit.astype("str"), clips["compression"])
    excluded = {
        str(compression): {"samples": int(n.sum()), "lacking": n.index[n == 0].to_list()}
        for compression, n in sizes.items()
        if (n == 0).any()
    }
    remaining = samples[~samples["compression"].isin(excluded)]
    if not excluded or set(remaining["category"]) < set(samples["category"]):
        return samples, {}
    for compression, entry in excluded.items():
        if compression in wanted:
            raise SplitError(
                f"--compression {compression}: the dataset has no {_and(entry['lacking'])} at "
                f"{compression}, so this compression would reveal the class. Extract the missing "
                f"videos, or do not pass --compression {compression}."
            )
    return remaining.reset_index(drop=True), excluded


def _and(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
