"""Pretrained weights: where they come from, and whether a file fits a network.

Files are read as arrays alone. A `.keras` file's configuration, from which Keras builds layers, is
never looked at.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from classify.errors import DownloadError, ModelError
from classify.models.file_checks import WEIGHTS, archive_of, array, brief

if TYPE_CHECKING:
    import h5py
    import keras

# ImageNet's means and standard deviations (RGB, of values from 0 to 1).
MEANS = (0.485, 0.456, 0.406)
DEVIATIONS = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class SavedLayer:
    """One layer of a weights file, whose arrays are not read before they are known to fit."""

    name: str
    arrays: list[h5py.Dataset]
    names: Sequence[str] = ()  # of the arrays, where the file has some

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """Of the arrays."""
        return [stored.shape for stored in self.arrays]


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
            or `.h5` as published with `keras.applications` and the `efficientnet` package, or as
            Keras 2 and 3 save a whole model, of which the network is the beginning or a layer.

    Raises:
        ModelError: the file is unreadable or of another network; it names the first layer that
            differs.
    """
    layers = [layer for layer in network.layers if layer.weights]
    try:
        with _opened(path) as file:
            _fill(network, layers, file)
    except ModelError as error:
        raise ModelError(f"{path} does not fit: {error}") from error
    except (OSError, KeyError, TypeError, ValueError, AttributeError, zipfile.BadZipFile) as error:
        raise ModelError(f"{path}: not a readable weights file ({brief(error)})") from error


@contextmanager
def _opened(path: Path) -> Iterator[h5py.File]:
    """The arrays of a file, those of a `.keras` file in memory."""
    import h5py

    if not zipfile.is_zipfile(path):
        with h5py.File(path) as file:
            yield file
        return
    with archive_of(path) as archive:
        data = io.BytesIO(archive.read(WEIGHTS))
    with h5py.File(data) as file:
        yield file


def _fill(network: keras.Model, layers: list[keras.Layer], file: h5py.File) -> None:
    """Check that a file fits, then give the layers what it holds for them."""
    import keras

    saved = _read(file, network, layers)
    normalised = next((x for x in layers if isinstance(x, keras.layers.Normalization)), None)
    if normalised and not any(_same(normalised, x) for x in saved):
        # The efficientnet package leaves the normalisation to the caller.
        layers.remove(normalised)
        normalised.set_weights([np.array(MEANS), np.square(DEVIATIONS), np.array(0)])
    _check_fit(layers, saved)
    for layer, found in zip(layers, saved, strict=True):
        layer.set_weights([np.asarray(stored) for stored in found.arrays])
    if normalised:
        _correct_variance(normalised)


def _check_fit(layers: list[keras.Layer], saved: list[SavedLayer]) -> None:
    of_it = "Are they of this network, without top?"
    for layer, found in zip(layers, saved, strict=False):
        if not _same(layer, found):
            shapes = [tuple(weight.shape) for weight in layer.weights]
            raise ModelError(
                f"layer {layer.name} has weights of {brief(shapes)}, the file holds "
                f"{brief(found.shapes or 'nothing')} there (its {brief(found.name)}). {of_it}"
            )
    if len(layers) != len(saved):
        first = max(layers, saved, key=len)[min(len(layers), len(saved))]
        raise ModelError(
            f"it holds {len(saved)} layers with weights and the network {len(layers)}; "
            f"{brief(first.name)} is the first too many. {of_it}"
        )


def _same(layer: keras.Layer, saved: SavedLayer) -> bool:
    return [tuple(w.shape) for w in layer.weights] == saved.shapes


def _read(file: h5py.File, network: keras.Model, layers: list[keras.Layer]) -> list[SavedLayer]:
    """A file's layers, in the order in which the network has them."""
    if "model_weights" in file:  # of a whole model, with the head that it was trained with
        return _without_head(_read_legacy(file, file["model_weights"]), network, layers)
    if "layer_names" in file.attrs:
        return _read_legacy(file, file)
    return _read_keras3(file, layers)


def _read_legacy(file: h5py.File, group: h5py.Group) -> list[SavedLayer]:
    """Keras 2's layout: layers by name, in the network's order."""
    saved = []
    for name in _texts(group, "layer_names"):
        names = _texts(group[name], "weight_names")
        if names:
            saved.append(
                SavedLayer(name, [array(file, group[name], weight) for weight in names], names)
            )
    return saved


