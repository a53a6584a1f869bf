"""Pretrained weights: where they come from, and whether a file fits a network.

Files are read as arrays alone. A `.keras` file's configuration, from which Keras builds layers, is
never looked at.
"""

from __future__ import annotations

import io
import math
import re
import zipfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from classify.errors import DownloadError, ModelError

if TYPE_CHECKING:
    import h5py
    import keras

# ImageNet's means and standard deviations (RGB, of values from 0 to 1).
MEANS = (0.485, 0.456, 0.406)
DEVIATIONS = (0.229, 0.224, 0.225)
# How large a packed file may be when it is unpacked: a network's weights, the optimizer's two
# states of each, a head's, and the file's own structure.
MOST_TIMES, MOST_BESIDES = 8, 2**28


@dataclass(frozen=True)
class Saved:
    """One layer of a weights file."""

    name: str
    arrays: list[np.ndarray]


@contextmanager
def downloading(arch: str) -> Iterator[None]:
    """Turn the failure of a download into what to do about it."""
    try:
        yield
    except Exception as error:  # Keras raises a bare Exception
        found = re.search(r"URL fetch failure on (\S+):", str(error))
        if "Incomplete or corrupted file" in str(error):
            raise ModelError(
                f"the weights of {arch} that were downloaded are damaged ({error}); delete the "
                f"file and try again"
            ) from error
        if not found:
            raise
        raise DownloadError(
            f"the weights of {arch} cannot be downloaded (no network?). Where there is one, fetch "
            f"{found[1]} and pass it with --weights PATH; or train from nothing with "
            f"--weights none."
        ) from error


def fetch(arch: str, weights: str) -> Path:
    """The weights file that `weights` means: a path, or the noisy-student file of an EfficientNet.

    Noisy-student weights (Xie et al., 2020) are published by the `efficientnet` package; its
    networks are those of Keras but for the normalisation, so that they load into these.

    Raises:
        ModelError: no such file, or none for this network.
    """
    if weights != "noisy-student":
        if not Path(weights).is_file():
            raise ModelError(
                f"weights file {weights} does not exist; pass a path, imagenet, noisy-student or "
                f"none"
            )
        return Path(weights)
    import keras
    from efficientnet.weights import NS_WEIGHTS_HASHES, NS_WEIGHTS_PATH

    package_name = arch.replace("efficientnet", "efficientnet-")
    if package_name not in NS_WEIGHTS_HASHES:
        raise ModelError(f"{arch} has no noisy-student weights; efficientnetb0 to b7 have")
    name = f"{package_name}_noisy-student_notop.h5"
    _, hash_without_top = NS_WEIGHTS_HASHES[package_name]
    with downloading(arch):
        return Path(
            keras.utils.get_file(
                name, NS_WEIGHTS_PATH + name, cache_subdir="models", file_hash=hash_without_top
            )
        )


def load(network: keras.Model, path: Path) -> None:
    """Give a network without top the weights in a file.

    Args:
        network: a backbone.
        path: `.weights.h5` or `.keras` of Keras 3, the latter also of a run whose backbone this is,
            or `.h5` as published with `keras.applications` and the `efficientnet` package.

    Raises:
        ModelError: the file is unreadable or of another network; it names the first layer that
            differs.
    """
    import keras

    layers = [layer for layer in network.layers if layer.weights]
    try:
        saved = _read(path, layers)
    except (OSError, KeyError, TypeError, ValueError, AttributeError, zipfile.BadZipFile) as error:
        raise ModelError(f"{path}: not a readable weights file ({error})") from error
    normalised = next((x for x in layers if isinstance(x, keras.layers.Normalization)), None)
    if normalised and not any(_same(normalised, x) for x in saved):
        # The efficientnet package leaves the normalisation to the caller.
        layers.remove(normalised)
        normalised.set_weights([np.array(MEANS), np.square(DEVIATIONS), np.array(0)])
    _check_fit(path, layers, saved)
    for layer, found in zip(layers, saved, strict=True):
        layer.set_weights(found.arrays)
    if normalised:
        _correct_variance(normalised)


