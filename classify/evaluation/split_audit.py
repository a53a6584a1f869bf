"""What is known now of the identity groups in a manifest's splits.

manifest.json holds what was known when the manifest was made. Since then `ffpp-clean` and
`ffpp-identify` may have found who is in several clips, and lists may have come: the audit is made
again from the dataset's tables as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd

from classify.evaluation.scores import Scores
from ffpp_tools.errors import TableError
from ffpp_tools.grouping.dataset import Dataset
from ffpp_tools.grouping.groups import identity_groups, nodes
from ffpp_tools.sources import official_lists
from ffpp_tools.splits.audit import Audit, audited, edges_within, with_audit
from ffpp_tools.splits.build import group_counts
from ffpp_tools.splits.manifest import Manifest
from ffpp_tools.store.schema import SPLITS

UNREADABLE = "THE DATASET CANNOT BE READ HERE"
Stamp = tuple[tuple[str, int, int, int], ...]


@dataclass(frozen=True)
class SplitAudit:
    """A manifest's splits, by what ties clips and stills now.

    manifest: its info holds the summary, the groups and the audit of now.
    group_of: clip or still, as `groups.nodes` names it → identity group; None where the dataset
        cannot be read.
    changed: whether the groups are others than when the manifest was made.
    """

    manifest: Manifest
    group_of: Mapping[str, str] | None = None
    changed: bool = False

    @property
    def leaks(self) -> bool:
        """Whether an identity group is in several splits."""
        return bool(self.manifest.info["audit"]["leaks"])

    def samples(self, split: str) -> pd.DataFrame:
        """The rows of one split, with their groups of now.

        Raises:
            TableError: as `Manifest.samples`.
        """
        return self._regrouped(self.manifest.samples(split))

    def regrouped(self, scores: Scores) -> Scores:
        """Scores of this manifest's samples, with their groups of now."""
        return replace(scores, table=self._regrouped(scores.table))

    def _regrouped(self, table: pd.DataFrame) -> pd.DataFrame:
        if self.group_of is None:
            return table
        return table.assign(group=nodes(table).map(self.group_of).astype("str"))


def split_audit(manifest: Manifest) -> SplitAudit:
    """Audit a manifest anew by its dataset; by its own audit where that cannot be read.

    Its summary then says so. Made once for as long as neither manifest nor dataset change.
    """
    try:
        found = _audited(manifest.folder.resolve(), _stamp(manifest.folder), _stamp(manifest.root))
    except TableError as error:
        said = str(manifest.info["summary"])
        if UNREADABLE not in said:
            reason = without_paths(error, manifest)
            said += (
                f". {UNREADABLE} ({reason}): what is said of people is what was known when the "
                f"manifest was made"
            )
        return SplitAudit(replace(manifest, info={**manifest.info, "summary": said}))
    info: dict[str, Any] = {**with_audit(manifest.info, found.audit), "groups": found.behind}
    if found.lost and manifest.info["audit"]["leaks"] and not found.audit.leaks:
        info = {**info, **{key: manifest.info[key] for key in ("summary", "audit")}}
    if found.lost:
        info["summary"] += (
            f". {', '.join(found.lost)}, WHICH THE MANIFEST RESTS ON, IS NO LONGER IN THE DATASET: "
            f"people may be in several splits unnoticed"
        )
    return SplitAudit(replace(manifest, info=info), found.group_of, found.changed)


def without_paths(error: Exception, *manifests: Manifest) -> str:
    """What an error says, with the names of folders for their paths: a report names no path."""
    text = str(error)
    for manifest in manifests:
        for folder in (manifest.root, manifest.folder.resolve()):
            text = text.replace(str(folder), folder.name)
    return text


def dataset_at(root: Path) -> Dataset:
    """The dataset in a folder, read once for as long as it does not change.

    Raises:
        TableError: a table is missing or damaged.
    """
    return _dataset(root, _stamp(root))


@dataclass(frozen=True)
class _CurrentAudit:
    audit: Audit
    group_of: dict[str, str]
    behind: dict[str, dict[str, int]]  # how many groups each split's clips and stills come from
    changed: bool
    lost: tuple[str, ...]  # tables and lists that the manifest rests on and that are gone


@lru_cache(maxsize=8)
def _audited(folder: Path, _own: Stamp, tables_stamp: Stamp) -> _CurrentAudit:
    manifest = Manifest.read(folder)
    columns = ["category", "compression", "clip", "class", "label", "group"]
    splits = {split: manifest.samples(split, columns) for split in SPLITS}
    every = pd.concat([rows.assign(split=s) for s, rows in splits.items()], ignore_index=True)
    tables = _dataset(manifest.root, tables_stamp)
    held = set(nodes(tables.frames).unique())
    units = nodes(every)
    for unit in units.unique():
        if unit not in held:
            raise TableError(f"{manifest.root} does not hold {unit}")
    there = {**tables.table_hashes, **official_lists.hashes(tables.folder)}
    lost = tuple(name for name in manifest.info["tables"] if name not in there)
    tied = edges_within(every, tables.edges)
    if lost:  # the manifest still knows what the lost table said
        known = pd.DataFrame({"a": units, "b": "~group " + every["group"]}).drop_duplicates()
        tied = pd.concat([tied, known.assign(reason="several", detail="")], ignore_index=True)
    group = identity_groups(every, tied)
    return _CurrentAudit(
        audited(every, tables),
        group.groupby(units).first().to_dict(),
        {
            split: group_counts(rows.assign(group=group[rows.index]))
            for split, rows in every.groupby("split")
        },
        not _same_partition(group, every["group"]),
        lost,
    )


def _same_partition(one: pd.Series, other: pd.Series) -> bool:
    pairs = pd.DataFrame({"one": one, "other": other}).drop_duplicates()
    return not (pairs["one"].duplicated().any() or pairs["other"].duplicated().any())


@lru_cache(maxsize=2)
def _dataset(root: Path, _tables: Stamp) -> Dataset:
    return Dataset.read(root)


def _stamp(folder: Path) -> Stamp:
    """What tells that a file of a folder, or a list below it, has changed."""
    found = []
    for path in (*folder.glob("*.*"), *(folder / official_lists.FOLDER).glob("*")):
        with suppress(OSError):  # a broken link, or a temporary file that is gone by now
            if path.is_file():
                about = path.stat()
                found.append((path.name, about.st_mtime_ns, about.st_ctime_ns, about.st_size))
    return tuple(sorted(found))