def _without_head(
    saved: list[SavedLayer], network: keras.Model, layers: list[keras.Layer]
) -> list[SavedLayer]:
    """The layers of a whole model that are the network's."""
    inner = max(saved, key=lambda found: len(found.arrays), default=SavedLayer("", []))
    if len(inner.arrays) > max(len(layer.weights) for layer in layers):
        return _unfolded(inner, network, layers)
    if len(saved) > len(layers) and all(map(_same, layers, saved)):
        return saved[: len(layers)]
    return saved


def _unfolded(
    inner: SavedLayer, network: keras.Model, layers: list[keras.Layer]
) -> list[SavedLayer]:
    """The layers of a model that is a layer of another: its weights stand in one list.

    What was trained stands first there, so that the order tells nothing of a network of which some
    layers were frozen; the names do. Without them, the order has to do.
    """
    weights = network.trainable_weights + network.non_trainable_weights
    if len(weights) > len(inner.arrays):
        raise ModelError(
            f"its {brief(inner.name)} holds {len(inner.arrays)} arrays, and the network "
            f"{len(weights)} weights"
        )
    by_layer: dict[str, list[h5py.Dataset]] = {}
    for name, stored in zip(inner.names, inner.arrays, strict=True):
        by_layer.setdefault(f"/{name}".rsplit("/", 2)[-2], []).append(stored)
    by_layer = {_counted(name, by_layer, layers): found for name, found in by_layer.items()}
    own = {
        layer.name: dict.fromkeys(
            _counted(weight.path.rsplit("/", 2)[-2], [x.name for x in layers], layers)
            for weight in layer.weights
        )
        for layer in layers
    }
    if set(by_layer) <= {part for parts in own.values() for part in parts}:
        return [
            SavedLayer(layer, [stored for part in parts for stored in by_layer.get(part, [])])
            for layer, parts in own.items()
            if by_layer.keys() & parts.keys()
        ]
    stored_of = dict(zip(map(id, weights), inner.arrays, strict=False))
    return [
        SavedLayer(x.name, [stored_of[id(w)] for w in x.weights if id(w) in stored_of])
        for x in layers
    ]


def _counted(name: str, names: Iterable[str], layers: list[keras.Layer]) -> str:
    """A name that Keras gave, by its place among those of its kind: conv2d_94 of a second network.

    >>> import keras
    >>> _counted("conv2d_94", ["conv2d_95", "stem_conv", "conv2d_94"], [keras.layers.Conv2D(1, 1)])
    'conv2d 0'
    """
    kind = re.sub(r"_\d+$", "", name)
    if kind not in map(_kind, layers):
        return name
    numbers = [re.fullmatch(rf"{kind}_?(\d*)", other) for other in names]
    own = int(name.removeprefix(kind).removeprefix("_") or 0)
    return f"{kind} {sum(int(found[1] or 0) < own for found in numbers if found)}"


def _kind(layer: keras.Layer) -> str:
    """The class of a layer as Keras writes it in names: Conv2D as conv2d."""
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", type(layer).__name__)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def _texts(group: h5py.Group, attribute: str) -> list[str]:
    """A list of names, which HDF5 may have had to cut into several attributes."""
    pieces = sorted(
        (key for key in group.attrs if re.fullmatch(rf"{attribute}\d*", key)),
        key=lambda key: int(key.removeprefix(attribute) or 0),
    )
    texts = [text for key in pieces for text in group.attrs[key]]
    return [text.decode() if isinstance(text, bytes) else str(text) for text in texts]


def _read_keras3(file: h5py.File, layers: list[keras.Layer]) -> list[SavedLayer]:
    """Keras 3's layout: layers by class and number within it: conv2d, conv2d_1 and so on."""
    groups = file["layers"]
    if "functional" in groups:  # of a whole classifier: its backbone
        groups = groups["functional"]["layers"]
    saved, seen = [], Counter[str]()
    for layer in layers:
        kind = _kind(layer)
        key = f"{kind}_{seen[kind]}" if seen[kind] else kind
        seen[kind] += 1
        stored = groups[key]["vars"] if key in groups else {}
        saved.append(
            SavedLayer(key, [array(file, stored, number) for number in sorted(stored, key=int)])
        )
    stored_keys = [key for key in groups if len(groups[key].get("vars", ()))]
    known = {layer.name for layer in saved}
    return saved + [SavedLayer(key, []) for key in stored_keys if key not in known]


def _correct_variance(layer: keras.layers.Normalization) -> None:
    """Make a normalisation that was loaded from a file divide by the standard deviation.

    The weights that Keras publishes hold the deviation where the variance belongs. Keras makes
    up for it with a layer of its own, but only when it downloads them itself.
    """
    mean, variance, count = layer.get_weights()
    if np.allclose(variance, DEVIATIONS, atol=1e-4):
        layer.set_weights([mean, np.square(variance), count])
    layer.finalize_state()
