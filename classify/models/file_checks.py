"""Safety checks of model files: sizes that a file declares are checked before memory is allocated.

Keras saves without compression, so a legitimate file declares about as much as it stores. Keras
has limits of its own, of 4 GiB.
"""

from __future__ import annotations

import io
import json
import math
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from classify.errors import ModelError
from ffpp_tools.files import regular_file

if TYPE_CHECKING:
    import h5py
    import keras

CONFIG, WEIGHTS = "config.json", "model.weights.h5"
# A file may declare at most this multiple of the bytes it stores, plus a fixed number of bytes: it
# may have been recompressed, and may hold constant arrays.
MOST_TIMES, MOST_BESIDES = 8, 2**24
# A network may allocate at most this multiple of its stored weights while it is built.
MOST_BUILT = 2
# Largest number in a training configuration: steps, rates, or a metric's thresholds, which Keras
# lists one by one.
LARGEST_NUMBER = 2**24
LARGEST_OUTPUT = 2**28  # values in a layer's output for one image: 1 GiB
LONGEST = 200  # characters quoted from a file, or from Keras, in an error


@contextmanager
def archive_of(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open a `.keras` file without reading any of its members.

    Raises:
        ModelError: the file would unpack to much more than it stores.
        OSError, zipfile.BadZipFile: the file is not a complete archive.
    """
    size = regular_file(path).stat().st_size
    with zipfile.ZipFile(path) as archive:
        unpacked = sum(member.file_size for member in archive.infolist())
        if unpacked > MOST_TIMES * size + MOST_BESIDES:
            raise ModelError(f"unpacked it would be {unpacked:,} bytes, but it stores {size:,}")
        yield archive


def brief(what: object) -> str:
    """Shorten a text to one line of limited length: a file may name thousands of arrays.

    >>> brief("no such    layer")
    'no such layer'
    """
    text = " ".join(str(what).split())
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} …"


def array(file: h5py.File, group: h5py.Group, name: str) -> h5py.Dataset:
    """Return a numeric array that is stored in the file itself, without reading it.

    HDF5 supports links to other files, in any part of a path, and arrays assembled from them.

    Raises:
        ModelError: the array is stored in another file, or is not numeric.
    """
    import h5py

    dataset = group[name]
    if dataset.file.id != file.id:
        raise ModelError(f"{name} links to another file")
    if not isinstance(dataset, h5py.Dataset) or dataset.dtype.kind not in "fiub":
        raise ModelError(f"{name} is not an array of numbers")
    if dataset.external or dataset.is_virtual:
        raise ModelError(f"{name} links to another file")
    return dataset


def declared_bytes(file: h5py.File) -> int:
    """Return how many bytes the arrays of a file take in memory.

    Raises:
        ModelError: the arrays take many more bytes than are stored.
    """
    import h5py

    arrays: list[h5py.Dataset] = []
    file.visititems(lambda _, item: arrays.append(item) if isinstance(item, h5py.Dataset) else None)
    declared = sum(item.size * item.dtype.itemsize for item in arrays)
    stored = sum(item.id.get_storage_size() for item in arrays)
    if declared > MOST_TIMES * stored + MOST_BESIDES:
        raise ModelError(
            f"its arrays would take {declared:,} bytes, but only {stored:,} are stored"
        )
    return int(declared)


def loaded(path: Path, compiled: bool) -> keras.Model:
    """Load a network from a `.keras` file without running any code that the file contains.

    Raises:
        ModelError: the file declares more than it stores.
        Exception: any exception of Keras, if the file is damaged.
    """
    import h5py
    import keras

    with archive_of(path) as archive:
        config = json.loads(archive.read(CONFIG))
        if compiled and _largest_number(config.get("compile_config")) > LARGEST_NUMBER:
            raise ModelError(f"its training configuration has a number above {LARGEST_NUMBER:,}")
        with h5py.File(io.BytesIO(archive.read(WEIGHTS))) as file:
            stored = declared_bytes(file)
    with _built_within(MOST_BUILT * stored + MOST_BESIDES):
        model = keras.models.load_model(path, compile=compiled, safe_mode=True)
    _check_outputs(model)
    return model


def _largest_number(values: Any) -> float:
    if isinstance(values, dict):
        return max(map(_largest_number, values.values()), default=0)
    if isinstance(values, list):
        return max(map(_largest_number, values), default=0)
    return abs(values) if isinstance(values, (int, float)) else 0


@contextmanager
def _built_within(limit: int) -> Iterator[None]:
    """Refuse the first weight with which the network being built exceeds `limit` bytes.

    Keras cannot build a network without allocating its weights, and has no limit to set. But all
    layers allocate through one method, and all metrics through another.
    """
    import keras

    allocated = 0

    def counted(add: Callable[..., Any]) -> Callable[..., Any]:
        def checked(owner: Any, *args: Any, **kwargs: Any) -> Any:
            nonlocal allocated
            shape = kwargs.get("shape", args[0] if args else None) or ()
            allocated += 4 * math.prod(shape if isinstance(shape, (tuple, list)) else (shape,))
            if allocated > limit:
                raise ModelError(
                    f"its configuration needs at least {allocated:,} bytes of weights, which the "
                    f"file does not store"
                )
            return add(owner, *args, **kwargs)

        return checked

    with (
        patch.object(keras.Layer, "add_weight", counted(keras.Layer.add_weight)),
        patch.object(keras.Metric, "add_variable", counted(keras.Metric.add_variable)),
    ):
        yield


def _check_outputs(model: keras.Model) -> None:
    """Refuse a network with a layer whose output for one image is enormous."""
    import keras

    for layer in model.layers:
        if isinstance(layer, keras.Model):
            _check_outputs(layer)
        try:
            outputs = keras.tree.flatten(layer.output)
        except (AttributeError, ValueError):  # the layer was never called
            continue
        for tensor in outputs:
            if math.prod(side or 1 for side in tensor.shape[1:]) > LARGEST_OUTPUT:
                raise ModelError(
                    f"its layer {layer.name} outputs an array of {tuple(tensor.shape[1:])} for one "
                    f"image"
                )
