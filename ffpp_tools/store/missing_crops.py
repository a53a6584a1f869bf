"""Crops that a dataset's tables name and its folder no longer holds."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ffpp_tools.console import counted
from ffpp_tools.files import path_within


@dataclass(frozen=True)
class MissingCrops:
    """Paths of crops, below the dataset folder."""

    dataset: Path
    missing: tuple[str, ...]
    empty: tuple[str, ...]  # files of no bytes

    def __bool__(self) -> bool:
        """Whether anything is lost."""
        return bool(self.missing or self.empty)

    def __str__(self) -> str:
        """How many, with an example and a remedy."""
        found = [
            f"{counted(len(paths), 'crop')} {what} (such as {paths[0]})"
            for what, paths in (
                ("named by faces.parquet but missing", self.missing),
                ("of no bytes", self.empty),
            )
            if paths
        ]
        return (
            f"{' and '.join(found)}: `ffpp-extract --verify --out {self.dataset}` says which parts "
            f"to extract again; run ffpp-clean afterwards"
        )


def find_missing_crops(dataset: Path, paths: Iterable[str]) -> MissingCrops:
    """Which crops are missing or empty.

    Folders are listed and sizes are asked for; no file is read.

    Args:
        dataset: the folder of the crops.
        paths: of the crops, below it.

    Raises:
        FfppError: a path leads elsewhere.
    """
    by_folder = defaultdict(list)
    for path in paths:
        by_folder[path.rpartition("/")[0]].append(path)
    missing, empty = [], []
    for folder, own in by_folder.items():
        sizes = {}
        with suppress(OSError), os.scandir(path_within(dataset, folder)) as entries:
            for entry in entries:
                with suppress(OSError):
                    sizes[entry.name] = entry.stat().st_size
        for path in own:
            size = sizes.get(path.rpartition("/")[2])
            if size is None:
                missing.append(path)
            elif not size:
                empty.append(path)
    return MissingCrops(dataset, tuple(sorted(missing)), tuple(sorted(empty)))
