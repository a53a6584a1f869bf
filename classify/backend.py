"""What depends on the Keras backend and the device."""

from __future__ import annotations


def devices() -> list[str]:
    """What the backend computes on, such as ["cpu:0"] or ["gpu:0", "gpu:1"]."""
    import keras

    if keras.backend.backend() == "torch":  # keras.distribution does not know it
        import torch

        return [f"gpu:{i}" for i in range(torch.cuda.device_count())] or ["cpu:0"]
    return list(keras.distribution.list_devices())


def jit_compile() -> bool | str:
    """What to give a model's `jit_compile` on this machine.

    Keras's default turns XLA on for TensorFlow on a CPU too, where it is eight times slower.
    """
    import keras

    on_cpu = not any("gpu" in device.lower() for device in devices())
    return False if keras.backend.backend() == "tensorflow" and on_cpu else "auto"
