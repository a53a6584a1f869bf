"""Whole groups of people to parts, so that every category is in every part."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from ffpp_tools.console import counted
from ffpp_tools.errors import SplitError
from ffpp_tools.store.schema import SPLITS

# When every part is given its first group of a category, a group is too large for a part if it
# exceeds the part's share by this factor and there are smaller ones.
GIANT = 1.5
# Groups that hold several categories may be given where another would have had to go; then they
# are tried in another order, so often.
ATTEMPTS = 20


def assign_groups(
    samples: pd.DataFrame,
    shares: Mapping[str, float],
    seed: int,
    spread: Collection[str] | None = None,
) -> dict[str, str]:
    """Group → part, so that every category is in every part and sizes come near the shares.

    First each part is given a group of each category, scarcest category and last part first;
    then every further group, in random order, goes where its categories are most wanted.

    Args:
        samples: one row per crop, with columns `group` and `category`.
        shares: part → its fraction of the samples; they sum to 1.
        seed: another seed, other groups in each part.
        spread: the categories that must be in every part; all where it is None.

    Raises:
        SplitError: a category has too few groups to be in all parts, or no way was found.
    """
    sizes = pd.crosstab(samples["group"], samples["category"]).sort_index()
    rng = np.random.default_rng(seed)
    parts, fractions = list(shares), np.array(list(shares.values()))
    wanted = [c in (sizes.columns if spread is None else spread) for c in sizes.columns]
    for attempt in range(ATTEMPTS):
        sizes = sizes.iloc[rng.permutation(len(sizes))]
        groups, table = sizes.index.to_list(), sizes.to_numpy()
        side = np.full(len(groups), -1)
        missing = _give_each_one(side, table[:, wanted], fractions)
        if missing is None:
            break
        holders = [groups[i] for i in np.flatnonzero(table[:, wanted][:, missing]).tolist()]
        if len(holders) < len(parts) or attempt == ATTEMPTS - 1:
            fold = len(parts) > len(SPLITS)  # with three of them fewer are none
            few = "too few" if len(holders) < len(parts) else "no way was found for them"
            raise SplitError(
                f"{sizes.columns[wanted][missing]}: its crops come from "
                f"{counted(len(holders), 'group')} of people who belong together "
                f"({_few(holders)}), {few} to be in {', '.join(parts)} without one being in two of "
                f"them. Extract more clips or stills of it{', or take fewer --folds' * fold}."
            )
    _give_the_rest(side, table, fractions)
    return {group: parts[at] for group, at in zip(groups, side, strict=True)}


def _give_each_one(
    side: npt.NDArray[np.int_], table: npt.NDArray[np.int_], fractions: npt.NDArray[np.float64]
) -> int | None:
    """Give each part a group of each category; return the category that there was none left of."""
    held = table > 0
    for at in np.argsort(held.sum(0), kind="stable").tolist():
        total = table[:, at].sum()
        for part in reversed(range(len(fractions))):
            if (held[:, at] & (side == part)).any():
                continue
            free = np.flatnonzero(held[:, at] & (side < 0))
            if not len(free):
                return at
            wanted = fractions[part] * total
            small = table[free, at] <= GIANT * max(wanted, table[free, at].min())
            side[free[small][0]] = part
    return None


def _give_the_rest(
    side: npt.NDArray[np.int_],
    table: npt.NDArray[np.int_],
    fractions: npt.NDArray[np.float64],
) -> None:
    total = table.sum(0)
    left = fractions[:, None] * total  # what each part still wants of each category
    for part in range(len(fractions)):
        left[part] -= table[side == part].sum(0)
    shares_left = (left / total).tolist()  # plain numbers: the loop below runs once a group
    columns = [np.flatnonzero(row).tolist() for row in table]
    parts = range(len(fractions))
    for i in np.flatnonzero(side < 0):
        held = columns[i]
        best = max(parts, key=lambda part: sum(shares_left[part][at] for at in held))
        side[i] = best
        for at in held:
            shares_left[best][at] -= table[i, at] / total[at]


def _few(names: Sequence[str]) -> str:
    return ", ".join(sorted(names)[:3]) + (", …" if len(names) > 3 else "")
