"""The code of docs/exchange.md runs as written, on the demo data and at a smaller size."""

import os
import re
import subprocess
import sys
from importlib.util import find_spec

import pandas as pd
import pytest

from tests.helpers.project import ROOT

pytestmark = pytest.mark.slow
SUBSTITUTES = (
    ("size=224", "size=56"),
    ("8, 28, 8, 28", "8, 7, 8, 7"),
    ("range(2)", "range(1)"),
    ("epochs=2", "epochs=1"),
)


def section(heading):
    """The Python blocks below a heading as one script: one epoch, and 56 instead of 224 pixels."""
    text = (ROOT / "docs/exchange.md").read_text(encoding="utf-8")
    below = re.search(rf"^#+ {heading}\n(.*?)(?=^##|\Z)", text, re.MULTILINE | re.DOTALL)[1]
    script = "\n".join(re.findall(r"^```python\n(.*?)^```", below, re.MULTILINE | re.DOTALL))
    assert "size=224" in script
    for old, new in SUBSTITUTES:
        script = script.replace(old, new)
    return script


@pytest.mark.parametrize(
    ("heading", "library", "last_line"),
    [
        ("Your own training code", "numpy", "print(dataset[0][0].shape == (56, 56, 3))"),
        ("PyTorch", "torch", "print(loss.isfinite().item())"),
        ("TensorFlow", "tensorflow", "print(len(network.history.history['val_loss']) == 1)"),
        ("JAX", "jax", "print(bool(jnp.isfinite(weights).all() and weights.any()))"),
        ("Pairs", "torch", "print(rows['category'][0] == 'Youtube' and labels.ndim == 1)"),
    ],
)
def test_a_section_runs(heading, library, last_line, videos_manifest, tmp_path):
    if find_spec(library) is None:
        pytest.skip(f"{library} is not installed")
    (tmp_path / "data_manifests").mkdir()
    (tmp_path / "data_manifests/videos").symlink_to(videos_manifest.folder)
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", f"{section(heading)}\n{last_line}"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path, "KERAS_BACKEND": "tensorflow"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-1] == "True"
    if heading == "PyTorch":
        scores = pd.read_csv(tmp_path / "mine.csv")
        assert scores["face_id"].to_list() == videos_manifest.samples("test")["face_id"].to_list()
        assert scores["p_fake"].between(0, 1).all()
