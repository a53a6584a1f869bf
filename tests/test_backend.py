"""The only module that depends on the Keras backend."""

import re
from pathlib import Path

import keras
import pytest

import classify
from classify.backend import devices, jit_compile
from tests.helpers.project import BACKENDS


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow" or "gpu:0" in devices(),
    reason="only TensorFlow on a CPU is slow with XLA",
)
def test_xla_stays_off_for_tensorflow_on_a_cpu():
    assert jit_compile() is False


def test_only_the_backend_module_of_classify_imports_a_backend():
    for path in Path(classify.__file__).parent.rglob("*.py"):
        text = path.read_text()
        for name in BACKENDS:
            match = re.search(rf"^\s*(import|from) {name}\b", text, re.MULTILINE)
            assert path.name == "backend.py" or not match, path
