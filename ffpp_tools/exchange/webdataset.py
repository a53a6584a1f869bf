"""A manifest as tar files ("shards"), for the `webdataset` package and similar loaders.

    FOLDER/<split>-000000.tar, <split>-000001.tar, …

A sample is three consecutive members: `<name>.png` (or `.jpg`), `<name>.cls` (the class index) and
`<name>.json` (the manifest's columns). The same manifest, seed and shard size give the same bytes.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import numpy as np

from ffpp_tools.console import jsonable
from ffpp_tools.errors import SettingsError
from ffpp_tools.exchange.crops import Crop, CropTable
from ffpp_tools.files import atomic_replacement

SHARD_SIZE = 1000  # samples
LAYOUT = "<split>-000000.tar, …, each sample as <name>.png or .jpg, <name>.cls and <name>.json"


def written(tables: Iterable[CropTable], shard_size: int = SHARD_SIZE, seed: int = 0) -> list[str]:
    """Return the names of the files that `write` creates, by the same options."""
    return [name for table in tables for name in shard_names(table, shard_size)]


def shard_names(table: CropTable, shard_size: int) -> list[str]:
    """Return the names of a split's shards.

    Raises:
        SettingsError: the size is not positive.
    """
    if shard_size < 1:
        raise SettingsError(f"shard_size ({shard_size}) must be > 0")
    return [f"{table.split}-{i:06d}.tar" for i in range(-(-len(table) // shard_size))]


def write(
    tables: Iterable[CropTable], folder: Path, shard_size: int = SHARD_SIZE, seed: int = 0
) -> int:
    """Write the splits to a folder, each in a random order, so that shards mix classes and clips.

    Args:
        tables: the crops of each split.
        folder: the folder to write to.
        shard_size: number of samples per shard; the last shard of a split may have fewer.
        seed: random seed of the order.

    Returns:
        0, the number of crops that are hard links.

    Raises:
        CropError: a crop cannot be read, or differs from its recorded hash.
        FfppError: a file cannot be written.
    """
    for number, table in enumerate(tables):
        order = np.random.default_rng((seed, number)).permutation(len(table)).tolist()
        crops = table.crops(order)
        for name in shard_names(table, shard_size):
            with (
                atomic_replacement(folder / name) as temporary,
                tarfile.open(temporary, "w", format=tarfile.USTAR_FORMAT) as tar,
            ):
                for crop in islice(crops, shard_size):
                    _add(tar, crop)
        next(crops, None)  # ends the progress bar
    return 0


def _add(tar: tarfile.TarFile, crop: Crop) -> None:
    """Add a sample; the headers contain no time and no owner."""
    row = json.dumps(jsonable(crop.row), ensure_ascii=False)
    members = {
        crop.suffix: crop.read(),
        ".cls": str(crop.row["class_index"]).encode(),
        ".json": row.encode(),
    }
    for suffix, data in members.items():
        header = tarfile.TarInfo(crop.name + suffix)
        header.size = len(data)
        tar.addfile(header, io.BytesIO(data))