def _check_fit(path: Path, layers: list[keras.Layer], saved: list[Saved]) -> None:
    for layer, found in zip(layers, saved, strict=False):
        if not _same(layer, found):
            shapes = [tuple(weight.shape) for weight in layer.weights]
            in_file = [array.shape for array in found.arrays] or "nothing"
            raise ModelError(
                f"{path} does not fit: layer {layer.name} has weights of {shapes}, the file holds "
                f"{in_file} there (its {found.name}). Are they of this network, without top?"
            )
    if len(layers) != len(saved):
        first = max(layers, saved, key=len)[min(len(layers), len(saved))]
        raise ModelError(
            f"{path} does not fit: it holds {len(saved)} layers with weights and the network "
            f"{len(layers)}; {first.name} is the first too many. Are they of this network, "
            f"without top?"
        )


def _same(layer: keras.Layer, saved: Saved) -> bool:
    return [tuple(w.shape) for w in layer.weights] == [array.shape for array in saved.arrays]


def _read(path: Path, layers: list[keras.Layer]) -> list[Saved]:
    """A file's layers, in the order in which the network has them."""
    import h5py

    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            size = archive.getinfo("model.weights.h5").file_size
            if size > MOST_TIMES * sum(layer.count_params() for layer in layers) * 4 + MOST_BESIDES:
                raise ModelError(f"{path} does not fit: unpacked it would be {size:,} bytes")
            data = io.BytesIO(archive.read("model.weights.h5"))
        with h5py.File(data) as file:
            return _read_keras3(file, layers)
    with h5py.File(path) as file:
        if "layer_names" in file.attrs:
            return _read_legacy(file, layers)
        return _read_keras3(file, layers)


def _array(file: h5py.File, group: h5py.Group, name: str, most: int) -> np.ndarray:
    """An array of a file, not above `most` numbers, which lies in that very file.

    HDF5 knows links to other files, in any part of a path, and arrays of any size that take no
    space until they are read.
    """
    found = group[name]
    if found.file.id != file.id or found.external or found.is_virtual:
        raise KeyError(f"{name} leads to another file")
    if found.size > most:
        raise KeyError(f"{name} holds {found.size:,} numbers, no layer more than {most:,}")
    return np.asarray(found)


def _largest(layers: list[keras.Layer]) -> int:
    """How many numbers the largest weight of a network holds."""
    return max(math.prod(weight.shape) for layer in layers for weight in layer.weights)


def _read_legacy(file: h5py.File, layers: list[keras.Layer]) -> list[Saved]:
    """Keras 2's layout: layers by name, in the network's order."""
    saved, most = [], _largest(layers)
    for name in _texts(file, "layer_names"):
        group = file[name]
        arrays = [_array(file, group, weight, most) for weight in _texts(group, "weight_names")]
        if arrays:
            saved.append(Saved(name, arrays))
    return saved


def _texts(group: h5py.Group, attribute: str) -> list[str]:
    """A list of names, which HDF5 may have had to cut into several attributes."""
    pieces = sorted(
        (key for key in group.attrs if re.fullmatch(rf"{attribute}\d*", key)),
        key=lambda key: int(key.removeprefix(attribute) or 0),
    )
    texts = [text for key in pieces for text in group.attrs[key]]
    return [text.decode() if isinstance(text, bytes) else str(text) for text in texts]


def _read_keras3(file: h5py.File, layers: list[keras.Layer]) -> list[Saved]:
    """Keras 3's layout: layers by class and number within it: conv2d, conv2d_1 and so on."""
    groups = file["layers"]
    if "functional" in groups:  # of a whole classifier: its backbone
        groups = groups["functional"]["layers"]
    saved, seen, most = [], Counter[str](), _largest(layers)
    for layer in layers:
        kind = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", type(layer).__name__)
        kind = re.sub(r"([a-z])([A-Z])", r"\1_\2", kind).lower()
        key = f"{kind}_{seen[kind]}" if seen[kind] else kind
        seen[kind] += 1
        stored = groups[key]["vars"] if key in groups else {}
        arrays = [_array(file, stored, number, most) for number in sorted(stored, key=int)]
        saved.append(Saved(key, arrays))
    stored_keys = [key for key in groups if len(groups[key].get("vars", ()))]
    known = {layer.name for layer in saved}
    return saved + [Saved(key, []) for key in stored_keys if key not in known]


def _correct_variance(layer: keras.layers.Normalization) -> None:
    """Make a normalisation that was loaded from a file divide by the standard deviation.

    The weights that Keras publishes hold the deviation where the variance belongs. Keras makes
    up for it with a layer of its own, but only when it downloads them itself.
    """
    mean, variance, count = layer.get_weights()
    if np.allclose(variance, DEVIATIONS, atol=1e-4):
        layer.set_weights([mean, np.square(variance), count])
    layer.finalize_state()
