"""Crops that are listed in a dataset's tables but missing from its folder."""

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
    """Missing and empty crops, as paths in the dataset folder."""

    dataset: Path
    missing: tuple[str, ...]
    empty: tuple[str, ...]  # files with 0 bytes

    def __bool__(self) -> bool:
        """Return whether any crop is missing or empty."""
        return bool(self.missing or self.empty)

    def __str__(self) -> str:
        """Return the counts, with an example of each kind and a remedy."""
        descriptions = [
            f"{counted(len(paths), 'crop')} {what} (such as {paths[0]})"
            for what, paths in (
                ("listed in faces.parquet but missing", self.missing),
                ("with 0 bytes", self.empty),
            )
            if paths
        ]
        return (
            f"{' and '.join(descriptions)}: `ffpp-extract --verify --out {self.dataset}` lists the "
            f"parts to extract again; run ffpp-clean afterwards"
        )


def find_missing_crops(dataset: Path, paths: Iterable[str]) -> MissingCrops:
    """Find crops that are missing or empty.

    Only folder listings and file sizes are read, no file contents.

    Args:
        dataset: the dataset folder.
        paths: paths of the crops in that folder.

    Raises:
        FfppError: a path points outside the folder.
    """
    by_folder = defaultdict(list)
    for path in paths:
        by_folder[path.rpartition("/")[0]].append(path)
    missing, empty = [], []
    for folder, crops in by_folder.items():
        sizes = {}
        with suppress(OSError), os.scandir(path_within(dataset, folder)) as entries:
            for entry in entries:
                with suppress(OSError):
                    sizes[entry.name] = entry.stat().st_size
        for path in crops:
            size = sizes.get(path.rpartition("/")[2])
            if size is None:
                missing.append(path)
            elif not size:
                empty.append(path)
    return MissingCrops(dataset, tuple(sorted(missing)), tuple(sorted(empty)))
