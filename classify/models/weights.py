"""Pretrained weights: their sources, and the check that a file fits a network.

Only arrays are read from files. A `.keras` file's configuration, from which Keras builds layers,
is ignored.
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
    """One layer of a weights file; its arrays are read only once they are known to fit."""

    name: str
    arrays: list[h5py.Dataset]
    names: Sequence[str] = ()  # of the arrays, if the file gives any

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """The shapes of the arrays."""
        return [stored.shape for stored in self.arrays]


@contextmanager
def downloading(arch: str) -> Iterator[None]:
    """Replace the error of a failed download by one that says what to do."""
    try:
        yield
    except Exception as error:  # Keras raises a bare Exception
        url = re.search(r"URL fetch failure on (\S+):", str(error))
        if "Incomplete or corrupted file" in str(error):
            raise ModelError(
                f"the downloaded weights of {arch} are damaged ({error}); delete the file and try "
                f"again"
            ) from error
        if not url:
            raise
        raise DownloadError(
            f"the weights of {arch} cannot be downloaded (offline?). Fetch {url[1]} elsewhere and "
            f"pass it with --weights PATH, or train from scratch with --weights none."
        ) from error


def fetch(arch: str, weights: str) -> Path:
    """Return the file that `weights` names: a path, or an EfficientNet's noisy-student weights.

    Noisy-student weights (Xie et al., 2020) are published by the `efficientnet` package. Its
    networks equal those of Keras except for the normalisation, so the weights also fit Keras's.

    Raises:
        ModelError: the file does not exist, or there are no such weights for this network.
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
    """Load the weights in a file into a network without top.

    Args:
        network: a backbone.
        path: `.weights.h5` or `.keras` of Keras 3 (the latter also from a run with this backbone),
            or `.h5` as published with `keras.applications` and the `efficientnet` package, or a
            whole model saved by Keras 2 or 3 that begins with the network or has it as a layer.

    Raises:
        ModelError: the file is unreadable or belongs to another network; the message names the
            first layer that differs.
    """
    layers = [layer for layer in network.layers if layer.weights]
    try:
        with _open_arrays(path) as file:
            _fill(network, layers, file)
    except ModelError as error:
        raise ModelError(f"{path} does not fit: {error}") from error
    except (OSError, KeyError, TypeError, ValueError, AttributeError, zipfile.BadZipFile) as error:
        raise ModelError(f"{path}: not a readable weights file ({brief(error)})") from error


@contextmanager
def _open_arrays(path: Path) -> Iterator[h5py.File]:
    """Open the arrays of a file; those of a `.keras` file in memory."""
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
    """Check that a file fits, then set the layers' weights."""
    import keras

    saved = _saved_layers(file, network, layers)
    normalised = next((x for x in layers if isinstance(x, keras.layers.Normalization)), None)
    if normalised and not any(_shapes_match(normalised, x) for x in saved):
        # The efficientnet package leaves the normalisation to the caller.
        layers.remove(normalised)
        normalised.set_weights([np.array(MEANS), np.square(DEVIATIONS), np.array(0)])
    _check_fit(layers, saved)
    for layer, source in zip(layers, saved, strict=True):
        layer.set_weights([np.asarray(stored) for stored in source.arrays])
    if normalised:
        _correct_variance(normalised)


def _check_fit(layers: list[keras.Layer], saved: list[SavedLayer]) -> None:
    hint = "Are the weights of this network, without top?"
    for layer, source in zip(layers, saved, strict=False):
        if not _shapes_match(layer, source):
            shapes = [tuple(weight.shape) for weight in layer.weights]
            raise ModelError(
                f"layer {layer.name} has weights of {brief(shapes)}, but the file has "
                f"{brief(source.shapes or 'nothing')} there (its {brief(source.name)}). {hint}"
            )
    if len(layers) != len(saved):
        first = max(layers, saved, key=len)[min(len(layers), len(saved))]
        raise ModelError(
            f"it has {len(saved)} layers with weights, but the network has {len(layers)}; "
            f"{brief(first.name)} is the first extra layer. {hint}"
        )


def _shapes_match(layer: keras.Layer, saved: SavedLayer) -> bool:
    return [tuple(w.shape) for w in layer.weights] == saved.shapes


def _saved_layers(
    file: h5py.File, network: keras.Model, layers: list[keras.Layer]
) -> list[SavedLayer]:
    """Return the layers of a file in the network's order."""
    if "model_weights" in file:  # a whole model, including its head
        return _without_head(_read_legacy(file, file["model_weights"]), network, layers)
    if "layer_names" in file.attrs:
        return _read_legacy(file, file)
    return _read_keras3(file, layers)


def _read_legacy(file: h5py.File, group: h5py.Group) -> list[SavedLayer]:
    """Read Keras 2's layout: layers by name, in the network's order."""
    saved = []
    for name in _name_list(group, "layer_names"):
        names = _name_list(group[name], "weight_names")
        if names:
            saved.append(
                SavedLayer(name, [array(file, group[name], weight) for weight in names], names)
            )
    return saved


