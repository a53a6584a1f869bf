"""What depends on the Keras backend and the device.

Here alone are backends told apart; everything else of `classify` is `keras` and `keras.ops`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from classify.errors import ClassifyError
from ffpp_tools.doctor.machine import BACKENDS, chosen_backend

LEAST_PROBABILITY = 1e-7  # what single precision tells from nothing


def require_backend() -> None:
    """Refuse a backend that is not there, before Keras does with a traceback.

    Raises:
        ClassifyError: KERAS_BACKEND, or keras.json, names none that is installed.
    """
    chosen = chosen_backend()
    installed = [name for name in BACKENDS if find_spec(name)]
    if chosen not in installed:
        raise ClassifyError(
            f"Keras's backend {chosen} is not installed; set KERAS_BACKEND to one that is: "
            f"{', '.join(installed)}"
        )


def devices() -> list[str]:
    """What the backend computes on, such as ["cpu:0"] or ["gpu:0", "gpu:1"]."""
    import keras

    backend = keras.backend.backend()
    if backend == "torch":  # keras.distribution does not know it
        import torch

        return [f"gpu:{i}" for i in range(torch.cuda.device_count())] or ["cpu:0"]
    return list(keras.distribution.list_devices())


def on_gpu() -> bool:
    """Whether the backend computes on a GPU."""
    return any("gpu" in device.lower() or "cuda" in device.lower() for device in devices())


def replicas() -> int:
    """How many devices of this machine share a batch: all of them, where the backend can.

    CUDA_VISIBLE_DEVICES chooses among GPUs. PyTorch's networks stay on one.
    """
    import keras

    return 1 if keras.backend.backend() == "torch" else len(devices())


@contextmanager
def data_parallel() -> Iterator[None]:
    """Models made in this block compute on every device, each with its part of a batch."""
    import keras

    if replicas() == 1:
        yield
    elif keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        # Keras says "gpu:0", TensorFlow "GPU:0".
        with tf.distribute.MirroredStrategy([name.upper() for name in devices()]).scope():
            yield
    else:
        before = keras.distribution.distribution()
        keras.distribution.set_distribution(keras.distribution.DataParallel(devices=devices()))
        try:
            yield
        finally:
            keras.distribution.set_distribution(before)


@contextmanager
def dtype_policy(mixed_precision: bool) -> Iterator[None]:
    """Layers made in this block compute in half precision, where that is asked for."""
    import keras

    before = keras.config.dtype_policy()
    if mixed_precision:
        keras.config.set_dtype_policy("mixed_float16")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def jit_compile(jit: str = "auto") -> bool | str:
    """What to give a model's `jit_compile` on this machine.

    "auto" follows measurements (docs/training.md): XLA makes TensorFlow eight times slower on a
    CPU, JAX is not usable without, PyTorch's compiler is left to who asks for it.
    """
    import keras

    if jit != "auto":
        return jit == "on"
    return False if keras.backend.backend() == "tensorflow" and not on_gpu() else "auto"


def warps_on_device() -> bool:
    """Whether augmentation warps batches where the network computes, rather than on the host.

    Not under TensorFlow: its input pipeline takes arrays of the host, so that a batch would cross
    the bus three times.
    """
    import keras

    return on_gpu() and keras.backend.backend() != "tensorflow"


def gradient(function: Callable[[Any], Any], values: Any) -> Any:
    """The slope of a function, which returns one number, by each of its values.

    Args:
        function: from a tensor of the backend to a scalar of it.
        values: where.

    Returns:
        A tensor like `values`.
    """
    import keras

    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(values)
            found = function(values)
        return tape.gradient(found, values)
    if backend == "jax":
        import jax

        return jax.grad(function)(values)
    import torch

    values = values.detach().requires_grad_(True)
    return torch.autograd.grad(function(values), values)[0]


def file_errors() -> Any:
    """What TensorFlow raises where it cannot write a file: no OSError."""
    import tensorflow as tf

    return tf.errors.OpError


def saved_model(path: Path) -> Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]:
    """What TensorFlow itself, without Keras, makes of a SavedModel."""
    import tensorflow as tf

    loaded = tf.saved_model.load(str(path))
    return lambda images: np.asarray(loaded.serve(images))
