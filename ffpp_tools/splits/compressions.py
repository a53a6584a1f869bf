"""Compression as part of the design: which compressions a manifest uses.

A network tells c23 from c40 easily. A manifest in which one class has more of either than another
lets it answer by compression instead of by the face.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from ffpp_tools.errors import SplitError
from ffpp_tools.store.schema import STILL


def clip_compressions(rows: pd.DataFrame) -> list[str]:
    """The compressions of the clips among some rows, sorted."""
    return sorted(set(rows["compression"].unique()) - {STILL})


def restricted(frames: pd.DataFrame, wanted: Sequence[str]) -> pd.DataFrame:
    """The stills, and the clips of the wanted compressions.

    Args:
        frames: columns category and compression; of the categories of a manifest.
        wanted: compressions; none keeps all of them.

    Raises:
        SplitError: no clip has one of them, or a category's clips have none of them.
    """
    if not wanted:
        return frames
    there = clip_compressions(frames)
    if unknown := [c for c in wanted if c not in there]:
        has = f"have {_and(there)}" if there else "are none: stills have no video compression"
        raise SplitError(
            f"--compression {', '.join(unknown)}: the clips of these categories in the dataset "
            f"{has}. Extract the videos of that compression first, or choose another."
        )
    kept = frames[frames["compression"].isin([*wanted, STILL])]
    for category in sorted(set(frames["category"]) - set(kept["category"])):
        own = clip_compressions(frames[frames["category"] == category])
        raise SplitError(
            f"--compression {', '.join(wanted)}: the dataset has {category} at {_and(own)} only. "
            f"Extract the missing videos first, or choose another --compression."
        )
    return kept


def drop_unshared_compressions(
    samples: pd.DataFrame, wanted: Sequence[str] = (), by_method: bool = True
) -> tuple[pd.DataFrame, dict[str, dict[str, Any]]]:
    """The samples without clips of compressions that some class lacks, and what is left out.

    Where that would leave nothing of some category, all samples stay: class and compression are
    then confounded, and an audit says so.

    Args:
        samples: columns class, category, label and compression.
        wanted: compressions that were asked for by name.
        by_method: every method of a fake class must have a compression, not only the class.

    Returns:
        The samples, and left out compression → how many `samples` and which categories are
        `lacking` it.

    Raises:
        SplitError: a wanted compression would be left out.
    """
    if len(clip_compressions(samples)) < 2:
        return samples, {}
    clips = samples[samples["compression"] != STILL]
    unit = clips.groupby("class")["category"].transform(lambda c: ", ".join(sorted(c.unique())))
    if by_method:
        unit = unit.where(clips["label"] != "fake", clips["category"])
    sizes = pd.crosstab(unit.astype("str"), clips["compression"])
    left_out = {
        str(compression): {"samples": int(n.sum()), "lacking": n.index[n == 0].to_list()}
        for compression, n in sizes.items()
        if (n == 0).any()
    }
    kept = samples[~samples["compression"].isin(left_out)]
    if not left_out or set(kept["category"]) < set(samples["category"]):
        return samples, {}
    for compression, gone in left_out.items():
        if compression in wanted:
            raise SplitError(
                f"--compression {compression}: the dataset has nothing of "
                f"{_and(gone['lacking'])} at it, which would tell the classes apart. Extract the "
                f"missing videos, or leave out --compression {compression}."
            )
    return kept.reset_index(drop=True), left_out


def _and(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