def _without_head(
    saved: list[SavedLayer], network: keras.Model, layers: list[keras.Layer]
) -> list[SavedLayer]:
    """Select the layers of a whole model that belong to the network."""
    inner = max(saved, key=lambda layer: len(layer.arrays), default=SavedLayer("", []))
    if len(inner.arrays) > max(len(layer.weights) for layer in layers):
        return _nested_layers(inner, network, layers)
    if len(saved) > len(layers) and all(map(_shapes_match, layers, saved)):
        return saved[: len(layers)]
    return saved


def _nested_layers(
    inner: SavedLayer, network: keras.Model, layers: list[keras.Layer]
) -> list[SavedLayer]:
    """Return the layers of a model nested in another, which stores its weights as one list.

    The list starts with the trainable weights, so its order does not identify the layers if some
    were frozen; their names do. Without names, the order is used.
    """
    weights = network.trainable_weights + network.non_trainable_weights
    if len(weights) > len(inner.arrays):
        raise ModelError(
            f"its {brief(inner.name)} has {len(inner.arrays)} arrays, but the network has "
            f"{len(weights)} weights"
        )
    by_layer: dict[str, list[h5py.Dataset]] = {}
    for name, stored in zip(inner.names, inner.arrays, strict=True):
        by_layer.setdefault(f"/{name}".rsplit("/", 2)[-2], []).append(stored)
    by_layer = {_ranked_name(name, by_layer, layers): x for name, x in by_layer.items()}
    parts_of = {
        layer.name: dict.fromkeys(
            _ranked_name(weight.path.rsplit("/", 2)[-2], [x.name for x in layers], layers)
            for weight in layer.weights
        )
        for layer in layers
    }
    if set(by_layer) <= {part for parts in parts_of.values() for part in parts}:
        return [
            SavedLayer(layer, [stored for part in parts for stored in by_layer.get(part, [])])
            for layer, parts in parts_of.items()
            if by_layer.keys() & parts.keys()
        ]
    stored_of = dict(zip(map(id, weights), inner.arrays, strict=False))
    return [
        SavedLayer(x.name, [stored_of[id(w)] for w in x.weights if id(w) in stored_of])
        for x in layers
    ]


def _ranked_name(name: str, names: Iterable[str], layers: list[keras.Layer]) -> str:
    """Renumber a name given by Keras from 0: a second network may start at conv2d_94.

    >>> import keras
    >>> _ranked_name("conv2d_94", ["conv2d_95", "stem", "conv2d_94"], [keras.layers.Conv2D(1, 1)])
    'conv2d 0'
    """
    kind = re.sub(r"_\d+$", "", name)
    if kind not in map(_kind, layers):
        return name
    numbers = [re.fullmatch(rf"{kind}_?(\d*)", other) for other in names]
    number = int(name.removeprefix(kind).removeprefix("_") or 0)
    return f"{kind} {sum(int(other[1] or 0) < number for other in numbers if other)}"


def _kind(layer: keras.Layer) -> str:
    """Return a layer's class as Keras writes it in names: conv2d for Conv2D."""
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", type(layer).__name__)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def _name_list(group: h5py.Group, attribute: str) -> list[str]:
    """Return a list of names, which HDF5 may have split into several attributes."""
    pieces = sorted(
        (key for key in group.attrs if re.fullmatch(rf"{attribute}\d*", key)),
        key=lambda key: int(key.removeprefix(attribute) or 0),
    )
    texts = [text for key in pieces for text in group.attrs[key]]
    return [text.decode() if isinstance(text, bytes) else str(text) for text in texts]


def _read_keras3(file: h5py.File, layers: list[keras.Layer]) -> list[SavedLayer]:
    """Read Keras 3's layout: layers by class and number within it: conv2d, conv2d_1 and so on."""
    groups = file["layers"]
    if "functional" in groups:  # a whole classifier: read its backbone
        groups = groups["functional"]["layers"]
    saved, counts = [], Counter[str]()
    for layer in layers:
        kind = _kind(layer)
        key = f"{kind}_{counts[kind]}" if counts[kind] else kind
        counts[kind] += 1
        stored = groups[key]["vars"] if key in groups else {}
        saved.append(
            SavedLayer(key, [array(file, stored, number) for number in sorted(stored, key=int)])
        )
    stored_keys = [key for key in groups if len(groups[key].get("vars", ()))]
    known = {layer.name for layer in saved}
    return saved + [SavedLayer(key, []) for key in stored_keys if key not in known]


def _correct_variance(layer: keras.layers.Normalization) -> None:
    """Make a normalisation layer that was loaded from a file divide by the standard deviation.

    The weights that Keras publishes hold the deviation where the variance belongs. Keras
    compensates with an extra layer, but only when it downloads the weights itself.
    """
    mean, variance, count = layer.get_weights()
    if np.allclose(variance, DEVIATIONS, atol=1e-4):
        layer.set_weights([mean, np.square(variance), count])
    layer.finalize_state()
