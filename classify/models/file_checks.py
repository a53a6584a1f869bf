"""Files with a network: what they declare is checked before memory is taken for it.

Keras saves without compression, so an honest file declares about as much as it holds. Keras has
limits of its own, of 4 GiB.
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
# How many times the bytes of a file it may declare, and how many bytes besides: a file that was
# packed again, and arrays that are all the same.
MOST_TIMES, MOST_BESIDES = 8, 2**24
# How many times its stored weights a network may take as it is built.
MOST_BUILT = 2
# What training may be configured by: steps, rates, a metric's thresholds, which Keras lists.
LARGEST_NUMBER = 2**24
LARGEST_OUTPUT = 2**28  # numbers that a layer may make of one picture: 1 GiB
LONGEST = 200  # characters of a file's, or of Keras's, own words in an error


@contextmanager
def archive_of(path: Path) -> Iterator[zipfile.ZipFile]:
    """A `.keras` file, none of whose members has been read.

    Raises:
        ModelError: it would unpack to much more than it holds.
        OSError, zipfile.BadZipFile: it is no whole archive.
    """
    size = regular_file(path).stat().st_size
    with zipfile.ZipFile(path) as archive:
        unpacked = sum(member.file_size for member in archive.infolist())
        if unpacked > MOST_TIMES * size + MOST_BESIDES:
            raise ModelError(f"unpacked it would be {unpacked:,} bytes, and it holds {size:,}")
        yield archive


def brief(what: object) -> str:
    """A text in one line, and not a long one: a file may name thousands of arrays.

    >>> brief("no such    layer")
    'no such layer'
    """
    text = " ".join(str(what).split())
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} …"


def array(file: h5py.File, group: h5py.Group, name: str) -> h5py.Dataset:
    """An array of numbers in a file, which lies in that very file; not read yet.

    HDF5 knows links to other files, in any part of a path, and arrays put together from them.

    Raises:
        ModelError: it lies elsewhere, or is none of numbers.
    """
    import h5py

    found = group[name]
    if found.file.id != file.id:
        raise ModelError(f"{name} leads to another file")
    if not isinstance(found, h5py.Dataset) or found.dtype.kind not in "fiub":
        raise ModelError(f"{name} is no array of numbers")
    if found.external or found.is_virtual:
        raise ModelError(f"{name} leads to another file")
    return found


def declared_bytes(file: h5py.File) -> int:
    """How many bytes all arrays of a file take in memory.

    Raises:
        ModelError: they are many more than are stored.
    """
    import h5py

    arrays: list[h5py.Dataset] = []
    file.visititems(
        lambda _, found: arrays.append(found) if isinstance(found, h5py.Dataset) else None
    )
    declared = sum(found.size * found.dtype.itemsize for found in arrays)
    stored = sum(found.id.get_storage_size() for found in arrays)
    if declared > MOST_TIMES * stored + MOST_BESIDES:
        raise ModelError(f"its arrays would take {declared:,} bytes, and {stored:,} are stored")
    return int(declared)


def loaded(path: Path, compiled: bool) -> keras.Model:
    """A network from a `.keras` file, whose code, if it holds any, is never run.

    Raises:
        ModelError: the file declares more than it holds.
        Exception: whatever a damaged file leads Keras to.
    """
    import h5py
    import keras

    with archive_of(path) as archive:
        config = json.loads(archive.read(CONFIG))
        if compiled and _largest_number(config.get("compile_config")) > LARGEST_NUMBER:
            raise ModelError(f"its training is configured by a number above {LARGEST_NUMBER:,}")
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
    """Refuse the first weight that makes what Keras builds larger than `limit` bytes.

    Keras has no network without memory for its weights, and no limit to set; what every layer and
    metric asks for passes through one method of each.
    """
    import keras

    taken = 0

    def counted(add: Callable[..., Any]) -> Callable[..., Any]:
        def checked(owner: Any, *args: Any, **given: Any) -> Any:
            nonlocal taken
            shape = given.get("shape", args[0] if args else None) or ()
            taken += 4 * math.prod(shape if isinstance(shape, (tuple, list)) else (shape,))
            if taken > limit:
                raise ModelError(
                    f"its configuration asks for {taken:,} bytes of weights or more, which it does "
                    f"not hold"
                )
            return add(owner, *args, **given)

        return checked

    with (
        patch.object(keras.Layer, "add_weight", counted(keras.Layer.add_weight)),
        patch.object(keras.Metric, "add_variable", counted(keras.Metric.add_variable)),
    ):
        yield


def _check_outputs(model: keras.Model) -> None:
    """Refuse a network that makes enormous arrays of one picture."""
    import keras

    for layer in model.layers:
        if isinstance(layer, keras.Model):
            _check_outputs(layer)
        try:
            outputs = keras.tree.flatten(layer.output)
        except (AttributeError, ValueError):  # it has been given nothing yet
            continue
        for tensor in outputs:
            if math.prod(side or 1 for side in tensor.shape[1:]) > LARGEST_OUTPUT:
                raise ModelError(
                    f"its layer {layer.name} makes an array of {tuple(tensor.shape[1:])} of one "
                    f"picture"
                )
