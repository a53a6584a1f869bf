"""Export a trained network for other programs, and check it in the format's own runtime."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from classify.backend import file_errors, saved_model
from classify.errors import ClassifyError, ModelError
from classify.evaluation.predict import UNDECIDED, predict_probabilities, tta_remark
from classify.evaluation.thresholds import operating_point_or_default
from classify.models.file_checks import brief
from classify.training.runs import Run
from ffpp_tools.files import wrap_write_errors, write_atomically
from ffpp_tools.store.incomplete import delete, has_foreign_files, writing_folder

if TYPE_CHECKING:
    import keras

Images = npt.NDArray[np.float32]
COMMAND = "classify export"
WRITTEN = ("model", "model.tflite", "about.json")
BOUND = 1e-4  # largest allowed difference from the network's probabilities
# Test-time augmentation → its description in about.json.
TTA = {
    "none": "none",
    "flip": "flip: run the network on each face and on its horizontal mirror image, and compare "
    "the mean of their P(fake) with the thresholds. The exported network itself does not flip",
}
CHECKED = 8  # test images of each kind


def export(run: Run, kind: str, folder: Path) -> float:
    """Write a run's network, including its pixel scaling, and about.json next to it.

    The exported network takes (n, size, size, 3) RGB from 0 to 255 as float32 and returns the
    network's probabilities; about.json describes their classes and how faces must be cropped. A
    network trained in mixed precision is exported and compared in single precision.

    Args:
        run: the run whose best checkpoint is exported.
        kind: "saved-model" (a folder `model`, for TensorFlow) or "litert" (`model.tflite`).
        folder: the folder to create.

    Returns:
        The largest difference between the network's probabilities and those of the exported
        network in the format's own runtime.

    Raises:
        ClassifyError: the kind is unknown, the folder is not empty, the backend is not TensorFlow,
            or a package is missing.
        ModelError: the exported network predicts differently; its files are deleted.
    """
    import keras

    if kind not in KINDS:
        raise ClassifyError(f"unknown format {kind!r}; choose from {', '.join(KINDS)}")
    if has_foreign_files(folder, COMMAND):
        raise ClassifyError(f"{folder} is not empty: choose another --out")
    if keras.backend.backend() != "tensorflow":
        raise ClassifyError("export requires TensorFlow: set KERAS_BACKEND=tensorflow")
    if kind == "litert" and find_spec("ai_edge_litert") is None:
        raise ClassifyError("the LiteRT runtime is missing: pip install ai-edge-litert")
    write, load = KINDS[kind]
    model = _in_single_precision(run)
    images = _images(model.input_shape[1])
    about = _about(run, model, kind)
    expected = predict_probabilities(model, images)[:, : model.output_shape[1]]
    with writing_folder(folder, COMMAND, WRITTEN):
        try:
            probabilities = load(write(model, folder))(images.astype(np.float32))
            difference = float(np.abs(probabilities - expected).max())
            if not difference <= BOUND:
                raise ModelError(
                    f"{run.folder}: exported as {kind}, it predicts up to {difference:.2g} off"
                )
        except BaseException:
            for name in WRITTEN:
                delete(folder / name)
            raise
        about["largest_difference"] = difference
        write_atomically(folder / "about.json", (json.dumps(about, indent=2) + "\n").encode())
    return difference


def _in_single_precision(run: Run) -> keras.Model:
    """Return the run's network in single precision: LiteRT does not support half precision."""
    from classify.training.network import build_network

    model, settings = run.best_model(), run.settings
    if not settings.mixed_precision:
        return model
    single = build_network(
        replace(settings, weights="none", mixed_precision=False), len(run.classes)
    )
    single.set_weights(model.get_weights())
    return single


def _images(size: int) -> npt.NDArray[np.uint8]:
    """Return test images of noise and of colour gradients: (n, size, size, 3) RGB."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (CHECKED, size, size, 3), np.uint8)
    ramp = np.linspace(0, 1, size)[None, :, None, None] * rng.integers(32, 256, (CHECKED, 1, 1, 3))
    smooth = np.broadcast_to(ramp, (CHECKED, size, size, 3)).astype(np.uint8)
    return np.concatenate([noise, smooth])


def _about(run: Run, model: keras.Model, kind: str) -> dict[str, Any]:
    """Return what another program needs to know about the exported network."""
    operating_point = operating_point_or_default(run)
    classes = run.classes
    units = model.output_shape[1]
    side = model.input_shape[1]
    return {
        "run": run.folder.resolve().name,
        "arch": run.settings.arch,
        "format": kind,
        "input": f"float32 (n, {side}, {side}, 3), RGB from 0 to 255, without further scaling",
        "output": list(classes)[:units],
        "classes": classes,
        "p_fake": "the sum of the probabilities of all fake classes",
        "frame_threshold": operating_point.frame_threshold,
        "clip_threshold": operating_point.clip_threshold,
        "why_fixed": operating_point.why_fixed,
        "tta": UNDECIDED if tta_remark(run) else TTA[operating_point.tta],
        "faces": run.faces,
    }


def _write_saved_model(model: keras.Model, folder: Path) -> Path:
    path = folder / "model"
    try:
        model.export(path, format="tf_saved_model", verbose=False)
    except file_errors() as error:
        why = brief(str(error.message).rsplit("; ", 1)[-1])
        raise ClassifyError(f"{path}: cannot be written ({why})") from error
    return path


def _write_litert(model: keras.Model, folder: Path) -> Path:
    path = folder / "model.tflite"
    with wrap_write_errors(path):
        model.export(path, format="litert", verbose=False)
    return path


def _load_litert(path: Path) -> Callable[[Images], Images]:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path))
    (inputs,), (outputs,) = interpreter.get_input_details(), interpreter.get_output_details()

    def run(images: Images) -> Images:
        interpreter.resize_tensor_input(inputs["index"], images.shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(inputs["index"], images)
        interpreter.invoke()
        return np.asarray(interpreter.get_tensor(outputs["index"]))

    return run


# Format → function that writes it into a folder, and function that loads it in its own runtime.
KINDS: dict[str, tuple[Callable[..., Path], Callable[[Path], Callable[[Images], Images]]]] = {
    "saved-model": (_write_saved_model, saved_model),
    "litert": (_write_litert, _load_litert),
}
