"""The pictures that a DCGAN learns from, as an array, and the batches it is shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import pandas as pd

from classify.data.augment import PRESETS
from classify.data.batches import Batches
from classify.data.pack import Packed, ProgressFactory, scaled, write_packed_array
from classify.errors import PackError
from classify.gan.dcgan import GENERATED, GENERATOR, REAL
from classify.gan.settings import GanSettings
from ffpp_tools.extraction.stills import read_still
from ffpp_tools.files import path_within
from ffpp_tools.sources.stills import images_below
from ffpp_tools.splits.manifest import Manifest
from ffpp_tools.video.image import Image

ARRAY = "pictures.npy"  # in the run folder
LEAST = 16  # pictures; fewer say nothing of a distribution


def find_pictures(source: Path) -> list[Path]:
    """The pictures below a folder, sorted; of a manifest's folder, the real ones of its train.

    Raises:
        PackError: none there, or too few.
        TableError: the manifest is damaged.
    """
    if (source / "manifest.json").is_file():
        manifest = Manifest.read(source)
        samples = manifest.samples("train")
        real = samples.loc[samples["label"] == "real", "path"]
        found = [path_within(manifest.root, path) for path in real]
    else:
        found = images_below(source)
    if len(found) < LEAST:
        raise PackError(
            f"{source}: {len(found)} real pictures there, at least {LEAST} are needed; name a "
            f"folder of face pictures (`ffpp-stills` makes one, faces/CelebA of its dataset) or "
            f"of a manifest"
        )
    return found


def packed(paths: Sequence[Path], size: int, path: Path, progress: ProgressFactory | None) -> None:
    """Scale pictures, of each the square in its middle, and write them as an array.

    Raises:
        PackError: one cannot be read, or the array cannot be written.
    """
    write_packed_array(path, _Files(paths, size), progress)


def load(path: Path, size: int) -> npt.NDArray[np.uint8]:
    """The array that `packed` has written: (n, size, size, 3) RGB, mapped.

    Raises:
        PackError: it is gone or damaged.
    """
    try:
        images = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, EOFError, ValueError) as error:
        raise PackError(f"{path}: gone or damaged ({error}); train in another folder") from error
    if images.shape[1:] != (size, size, 3) or images.dtype != np.uint8:
        raise PackError(f"{path}: not the pictures of this run; train in another folder")
    return images


@dataclass(frozen=True)
class _Files:
    """Picture files, as `pack.write_packed_array` takes them."""

    paths: Sequence[Path]
    size: int

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, position: int) -> Image:
        path = self.paths[position]
        image, _, error = read_still(path)
        if image is None:
            raise PackError(f"{path}: {error}; take it out and train again")
        side = min(image.shape[:2])
        top, left = (image.shape[0] - side) // 2, (image.shape[1] - side) // 2
        return scaled(image[top : top + side, left : left + side], self.size)


class GanBatches(keras.utils.PyDataset):  # type: ignore[misc]
    """Batches of pictures with noise, and what the discriminator should say of each.

    All of the same size: pictures that are too few for one more wait for another epoch. What batch
    k of epoch e holds follows from the seed alone; whoever trains sets `epoch`.
    """

    def __init__(self, images: npt.NDArray[np.uint8], settings: GanSettings) -> None:
        """Cut pictures into batches, at least one: of all of them where they are few."""
        super().__init__()
        self.size = min(settings.batch_size, len(images))
        self._latent = settings.latent
        self._seed = settings.seed
        samples = pd.DataFrame({"face_id": np.arange(len(images))})
        real = np.ones((len(images), 1), np.float32)
        data = Packed(images, np.zeros(len(images), np.int64), samples)
        self._pictures = Batches(data, real, self.size, settings.seed, PRESETS[settings.augment])

    @property
    def epoch(self) -> int:
        """Which epoch's batches these are, from 0."""
        return self._pictures.epoch

    @epoch.setter
    def epoch(self, epoch: int) -> None:
        self._pictures.epoch = epoch

    def __len__(self) -> int:
        return self._pictures.shown // self.size

    def __getitem__(self, index: int) -> tuple[Any, dict[str, Any]]:
        pictures, real, *_ = self._pictures[index]
        rng = np.random.default_rng((self._seed, self.epoch, index, 1))
        noise = rng.standard_normal((self.size, self._latent), np.float32)
        return (pictures, noise), {REAL: real, GENERATED: 0 * real, GENERATOR: real.copy()}
