"""A finished run whose files are each read only once."""

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
    """A manifest that caches the samples of each split."""

    _read: dict[str, pd.DataFrame] = field(default_factory=dict, repr=False, compare=False)

    def samples(self, split: str, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """As `Manifest.samples`."""
        if split not in self._read:
            self._read[split] = super().samples(split)
        samples = self._read[split].copy(deep=False)  # pandas copies on write
        return samples if columns is None else samples[list(columns)]


@dataclass(frozen=True)
class LoadedRun(Run):
    """A run that is no longer trained. Its files are cached when they are first read.

    A report uses the manifest, the log and the hash of the checkpoint, which may be a gigabyte, a
    dozen times. A run that may still be training is a `Run`, which reads its files every time.
    """

    @cached_property
    def manifest(self) -> Manifest:
        """As `Run.manifest`, with cached samples."""
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
