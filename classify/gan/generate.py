"""A trained generator to picture files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import keras
import numpy as np
import numpy.typing as npt

from classify.data.pack import ProgressFactory
from classify.errors import ClassifyError
from classify.gan.run import GanRun
from classify.training.runs import load_model
from ffpp_tools.files import delete_temporary_files, occupied, read_json, write_atomically
from ffpp_tools.store import format_versions
from ffpp_tools.store.locks import folder_lock

NOTE = "generated.json"
AT_A_TIME = 64


def generate(
    run: GanRun,
    count: int,
    folder: Path,
    epoch: int | None = None,
    seed: int = 0,
    progress: ProgressFactory | None = None,
) -> None:
    """Write generated faces as 00000001.png and so on, and generated.json, which says of what.

    Every face follows from the generator, the seed and its number alone: the same call goes on
    where it was stopped, and a larger count adds to the folder.

    Args:
        run: whose generator.
        count: how many faces are to be there.
        folder: where to.
        epoch: take the generator that was kept after so many epochs; None for the last.
        seed: another seed, other faces.
        progress: as `pack.pack` takes it.

    Raises:
        ClassifyError: no such generator, or the folder holds something else.
    """
    path = run.generator(epoch)
    model = load_model(path)
    of = {"generator_sha256": _hash(model), "seed": seed}  # what its faces follow from
    said = {
        **of,
        "size": run.settings.size,
        "epochs": len(run.log) if epoch is None else epoch,
        "trained_on": run.count,
        "remarks": run.remarks(epoch),
    }
    note = folder / NOTE
    if occupied(folder) and not of.items() <= _read(note).items():
        raise ClassifyError(f"{folder} holds something else: choose another --out")
    with folder_lock(folder, "classify gan generate"):
        delete_temporary_files(folder)
        text = (
            json.dumps(format_versions.with_format(format_versions.GENERATED, said), indent=2)
            + "\n"
        )
        write_atomically(note, text.encode())
        _write_faces(run, model, count, folder, seed, progress)


def _write_faces(
    run: GanRun,
    model: keras.Model,
    count: int,
    folder: Path,
    seed: int,
    progress: ProgressFactory | None,
) -> None:
    missing = [i for i in range(1, count + 1) if not (folder / f"{i:08d}.png").exists()]

    def write() -> Iterator[int]:
        for start in range(0, len(missing), AT_A_TIME):
            numbers = missing[start : start + AT_A_TIME]
            noise = noise_of(numbers, seed, run.settings.latent)
            for number, face in zip(numbers, generated_images(model, noise), strict=True):
                data = cv2.imencode(".png", face[..., ::-1])[1].tobytes()
                write_atomically(folder / f"{number:08d}.png", data)
                yield number

    for _ in progress("generating")(write(), len(missing)) if progress else write():
        pass


def noise_of(numbers: list[int], seed: int, latent: int) -> npt.NDArray[np.float32]:
    """What the faces of these numbers are made from: (n, latent)."""
    rows = [np.random.default_rng((seed, i)).standard_normal(latent, np.float32) for i in numbers]
    return np.stack(rows)


def generated_images(
    generator: keras.Model, noise: npt.NDArray[np.float32]
) -> npt.NDArray[np.uint8]:
    """What a generator makes of (n, latent) noise: (n, size, size, 3) RGB."""
    made = []
    for start in range(0, len(noise), AT_A_TIME):
        rows = noise[start : start + AT_A_TIME]
        batch = np.resize(rows, (AT_A_TIME, noise.shape[1]))  # always as large: the same rounding
        found = keras.ops.convert_to_numpy(generator(batch, training=False))[: len(rows)]
        made.append(np.clip(np.rint((found + 1) * 127.5), 0, 255).astype(np.uint8))
    return np.concatenate(made)


def _hash(model: keras.Model) -> str:
    """Of a network's weights: its file also tells when it was written."""
    found = hashlib.sha256()
    for weights in model.get_weights():
        found.update(np.ascontiguousarray(weights).tobytes())
    return found.hexdigest()


def _read(path: Path) -> dict[str, Any]:
    try:
        return format_versions.without_format(
            format_versions.GENERATED, path, dict(read_json(path))
        )
    except (OSError, ValueError, TypeError):
        return {}
