"""Training and prediction agree across Keras backends and numbers of devices.

A backend is chosen when Keras is first imported, so each runs in a process of its own. TensorFlow
is a dependency of the project; the other backends are tested if they are installed.
"""

import importlib.util
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from tests.helpers.project import BACKENDS

TRAIN = """
import sys, json
import numpy as np, keras
from pathlib import Path
from classify.evaluation.metrics import log_loss
from classify.training.runs import Run, load_model
from classify.evaluation.predict import predict_probabilities, score_split
from classify.training.settings import TrainSettings
from classify.training.train import train
manifest, folder = map(Path, sys.argv[1:])
settings = TrainSettings(arch="sepconv", size=32, batch_size=32, epochs=2, augment="paper",
    class_weights=True, schedule="cosine", warmup_epochs=0.5, ema=0.7)
run = train(manifest, folder, settings)
images = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), np.uint8)
val = score_split(run, "val")
losses = [run.kept_row["val_log_loss"],
    float(log_loss(val.actual, val.probabilities, np.ones((1, len(val))))[0])]
probabilities = predict_probabilities(run.best_model(), images).tolist()
print(json.dumps([keras.backend.backend(), probabilities, losses]))
"""

RESUME = """
import sys, json
from pathlib import Path
import numpy as np, keras
from classify.training.runs import load_model
from classify.training.settings import TrainSettings
from classify.training.train import resume, train
class Stop(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 1:
            raise KeyboardInterrupt
manifest, folder = map(Path, sys.argv[1:])
settings = TrainSettings(arch="sepconv", size=32, batch_size=32, epochs=2, ema=0.7)  # has dropout
train(manifest, folder / "whole", settings)
try:
    train(manifest, folder / "resumed", settings, [Stop()])
except KeyboardInterrupt:
    resume(folder / "resumed")
whole, resumed = (load_model(folder / name / "last.keras") for name in ("whole", "resumed"))
pairs = zip(whole.get_weights(), resumed.get_weights(), strict=True)
print(json.dumps(max(float(np.abs(a - b).max()) for a, b in pairs)))
"""

PREDICT = """
import sys, json
import numpy as np, keras
from pathlib import Path
from classify.inference.gradcam import cams
from classify.evaluation.predict import predict_probabilities
from classify.training.runs import load_model
images = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), np.uint8)
model = load_model(Path(sys.argv[1]))
maps, _ = cams(model, images)
probabilities = predict_probabilities(model, images).tolist()
print(json.dumps([keras.backend.backend(), probabilities, maps.tolist()]))
"""

# From the same weights, with plain gradient descent: Adam would amplify rounding errors.
DCGAN = """
import sys, json
from pathlib import Path
import numpy as np, keras
from classify.gan.dcgan import build_dcgan, compile_for_here
from classify.gan.settings import GanSettings
from classify.training.runs import load_model
settings, start = GanSettings(size=16, latent=8, filters=4), Path(sys.argv[1])
if not start.exists():
    build_dcgan(settings).save(start)
model = load_model(start)
compile_for_here(model, settings, keras.optimizers.SGD(0.1))
rng, real = np.random.default_rng(0), np.ones((8, 1), np.float32)
targets = {"real": real, "generated": 0 * real, "generator": real}
for _ in range(3):
    images = rng.integers(0, 256, (8, 16, 16, 3), np.uint8)
    noise = rng.standard_normal((8, 8), np.float32)
    logs = model.train_on_batch((images, noise), targets, return_dict=True)
weights = [w.ravel().tolist() for w in model.get_weights()]
print(json.dumps([keras.backend.backend(), weights, {k: float(v) for k, v in logs.items()}]))
"""

