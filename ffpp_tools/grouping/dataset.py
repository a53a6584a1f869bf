"""A dataset folder read into memory: its tables, the official lists, and the identity edges."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import pandas as pd

from ffpp_tools.grouping.groups import identity_edges, node_categories
from ffpp_tools.grouping.match_rates import matching_limitation
from ffpp_tools.sources import official_lists
from ffpp_tools.store.tables import (
    content_hash,
    coverage_by_category,
    positions,
    read_columns,
    read_duplicates,
    read_faces,
    read_identities,
)

# The columns that are loaded, because the tables may have millions of rows: those that identify
# crops and people, and those that connect clips and stills.
REPEATED = (
    *("category", "label", "compression", "clip", "target_id", "source_id", "status"),
    *("photo", "partition", "source_sha256"),
)
FRAME_COLUMNS = ("frame_id", "frame", *REPEATED)
FACE_COLUMNS = ("face_id", "frame_id", "path", "sha256")


@dataclass(frozen=True)
class Dataset:
    """The contents of a dataset folder."""

    folder: Path
    frames: pd.DataFrame  # the ledger; columns `FRAME_COLUMNS`, `REPEATED` as categories
    # Columns `FACE_COLUMNS`, with `frame_id` replaced by `frame`: the position of the crop's frame
    # in `frames`.
    faces: pd.DataFrame
    duplicates: pd.DataFrame | None  # columns as in `DuplicateRow`; None before ffpp-clean
    identities: pd.DataFrame | None  # columns as in `IdentityRow`; None before ffpp-identify
    videos: Mapping[str, str] | None  # Youtube clip → YouTube video; None if unknown
    people: Mapping[str, str] | None  # CelebA photograph number → identity; None if unknown
    # File name → hash of the table's content, independent of the order of its rows.
    table_hashes: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> Dataset:
        """Read the dataset in `folder`.

        Raises:
            TableError: a table is missing or damaged.
        """
        frames, frames_hash = read_columns(folder, "frames", FRAME_COLUMNS, REPEATED)
        faces, faces_hash = read_columns(folder, "faces", FACE_COLUMNS)
        faces["frame"] = positions(frames["frame_id"], faces.pop("frame_id"))
        tables = {"duplicates": read_duplicates(folder), "identities": read_identities(folder)}
        hashes = {f"{n}.parquet": content_hash(t) for n, t in tables.items() if t is not None}
        return cls(
            folder,
            frames,
            faces,
            **tables,
            videos=official_lists.youtube_videos(folder),
            people=official_lists.celeba_identities(folder),
            table_hashes={**frames_hash, **faces_hash, **hashes},
        )

    @cached_property
    def edges(self) -> pd.DataFrame:
        """All known edges between clips and stills, as `identity_edges` returns them."""
        return identity_edges(
            self.frames, self.videos, self.duplicates, self.identities, self.people
        )

    def changed_since(self, hashes: Mapping[str, str]) -> list[str]:
        """Return the files of tables whose hashes differ from `hashes`, recorded in a manifest."""
        current = self.table_hashes
        names = [name for name in {**current, **hashes} if name.endswith(".parquet")]
        return [name for name in names if current.get(name) != hashes.get(name)]

    @property
    def matching_limitations(self) -> list[str]:
        """Describe the error rates of `ffpp-identify`; empty if it was not run."""
        return [] if self.identities is None else [matching_limitation(self.identities)]

    def repeated(self) -> set[str]:
        """Return the clips and stills that are identical to another one of the same category."""
        if self.duplicates is None:
            return set()
        table = self.duplicates[self.duplicates["kind"] == "identical"]
        same_category = node_categories(table["item"]) == node_categories(table["partner"])
        return set(table["item"][same_category])

    def unreadable(self) -> set[str]:
        """Return the paths, in the folder, of crops that ffpp-clean could not read."""
        if self.duplicates is None:
            return set()
        return set(self.duplicates["path"][self.duplicates["kind"] == "unreadable"])

    @cached_property
    def covered(self) -> dict[str, dict[str, str | int]]:
        """The result of `tables.coverage_by_category` for the crops."""
        return coverage_by_category(read_faces(self.folder))
