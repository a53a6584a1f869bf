"""Current audit of the identity groups in a manifest's splits.

manifest.json holds the audit of the time when the manifest was created. Since then, `ffpp-clean`
and `ffpp-identify` may have found identities in several clips, and official lists may have been
added. The audit is therefore repeated on the current tables of the dataset.
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
    """A manifest's splits by the current edges between clips and stills.

    manifest: its `info` has the current summary, groups and audit.
    group_of: clip or still, named as by `groups.nodes` → identity group; None if the dataset
        cannot be read.
    changed: whether the groups differ from those when the manifest was created.
    """

    manifest: Manifest
    group_of: Mapping[str, str] | None = None
    changed: bool = False

    @property
    def leaks(self) -> bool:
        """Whether an identity group is in several splits."""
        return bool(self.manifest.info["audit"]["leaks"])

    def samples(self, split: str) -> pd.DataFrame:
        """Return the samples of one split with their current identity groups.

        Raises:
            TableError: as `Manifest.samples`.
        """
        return self._regrouped(self.manifest.samples(split))

    def regrouped(self, scores: Scores) -> Scores:
        """Return scores of this manifest's samples with their current identity groups."""
        return replace(scores, table=self._regrouped(scores.table))

    def _regrouped(self, table: pd.DataFrame) -> pd.DataFrame:
        if self.group_of is None:
            return table
        return table.assign(group=nodes(table).map(self.group_of).astype("str"))


def split_audit(manifest: Manifest) -> SplitAudit:
    """Audit a manifest by the current tables of its dataset.

    If the dataset cannot be read, the manifest's own audit is used, and the summary says so. The
    result is cached until the manifest or the dataset changes.
    """
    try:
        current = _audit(manifest.folder.resolve(), _stamp(manifest.folder), _stamp(manifest.root))
    except TableError as error:
        summary = str(manifest.info["summary"])
        if UNREADABLE not in summary:
            reason = without_paths(error, manifest)
            summary += (
                f". {UNREADABLE} ({reason}): the identity groups are those known when the manifest "
                f"was created"
            )
        return SplitAudit(replace(manifest, info={**manifest.info, "summary": summary}))
    info: dict[str, Any] = {**with_audit(manifest.info, current.audit), "groups": current.groups}
    if current.missing and manifest.info["audit"]["leaks"] and not current.audit.leaks:
        info = {**info, **{key: manifest.info[key] for key in ("summary", "audit")}}
    if current.missing:
        info["summary"] += (
            f". {', '.join(current.missing)}, ON WHICH THE MANIFEST IS BASED, IS NO LONGER IN THE "
            f"DATASET: leaks between splits may go undetected"
        )
    return SplitAudit(replace(manifest, info=info), current.group_of, current.changed)


def without_paths(error: Exception, *manifests: Manifest) -> str:
    """Return an error's message with folder names in place of paths, which reports do not show."""
    text = str(error)
    for manifest in manifests:
        for folder in (manifest.root, manifest.folder.resolve()):
            text = text.replace(str(folder), folder.name)
    return text


def dataset_at(root: Path) -> Dataset:
    """Read the dataset in a folder; the result is cached until the dataset changes.

    Raises:
        TableError: a table is missing or damaged.
    """
    return _dataset(root, _stamp(root))


@dataclass(frozen=True)
class _CurrentAudit:
    audit: Audit
    group_of: dict[str, str]
    groups: dict[str, dict[str, int]]  # split → number of groups of its clips and of its stills
    changed: bool
    missing: tuple[str, ...]  # missing tables and lists on which the manifest is based


@lru_cache(maxsize=8)
def _audit(folder: Path, _manifest_stamp: Stamp, tables_stamp: Stamp) -> _CurrentAudit:
    """Audit the manifest in a folder; the stamps make the cache notice changes."""
    manifest = Manifest.read(folder)
    columns = ["category", "compression", "clip", "class", "label", "group"]
    splits = {split: manifest.samples(split, columns) for split in SPLITS}
    samples = pd.concat([rows.assign(split=s) for s, rows in splits.items()], ignore_index=True)
    tables = _dataset(manifest.root, tables_stamp)
    known_nodes = set(nodes(tables.frames).unique())
    node_of = nodes(samples)
    for node in node_of.unique():
        if node not in known_nodes:
            raise TableError(f"{manifest.root} does not contain {node}")
    present = {**tables.table_hashes, **official_lists.hashes(tables.folder)}
    missing = tuple(name for name in manifest.info["tables"] if name not in present)
    edges = edges_within(samples, tables.edges)
    if missing:  # the manifest's own groups preserve the edges of the missing table
        own = pd.DataFrame({"a": node_of, "b": "~group " + samples["group"]}).drop_duplicates()
        edges = pd.concat([edges, own.assign(reason="several", detail="")], ignore_index=True)
    group = identity_groups(samples, edges)
    return _CurrentAudit(
        audited(samples, tables),
        group.groupby(node_of).first().to_dict(),
        {
            split: group_counts(rows.assign(group=group[rows.index]))
            for split, rows in samples.groupby("split")
        },
        not _same_partition(group, samples["group"]),
        missing,
    )


def _same_partition(one: pd.Series, other: pd.Series) -> bool:
    """Return whether two labellings group the samples in the same way."""
    pairs = pd.DataFrame({"one": one, "other": other}).drop_duplicates()
    return not (pairs["one"].duplicated().any() or pairs["other"].duplicated().any())


@lru_cache(maxsize=2)
def _dataset(root: Path, _tables: Stamp) -> Dataset:
    return Dataset.read(root)


def _stamp(folder: Path) -> Stamp:
    """Return names, times and sizes of a folder's files and official lists, to detect changes."""
    files = []
    for path in (*folder.glob("*.*"), *(folder / official_lists.FOLDER).glob("*")):
        with suppress(OSError):  # a broken link, or a temporary file deleted since
            if path.is_file():
                stat = path.stat()
                files.append((path.name, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size))
    return tuple(sorted(files))