# Plain gradient descent, which reveals a wrongly scaled gradient; Adam would hide it. No batch norm
# and no dropout, since their statistics and masks differ when a batch is split between devices. The
# last batch and the validation split have odd sizes.
DEVICES = """
import sys, json
from pathlib import Path
if "tensorflow" in sys.argv[3]:
    import tensorflow as tf
    cpu = tf.config.list_physical_devices("CPU")[0]
    parts = [tf.config.LogicalDeviceConfiguration()] * int(sys.argv[4])
    tf.config.set_logical_device_configuration(cpu, parts)
import numpy as np, keras
from classify import backend
from classify.models import build
from classify.training.runs import load_model
from classify.training.settings import TrainSettings
from classify.training.train import train
assert backend.replicas() == int(sys.argv[4]), backend.devices()
settings = TrainSettings(arch="baseline", size=32, batch_size=10, epochs=2, augment="paper",
    learning_rate=0.05, class_weights=True)
keras.optimizers.Adam = keras.optimizers.SGD
run = train(Path(sys.argv[1]), Path(sys.argv[2]), settings)
keras.utils.set_random_seed(settings.seed)
models = (build("baseline", 5, 32), load_model(run.folder / "last.keras"))
weights = [[w.ravel().tolist() for w in model.get_weights()] for model in models]
print(json.dumps([*weights, run.log[["val_loss", "val_log_loss", "val_accuracy"]].to_dict("list")]))
"""


def python(code, *arguments, backend, **environment):
    """Run code under a backend in a new process; return the JSON on its last line of output."""
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    result = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        env={**os.environ, "KERAS_BACKEND": backend, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return json.loads(result.stdout.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_resumed_run_has_the_weights_of_an_uninterrupted_one(backend, videos_manifest, tmp_path):
    assert python(RESUME, videos_manifest.folder, tmp_path, backend=backend) == 0


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_network_trained_under_one_backend_predicts_the_same_under_the_others(
    backend, videos_manifest, tmp_path
):
    used, trained, losses = python(TRAIN, videos_manifest.folder, tmp_path / "r", backend=backend)
    assert used == backend
    np.testing.assert_allclose(np.sum(trained, axis=1), 1, atol=1e-5)
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)  # as logged, and recomputed
    maps = []
    for other in BACKENDS:
        if importlib.util.find_spec(other) is not None:
            used, probabilities, cam = python(PREDICT, tmp_path / "r/best.keras", backend=other)
            assert used == other
            np.testing.assert_allclose(probabilities, trained, atol=1e-4)
            maps.append(cam)  # Grad-CAM uses the gradient of each backend
    for cam in maps:
        np.testing.assert_allclose(cam, maps[0], atol=1e-2)


@pytest.mark.slow
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_dcgan_training_step_is_the_same_under_every_backend(backend, tmp_path):
    _, expected, logs = python(DCGAN, tmp_path / "start.keras", backend="tensorflow")
    used, weights, other_logs = python(DCGAN, tmp_path / "start.keras", backend=backend)
    assert used == backend
    assert logs == pytest.approx(other_logs, abs=1e-3)
    for ours, other in zip(expected, weights, strict=True):
        np.testing.assert_allclose(ours, other, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_two_devices_train_the_same_network_as_one(backend, videos_manifest, tmp_path):
    results = []
    for devices in (1, 2):
        flags = {"XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}"}
        folder = tmp_path / str(devices)
        arguments = (videos_manifest.folder, folder, backend, devices)
        results.append(python(DEVICES, *arguments, backend=backend, **flags))
    (before, one, one_log), (_, two, two_log) = results
    for ours, other in zip(one, two, strict=True):
        np.testing.assert_allclose(ours, other, atol=1e-6)
    assert any(
        not np.allclose(trained, start, atol=1e-4)
        for trained, start in zip(one, before, strict=True)
    )
    for name in ("val_loss", "val_log_loss"):
        np.testing.assert_allclose(one_log[name], two_log[name], rtol=1e-4)
    np.testing.assert_allclose(one_log["val_accuracy"], two_log["val_accuracy"], atol=1e-6)
