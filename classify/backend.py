"""Code that depends on the Keras backend or the device.

This module alone distinguishes backends; the rest of `classify` uses only `keras` and `keras.ops`.
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

LEAST_PROBABILITY = 1e-7  # lower limit of probabilities in a float32 log loss


def require_backend() -> None:
    """Check that the chosen backend is installed, before Keras fails with a traceback.

    Raises:
        ClassifyError: the backend that KERAS_BACKEND or keras.json names is not installed.
    """
    chosen = chosen_backend()
    installed = [name for name in BACKENDS if find_spec(name)]
    if chosen not in installed:
        raise ClassifyError(
            f"Keras's backend {chosen} is not installed; set KERAS_BACKEND to one that is: "
            f"{', '.join(installed)}"
        )


def seed_dropout(seed: int) -> None:
    """Seed the dropout of this backend, if it does not use the state of the layer.

    Under PyTorch, Keras draws the masks of layers without a seed of their own from PyTorch's global
    generator.
    """
    import keras

    if keras.backend.backend() == "torch":
        import torch

        torch.manual_seed(seed)


def devices() -> list[str]:
    """Return the devices of the backend, such as ["cpu:0"] or ["gpu:0", "gpu:1"]."""
    import keras

    backend = keras.backend.backend()
    if backend == "torch":  # not supported by keras.distribution
        import torch

        return [f"gpu:{i}" for i in range(torch.cuda.device_count())] or ["cpu:0"]
    return list(keras.distribution.list_devices())


def on_gpu() -> bool:
    """Return whether the backend computes on a GPU."""
    return any("gpu" in device.lower() or "cuda" in device.lower() for device in devices())


def replicas() -> int:
    """Return how many devices of this machine share a batch: all, if the backend supports it.

    CUDA_VISIBLE_DEVICES selects the GPUs. With PyTorch, a network stays on one device.
    """
    import keras

    return 1 if keras.backend.backend() == "torch" else len(devices())


@contextmanager
def data_parallel() -> Iterator[None]:
    """Replicate the models built in this block on all devices, each with a share of the batch."""
    import keras

    if replicas() == 1:
        yield
    elif keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        # Keras writes "gpu:0", TensorFlow "GPU:0".
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
    """Build the layers in this block with mixed precision, if requested."""
    import keras

    before = keras.config.dtype_policy()
    if mixed_precision:
        keras.config.set_dtype_policy("mixed_float16")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def jit_compile(jit: str = "auto") -> bool | str:
    """Return the value of a model's `jit_compile` on this machine.

    "auto" follows measurements (docs/training.md): XLA makes TensorFlow eight times slower on a
    CPU, JAX is unusable without it, and PyTorch's compiler is used only on request.
    """
    import keras

    if jit != "auto":
        return jit == "on"
    return False if keras.backend.backend() == "tensorflow" and not on_gpu() else "auto"


def warps_on_device() -> bool:
    """Return whether augmentation warps batches on the network's device rather than on the host.

    False for TensorFlow: its input pipeline takes host arrays, so that a batch would cross the bus
    three times.
    """
    import keras

    return on_gpu() and keras.backend.backend() != "tensorflow"


def gradient(function: Callable[[Any], Any], values: Any) -> Any:
    """Return the gradient of a scalar function with respect to its input.

    Args:
        function: maps a tensor of the backend to a scalar tensor.
        values: the input at which the gradient is taken.

    Returns:
        A tensor of the shape of `values`.
    """
    import keras

    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(values)
            result = function(values)
        return tape.gradient(result, values)
    if backend == "jax":
        import jax

        return jax.grad(function)(values)
    import torch

    values = values.detach().requires_grad_(True)
    return torch.autograd.grad(function(values), values)[0]


def file_errors() -> Any:
    """Return the exception of TensorFlow for a file it cannot write, which is not an OSError."""
    import tensorflow as tf

    return tf.errors.OpError


def saved_model(path: Path) -> Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]:
    """Return the prediction function of a SavedModel, loaded by TensorFlow without Keras."""
    import tensorflow as tf

    loaded = tf.saved_model.load(str(path))
    return lambda images: np.asarray(loaded.serve(images))
