"""A split's crops as a map-style dataset, for PyTorch, TensorFlow, JAX or a plain loop.

A map-style dataset has a length and returns the item of an index. This is all that PyTorch's
`DataLoader` needs, so that neither this module nor its items depend on PyTorch.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ffpp_tools.files import path_within
from ffpp_tools.loading.crop_files import read_crop, scaled
from ffpp_tools.video.image import Image

# Takes (H, W, 3) uint8 RGB, or (n, H, W, 3) for the n crops of a pair.
Transform = Callable[[Image], Any]


@dataclass(frozen=True, eq=False)
class CropDataset:
    """The crops of one split. An item is a crop: its image, its class index, and its row.

    The file of a crop is opened when its item is read, and compared with its recorded hash. A
    dataset has no open files, so that it can be pickled for worker processes.
    """

    root: Path  # the paths of the crops are relative to it
    samples: pd.DataFrame  # the manifest's rows
    hashes: pd.Series  # sha256 of the crops, in the order of the rows
    size: int | None  # side of the images in pixels; None for that of each crop
    transform: Transform | None

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Any, Any, dict[str, Any]]:
        """Return (image, label, row).

        Returns:
            The image as (H, W, 3) uint8 RGB, or what `transform` made of it; the class index as an
            integer; the manifest's row as a dict of text and integers.

        Raises:
            IndexError: the index is negative, or not below the length.
            CropError: the crop is missing, unreadable, or differs from its recorded hash.
        """
        position = self._checked(index)
        row: dict[str, Any] = self.samples.iloc[position].to_dict()
        return self._transformed(self._image(position)), row["class_index"], row

    def tf_dataset(self, *, shuffle: bool = False, seed: int = 0) -> Any:
        """Return a `tf.data.Dataset` of (image, label), not batched.

        Crops are read by several threads, which call `transform` as well. An error while reading
        an element is a `tf.errors.OpError` with the message of the `CropError`.

        Args:
            shuffle: draw a new order of all items for each epoch.
            seed: of the order.

        Raises:
            CropError: the first crop is missing, unreadable, or differs from its recorded hash.
        """
        import tensorflow as tf

        def read(index: int) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]:
            image, label, _ = self[index]
            return np.asarray(image), np.asarray(label, np.int64)

        first_image, first_label = read(0)
        dtypes = (tf.as_dtype(first_image.dtype), tf.int64)
        image_shape, label_shape = self._static_shapes(first_image, first_label)

        def element(index: Any) -> tuple[Any, Any]:
            image, label = tf.numpy_function(read, [index], dtypes)
            return tf.ensure_shape(image, image_shape), tf.ensure_shape(label, label_shape)

        indices = tf.data.Dataset.range(len(self))
        if shuffle:
            indices = indices.shuffle(len(self), seed=seed)
        return indices.map(element, num_parallel_calls=tf.data.AUTOTUNE)

    def _static_shapes(
        self, image: npt.NDArray[Any], label: npt.NDArray[Any]
    ) -> tuple[tuple[int | None, ...], tuple[None, ...]]:
        """Return the shapes that images and labels have in all items; None where they differ."""
        members = (None,) * label.ndim  # the number of a pair's crops
        if self.size is not None:
            return (*members, *image.shape[label.ndim :]), members
        channels = 3 if self.transform is None else None
        return (*(None,) * (image.ndim - 1), channels), members

    def _checked(self, index: int) -> int:
        """Return an index as an integer.

        Raises:
            IndexError: it is negative, or not below the length.
        """
        position = operator.index(index)
        if not 0 <= position < len(self):
            raise IndexError(f"index {position} of a dataset of {len(self)} items")
        return position

    def _image(self, position: int) -> Image:
        """Read the crop of a row of `samples`."""
        path = path_within(self.root, self.samples["path"].iloc[position])
        image = read_crop(path, self.hashes.iloc[position])
        return image if self.size is None else scaled(image, self.size)

    def _transformed(self, image: Image) -> Any:
        return image if self.transform is None else self.transform(image)


@dataclass(frozen=True, eq=False)
class PairDataset(CropDataset):
    """The pairs of one split. An item is an original with its fakes of the same frame.

    `samples` has the rows of the pairs, each pair's in a block: the original, then its fakes in
    alphabetical order of their categories. The crops of a pair have the same size.
    """

    starts: npt.NDArray[np.int64]  # (pairs + 1,) the first row of each pair, then the row count

    @classmethod
    def of(cls, crops: CropDataset) -> PairDataset:
        """Return the pairs of a dataset of crops, in the order of their originals.

        Crops without a pair are left out, and so are pairs that have no original or no fake in the
        split.
        """
        pairs = crops.samples["pair"]
        is_fake = crops.samples["label"] == "fake"
        has_fake, has_original = (
            members.groupby(pairs).transform("any") for members in (is_fake, ~is_fake)
        )
        complete = np.flatnonzero((pairs != "") & has_fake & has_original)
        samples = crops.samples.iloc[complete]
        fake = is_fake.iloc[complete].to_numpy()
        originals = samples["pair"][~fake].unique()
        number = pd.Index(originals).get_indexer(pd.Index(samples["pair"]))
        category = pd.factorize(samples["category"], sort=True)[0]
        order = np.lexsort((category, fake, number))
        _, starts = np.unique(number[order], return_index=True)
        return cls(
            crops.root,
            samples.iloc[order].reset_index(drop=True),
            crops.hashes.iloc[complete[order]].reset_index(drop=True),
            crops.size,
            crops.transform,
            np.append(starts, len(order)).astype(np.int64),
        )

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, index: int) -> tuple[Any, Any, dict[str, Any]]:
        """Return (images, labels, rows) of a pair's n crops, the original first.

        Returns:
            The images as (n, H, W, 3) uint8 RGB, or what `transform` made of them; the class
            indices as (n,) int64; the manifest's columns as a dict: text as lists, integers as
            (n,) int64.

        Raises:
            IndexError: the index is negative, or not below the length.
            CropError: a crop is missing, unreadable, or differs from its recorded hash.
        """
        position = self._checked(index)
        start, end = self.starts[position : position + 2]
        images = np.stack([self._image(row) for row in range(start, end)])
        columns = {
            name: column.to_list() if column.dtype == "str" else column.to_numpy(copy=True)
            for name, column in self.samples.iloc[start:end].items()
        }
        return self._transformed(images), columns["class_index"], columns
