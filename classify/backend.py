"""What depends on the Keras backend and the device."""

from __future__ import annotations


def jit_compile() -> bool | str:
    """What to give a model's `jit_compile` on this machine.

    Keras's default turns XLA on for TensorFlow on a CPU too, where it is eight times slower.
    """
    import keras

    on_cpu = not keras.distribution.list_devices("gpu")
    return False if keras.backend.backend() == "tensorflow" and on_cpu else "auto"
