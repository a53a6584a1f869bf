"""A dataset folder, read: its tables, and what they and FF++'s lists say belongs together."""

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

# What is held of the tables, which may have millions of rows: what tells which crops there are, of
# whom, and what ties them.
REPEATED = (
    *("category", "label", "compression", "clip", "target_id", "source_id", "status"),
    *("photo", "partition", "source_sha256"),
)
OF_FRAMES = ("frame_id", "frame", *REPEATED)
OF_FACES = ("face_id", "frame_id", "path", "sha256")


@dataclass(frozen=True)
class Dataset:
    """What a dataset folder holds."""

    folder: Path
    frames: pd.DataFrame  # the ledger; columns `OF_FRAMES`, `REPEATED` as categories
    # Columns `OF_FACES`, but for `frame_id`: `frame` is the position of a crop's frame in `frames`.
    faces: pd.DataFrame
    duplicates: pd.DataFrame | None  # columns as in `DuplicateRow`; None before ffpp-clean
    identities: pd.DataFrame | None  # columns as in `IdentityRow`; None before ffpp-identify
    videos: Mapping[str, str] | None  # clip of Youtube → YouTube video; None if not known
    people: Mapping[str, str] | None  # number of a CelebA photograph → person; None if not known
    # A hash of each table's content, whatever the order of its rows, by its file's name.
    fingerprints: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> Dataset:
        """The dataset in `folder`.

        Raises:
            TableError: a table is missing or damaged.
        """
        frames, of_frames = read_columns(folder, "frames", OF_FRAMES, REPEATED)
        faces, of_faces = read_columns(folder, "faces", OF_FACES)
        faces["frame"] = positions(frames["frame_id"], faces.pop("frame_id"))
        found = {"duplicates": read_duplicates(folder), "identities": read_identities(folder)}
        others = {f"{n}.parquet": content_hash(t) for n, t in found.items() if t is not None}
        return cls(
            folder,
            frames,
            faces,
            **found,
            videos=official_lists.youtube_videos(folder),
            people=official_lists.celeba_identities(folder),
            fingerprints={**of_frames, **of_faces, **others},
        )

    @cached_property
    def ties(self) -> pd.DataFrame:
        """Everything that is known to tie its clips and stills together."""
        return identity_edges(
            self.frames, self.videos, self.duplicates, self.identities, self.people
        )

    def changed_since(self, fingerprints: Mapping[str, str]) -> list[str]:
        """Which tables are no longer, or not yet, as they were when a manifest was made."""
        now = self.fingerprints
        names = [name for name in {**now, **fingerprints} if name.endswith(".parquet")]
        return [name for name in names if now.get(name) != fingerprints.get(name)]

    @property
    def limits(self) -> list[str]:
        """How many people `ffpp-identify` misses, in words; nothing where it was not run."""
        return [] if self.identities is None else [matching_limitation(self.identities)]

    def repeated(self) -> set[str]:
        """Clips and stills that are identical to another one of the same category."""
        if self.duplicates is None:
            return set()
        table = self.duplicates[self.duplicates["kind"] == "identical"]
        same = node_categories(table["item"]) == node_categories(table["partner"])
        return set(table["item"][same])

    def unreadable(self) -> set[str]:
        """Crops that could not be read any more, by their path below the folder."""
        if self.duplicates is None:
            return set()
        return set(self.duplicates["path"][self.duplicates["kind"] == "unreadable"])

    @cached_property
    def covered(self) -> dict[str, dict[str, str | int]]:
        """What `tables.coverage_by_category` says of its crops."""
        return coverage_by_category(read_faces(self.folder))
