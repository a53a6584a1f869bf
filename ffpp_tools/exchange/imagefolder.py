"""A manifest as a folder of images per class, for torchvision and Hugging Face's `datasets`.

    FOLDER/<split>/<class>/<name>.png      one image per sample
    FOLDER/<split>/metadata.jsonl          one row per sample

`torchvision.datasets.ImageFolder(FOLDER/<split>)` takes the class from the folder, and
`datasets.load_dataset("imagefolder", data_dir=FOLDER)` takes all columns from metadata.jsonl: where
that file exists, it ignores the folders' names.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from ffpp_tools.console import jsonable
from ffpp_tools.errors import SettingsError
from ffpp_tools.exchange.crops import Crop, CropTable
from ffpp_tools.files import link_or_write, wrap_write_errors, write_atomically

METADATA = "metadata.jsonl"
LAYOUT = f"<split>/<class>/<name>, and {METADATA} in each split's folder"


def written(tables: Iterable[CropTable], copy: bool = False) -> list[str]:
    """Return the names of the folders that `write` creates, by the same options."""
    return [table.split for table in tables if len(table)]


def write(tables: Sequence[CropTable], folder: Path, copy: bool = False) -> int:
    """Write the splits to a folder; one without samples gets no folder.

    Each split has a folder for each class, even if it is empty: torchvision numbers the folders
    that exist.

    Args:
        tables: the crops of each split.
        folder: the folder to write to.
        copy: copy the files instead of creating hard links.

    Returns:
        The number of crops that are hard links.

    Raises:
        SettingsError: the name of a class cannot be that of a folder.
        CropError: a crop cannot be read, or differs from its recorded hash.
        FfppError: a file cannot be written.
    """
    classes = list(tables[0].manifest.classes)
    for name in classes:
        if name in ("", "..") or name != Path(name).name or "\0" in name:
            raise SettingsError(f"class {name!r} cannot be the name of a folder; rename the class")
    linked = 0
    for table in tables:
        if not len(table):
            continue
        place = folder / table.split
        for name in classes:
            with wrap_write_errors(place / name):
                (place / name).mkdir(parents=True)
        rows = []
        for crop in table.crops():
            name = f"{crop.row['class']}/{crop.name}{crop.suffix}"
            linked += _place(crop, place / name, copy)
            rows.append(json.dumps({"file_name": name, **jsonable(crop.row)}, ensure_ascii=False))
        write_atomically(place / METADATA, "".join(f"{row}\n" for row in rows).encode())
    return linked


def _place(crop: Crop, target: Path, copy: bool) -> bool:
    """Link or copy a crop to a path that does not exist; return whether it is a hard link."""
    data = crop.read()  # checks its hash
    if not copy:
        return link_or_write(crop.path, target, data)
    with wrap_write_errors(target), target.open("xb") as file:
        file.write(data)
    return False
