"""Write image files with a trained generator."""

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
    """Write generated faces as 00000001.png and so on, and their origin as generated.json.

    Each face depends only on the generator, the seed and its number: the same call resumes where it
    stopped, and a larger count adds to the folder.

    Args:
        run: the run of the generator.
        count: total number of faces in the folder.
        folder: output folder.
        epoch: use the generator saved after this epoch, counted from 1; None for the last.
        seed: random seed of the faces.
        progress: progress bar factory, see `pack.ProgressFactory`.

    Raises:
        ClassifyError: the generator does not exist, or the folder holds other files.
    """
    path = run.generator(epoch)
    model = load_model(path)
    source = {"generator_sha256": _weights_hash(model), "seed": seed}  # determines the faces
    record = {
        **source,
        "size": run.settings.size,
        "epochs": len(run.log) if epoch is None else epoch,
        "trained_on": run.count,
        "remarks": run.remarks(epoch),
    }
    note = folder / NOTE
    if occupied(folder) and not source.items() <= _read(note).items():
        raise ClassifyError(
            f"{folder} holds other files, or faces of another generator or seed; choose "
            f"another --out"
        )
    with folder_lock(folder, "classify gan generate"):
        delete_temporary_files(folder)
        text = (
            json.dumps(format_versions.with_format(format_versions.GENERATED, record), indent=2)
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
    """Return the (n, latent) noise from which the faces of these numbers are generated."""
    rows = [np.random.default_rng((seed, i)).standard_normal(latent, np.float32) for i in numbers]
    return np.stack(rows)


def generated_images(
    generator: keras.Model, noise: npt.NDArray[np.float32]
) -> npt.NDArray[np.uint8]:
    """Generate images from (n, latent) noise: (n, size, size, 3) uint8 RGB."""
    images = []
    for start in range(0, len(noise), AT_A_TIME):
        rows = noise[start : start + AT_A_TIME]
        batch = np.resize(rows, (AT_A_TIME, noise.shape[1]))  # constant size: same rounding
        output = keras.ops.convert_to_numpy(generator(batch, training=False))[: len(rows)]
        images.append(np.clip(np.rint((output + 1) * 127.5), 0, 255).astype(np.uint8))
    return np.concatenate(images)


def _weights_hash(model: keras.Model) -> str:
    """Return the hash of a network's weights; its file also contains the time of writing."""
    digest = hashlib.sha256()
    for weights in model.get_weights():
        digest.update(np.ascontiguousarray(weights).tobytes())
    return digest.hexdigest()


def _read(path: Path) -> dict[str, Any]:
    try:
        return format_versions.without_format(
            format_versions.GENERATED, path, dict(read_json(path))
        )
    except (OSError, ValueError, TypeError):
        return {}
