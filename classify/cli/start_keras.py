"""Start Keras for a command and print one line about its devices."""

from __future__ import annotations

import logging
import os
import sys

from classify.backend import devices, require_backend
from ffpp_tools.console import print_line
from ffpp_tools.doctor.machine import keras_home


def start_keras() -> None:
    """Import Keras and print its devices, in one line instead of TensorFlow's ten.

    With TF_CPP_MIN_LOG_LEVEL set, TensorFlow's own messages are printed.

    Raises:
        ClassifyError: the backend is not installed.
    """
    require_backend()
    os.environ.setdefault("KERAS_HOME", str(keras_home()))  # TensorFlow would make a folder ~ here
    sys.stderr.flush()
    saved = os.dup(2)
    if "TF_CPP_MIN_LOG_LEVEL" not in os.environ:
        os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
        logging.getLogger("tensorflow").setLevel(logging.ERROR)  # it warns of a second network
        silence = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silence, 2)
        os.close(silence)
    try:
        import keras

        found = devices()
    finally:
        os.dup2(saved, 2)
        os.close(saved)
    backend = keras.backend.backend()
    print_line(f"Keras {keras.__version__} with {backend} on {', '.join(found)}", style="dim")
