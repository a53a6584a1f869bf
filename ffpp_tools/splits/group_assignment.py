"""Assignment of identity groups to splits, so that every category is in every split."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from ffpp_tools.console import counted
from ffpp_tools.errors import SplitError
from ffpp_tools.store.schema import SPLITS

# A split's first group of a category may exceed the split's share by this factor. A larger group
# is used only if there is no smaller one.
GIANT = 1.5
# A group with several categories may be used up for one category when another has no group left.
# The assignment is then repeated with the groups in another order, up to this many times.
ATTEMPTS = 20


def assign_groups(
    samples: pd.DataFrame,
    shares: Mapping[str, float],
    seed: int,
    spread: Collection[str] | None = None,
) -> dict[str, str]:
    """Return group → split, with every category in every split and sizes close to the shares.

    First, each split gets one group of each category, starting with the category in the fewest
    groups and the last split. Then the remaining groups, in random order, each go to the split
    that is furthest below its share of the group's categories.

    Args:
        samples: one row per crop, with columns `group` and `category`.
        shares: split → its fraction of the samples; the fractions sum to 1.
        seed: random seed for the group assignment.
        spread: the categories that must be in every split; None for all.

    Raises:
        SplitError: a category has too few groups to be in all splits, or no assignment was found.
    """
    sizes = pd.crosstab(samples["group"], samples["category"]).sort_index()
    rng = np.random.default_rng(seed)
    splits, fractions = list(shares), np.array(list(shares.values()))
    required = [c in (sizes.columns if spread is None else spread) for c in sizes.columns]
    for attempt in range(ATTEMPTS):
        sizes = sizes.iloc[rng.permutation(len(sizes))]
        groups, table = sizes.index.to_list(), sizes.to_numpy()
        split_of = np.full(len(groups), -1)
        missing = _assign_first_groups(split_of, table[:, required], fractions)
        if missing is None:
            break
        candidates = [groups[i] for i in np.flatnonzero(table[:, required][:, missing]).tolist()]
        if len(candidates) < len(splits) or attempt == ATTEMPTS - 1:
            many_folds = len(splits) > len(SPLITS)  # three is the least number of folds
            few = len(candidates) < len(splits)
            problem = "too few to put" if few else "but no assignment was found that puts"
            raise SplitError(
                f"{sizes.columns[required][missing]}: its crops come from "
                f"{counted(len(candidates), 'identity group')} ({_shortened(candidates)}), "
                f"{problem} a different one into each of {', '.join(splits)}. Extract more clips "
                f"or stills of it{', or choose fewer --folds' * many_folds}."
            )
    _assign_remaining_groups(split_of, table, fractions)
    return {group: splits[i] for group, i in zip(groups, split_of, strict=True)}


def _assign_first_groups(
    split_of: npt.NDArray[np.int_], table: npt.NDArray[np.int_], fractions: npt.NDArray[np.float64]
) -> int | None:
    """Assign one group of each category to each split, in place.

    Args:
        split_of: (groups,) position of each group's split; -1 for unassigned groups.
        table: (groups, categories) number of samples.
        fractions: (splits,) the splits' fractions of the samples.

    Returns:
        The column of a category that ran out of groups, or None.
    """
    has_category = table > 0
    for category in np.argsort(has_category.sum(0), kind="stable").tolist():
        total = table[:, category].sum()
        for split in reversed(range(len(fractions))):
            if (has_category[:, category] & (split_of == split)).any():
                continue
            free = np.flatnonzero(has_category[:, category] & (split_of < 0))
            if not len(free):
                return category
            target = fractions[split] * total
            small = table[free, category] <= GIANT * max(target, table[free, category].min())
            split_of[free[small][0]] = split
    return None


def _assign_remaining_groups(
    split_of: npt.NDArray[np.int_],
    table: npt.NDArray[np.int_],
    fractions: npt.NDArray[np.float64],
) -> None:
    """Assign the unassigned groups, in place; arguments as for `_assign_first_groups`."""
    total = table.sum(0)
    needed = fractions[:, None] * total  # samples that each split still needs of each category
    for split in range(len(fractions)):
        needed[split] -= table[split_of == split].sum(0)
    needed_shares = (needed / total).tolist()  # Python floats are faster in the loop below
    categories_of = [np.flatnonzero(row).tolist() for row in table]
    splits = range(len(fractions))
    for i in np.flatnonzero(split_of < 0):
        categories = categories_of[i]
        best = max(splits, key=lambda split: sum(needed_shares[split][c] for c in categories))
        split_of[i] = best
        for category in categories:
            needed_shares[best][category] -= table[i, category] / total[category]


def _shortened(names: Sequence[str]) -> str:
    return ", ".join(sorted(names)[:3]) + (", …" if len(names) > 3 else "")
