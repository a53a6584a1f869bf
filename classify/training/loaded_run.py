"""A finished run, each of whose files is read once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pandas as pd

from classify.training.runs import Run
from ffpp_tools.splits.manifest import Manifest

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class LoadedManifest(Manifest):
    """A manifest that keeps the samples of a split once they are read."""

    _read: dict[str, pd.DataFrame] = field(default_factory=dict, repr=False, compare=False)

    def samples(self, split: str, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """As `Manifest.samples`."""
        if split not in self._read:
            self._read[split] = super().samples(split)
        samples = self._read[split].copy(deep=False)  # pandas copies what is written to
        return samples if columns is None else samples[list(columns)]


@dataclass(frozen=True)
class LoadedRun(Run):
    """A run that is no longer trained. Its files are read when first needed, and kept.

    A report asks a dozen times for the manifest, the log and the hash of the checkpoint, which may
    be of a gigabyte. A run that may be training meanwhile is a `Run`, which reads them every time.
    """

    @cached_property
    def manifest(self) -> Manifest:
        """As `Run.manifest`, with the samples that were read."""
        manifest = super().manifest
        return LoadedManifest(manifest.folder, manifest.info, manifest.sha256)

    @cached_property
    def environment(self) -> dict[str, Any]:
        """As `Run.environment`."""
        return super().environment

    @cached_property
    def faces(self) -> dict[str, Any]:
        """As `Run.faces`."""
        return super().faces

    @cached_property
    def log(self) -> pd.DataFrame:
        """As `Run.log`."""
        return super().log

    @cached_property
    def checkpoint_sha256(self) -> str:
        """As `Run.checkpoint_sha256`."""
        return super().checkpoint_sha256

    @cached_property
    def _best_model(self) -> keras.Model:
        return super().best_model()

    def best_model(self) -> keras.Model:
        """As `Run.best_model`: the same network every time."""
        return self._best_model
