"""Starting Keras for a command."""

import os

import keras
import pytest

from classify.cli.start_keras import start_keras
from classify.errors import ClassifyError
from ffpp_tools.console import console


def test_starting_keras_prints_one_line_and_restores_standard_error(monkeypatch, capfd):
    monkeypatch.setattr(console, "_file", None)
    monkeypatch.setattr(console, "quiet", False)
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "")  # so that monkeypatch restores it
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL")
    monkeypatch.setenv("KERAS_HOME", "/nowhere")
    capfd.readouterr()
    start_keras()
    os.write(2, b"still heard\n")
    printed = capfd.readouterr()
    (line,) = printed.out.splitlines()
    assert line.startswith(f"Keras {keras.__version__} with {keras.backend.backend()} on ")
    assert printed.err == "still heard\n"
    assert os.environ["KERAS_HOME"] == "/nowhere"  # an existing value is kept


def test_a_backend_that_is_not_installed_is_an_error(monkeypatch):
    monkeypatch.setattr("classify.cli.start_keras.require_backend", _fails)
    with pytest.raises(ClassifyError, match="not installed"):
        start_keras()


def _fails():
    raise ClassifyError("it is not installed")
