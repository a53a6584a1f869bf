"""The training images of a DCGAN as an array, and their batches."""

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
from classify.data.pack import Packed, ProgressFactory, write_packed_array
from classify.data.sampling import Shuffled
from classify.errors import PackError
from classify.gan.dcgan import GENERATED, GENERATOR, REAL
from classify.gan.settings import GanSettings
from ffpp_tools.extraction.stills import read_still
from ffpp_tools.files import path_within
from ffpp_tools.loading.crop_files import scaled
from ffpp_tools.sources.stills import images_below
from ffpp_tools.splits.manifest import Manifest
from ffpp_tools.video.image import Image

ARRAY = "pictures.npy"  # in the run folder
LEAST = 16  # images; fewer do not represent a distribution


def find_images(source: Path) -> list[Path]:
    """Return the images under a folder, sorted; of a manifest, the real ones of its train split.

    Raises:
        PackError: there are no images, or too few.
        TableError: the manifest is damaged.
    """
    if (source / "manifest.json").is_file():
        manifest = Manifest.read(source)
        samples = manifest.samples("train")
        real = samples.loc[samples["label"] == "real", "path"]
        paths = [path_within(manifest.root, path) for path in real]
    else:
        paths = images_below(source)
    if len(paths) < LEAST:
        raise PackError(
            f"{source}: {len(paths)} real images found, but at least {LEAST} are needed; pass a "
            f"folder of face images (such as faces/CelebA in a dataset from `ffpp-stills`) or the "
            f"folder of a manifest"
        )
    return paths


def packed(paths: Sequence[Path], size: int, path: Path, progress: ProgressFactory | None) -> None:
    """Scale the centre square of each image, and write them as an array.

    Raises:
        PackError: an image cannot be read, or the array cannot be written.
    """
    write_packed_array(path, _Files(paths, size), progress)


def load(path: Path, size: int) -> npt.NDArray[np.uint8]:
    """Return the array written by `packed`, mapped: (n, size, size, 3) uint8 RGB.

    Raises:
        PackError: the array is missing or damaged.
    """
    try:
        images = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, EOFError, ValueError) as error:
        raise PackError(f"{path}: missing or damaged ({error}); train in another folder") from error
    if images.shape[1:] != (size, size, 3) or images.dtype != np.uint8:
        raise PackError(f"{path}: not the images of this run; train in another folder")
    return images


@dataclass(frozen=True)
class _Files:
    """Image files as a source for `pack.write_packed_array`."""

    paths: Sequence[Path]
    size: int

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, position: int) -> Image:
        path = self.paths[position]
        image, _, error = read_still(path)
        if image is None:
            raise PackError(f"{path}: {error}; remove it and train again")
        side = min(image.shape[:2])
        top, left = (image.shape[0] - side) // 2, (image.shape[1] - side) // 2
        return scaled(image[top : top + side, left : left + side], self.size)


class GanBatches(keras.utils.PyDataset):  # type: ignore[misc]
    """Batches of real images with noise, and the discriminator's targets.

    All batches have the same size: the images of a smaller last batch are left for another epoch.
    The contents of batch k of epoch e depend on the seed alone; the training loop sets `epoch`.
    """

    def __init__(self, images: npt.NDArray[np.uint8], settings: GanSettings) -> None:
        """Divide images into batches; if there are few, one batch holds them all."""
        super().__init__()
        self.size = min(settings.batch_size, len(images))
        self._latent = settings.latent
        self._seed = settings.seed
        samples = pd.DataFrame({"face_id": np.arange(len(images))})
        real = np.ones((len(images), 1), np.float32)
        data = Packed(images, np.zeros(len(images), np.int64), samples)
        sampler = Shuffled(len(images), self.size)
        self._images = Batches(data, real, sampler, settings.seed, PRESETS[settings.augment])

    @property
    def epoch(self) -> int:
        """The epoch of the batches, from 0."""
        return self._images.epoch

    @epoch.setter
    def epoch(self, epoch: int) -> None:
        self._images.epoch = epoch

    def __len__(self) -> int:
        return self._images.crops_per_epoch // self.size

    def __getitem__(self, index: int) -> tuple[Any, dict[str, Any]]:
        images, real, *_ = self._images[index]
        rng = np.random.default_rng((self._seed, self.epoch, index, 1))
        noise = rng.standard_normal((self.size, self._latent), np.float32)
        return (images, noise), {REAL: real, GENERATED: 0 * real, GENERATOR: real.copy()}
