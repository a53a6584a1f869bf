"""Every registered network is built, trained for a step, saved and loaded in another process."""

import json
import subprocess
import sys

import keras
import numpy as np
import pytest

from classify.errors import ModelError
from classify.inference.gradcam import cams
from classify.models import ARCHITECTURES, backbone_of, build

IMAGES = np.random.default_rng(0).integers(0, 256, (2, 192, 192, 3), np.uint8)

PREDICT = """
import sys, json
import numpy as np
from pathlib import Path
from classify.training.runs import load_model
images = np.random.default_rng(0).integers(0, 256, (2, 192, 192, 3), np.uint8)
found = {}
for path in map(Path, sys.argv[1:]):
    model = load_model(path)
    size = model.input_shape[1]
    found[path.stem] = np.asarray(model(images[:, :size, :size], training=False)).tolist()
print(json.dumps(found))
"""


@pytest.mark.slow
def test_every_network_trains_a_step_and_predicts_the_same_in_a_fresh_process(tmp_path):
    expected = {}
    for arch, about in ARCHITECTURES.items():
        size = about.least
        model = build(arch, 2, size, head="gap" if about.pretrained else None)
        backbone = backbone_of(model)
        if backbone is not None:
            assert backbone.count_params() == about.parameters, arch
        images = IMAGES[:, :size, :size]
        model.compile("adam", "categorical_crossentropy", run_eagerly=True)
        before = [w.copy() for w in model.get_weights()]
        assert np.isfinite(model.train_on_batch(images, np.eye(2))), arch
        moved = [not np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True)]
        assert any(moved), arch
        model.save(tmp_path / f"{arch}.keras", include_optimizer=False)
        found = model(images, training=False)
        expected[arch] = keras.ops.convert_to_numpy(found)
        maps, probabilities = cams(model, images)
        assert maps.shape == (2, size, size), arch
        np.testing.assert_allclose(probabilities, expected[arch], atol=1e-4, err_msg=arch)
        keras.backend.clear_session()
    paths = [str(tmp_path / f"{arch}.keras") for arch in expected]
    output = subprocess.run(
        [sys.executable, "-c", PREDICT, *paths], capture_output=True, text=True, check=True
    ).stdout
    for arch, probabilities in json.loads(output.splitlines()[-1]).items():
        np.testing.assert_allclose(probabilities, expected[arch], atol=1e-5, err_msg=arch)


@pytest.mark.slow
@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_every_network_is_built_at_380_pixels(arch):
    about = ARCHITECTURES[arch]
    size = 128 if arch == "baseline" else 380  # where the baseline would have 2.6 billion weights
    model = build(arch, 5, size, head="gap" if about.pretrained else None)
    assert model.input_shape == (None, size, size, 3)
    assert model.output_shape == (None, 5)
    keras.backend.clear_session()


@pytest.mark.parametrize(
    "arch", [name for name, about in ARCHITECTURES.items() if about.least > 32]
)
def test_inputs_below_the_least_size_are_refused(arch):
    least = ARCHITECTURES[arch].least
    with pytest.raises(
        ModelError, match=f"{arch} needs an input of at least {least} pixels: --size"
    ):
        build(arch, 5, least - 1, head="gap" if ARCHITECTURES[arch].pretrained else None)


def test_the_least_sizes_are_the_smallest_possible():
    """One pixel less, and a layer of the network has no input left."""
    for name in ("InceptionResNetV2", "InceptionV3", "Xception"):
        side = ARCHITECTURES[name.lower()].least - 1
        with pytest.raises(ValueError, match=r"at least|>= "):
            getattr(keras.applications, name)(
                include_top=False, weights=None, input_shape=(side, side, 3)
            )
    cnn6 = ARCHITECTURES["cnn6"]
    x = keras.Input((cnn6.least - 1, cnn6.least - 1, 3))
    with pytest.raises(ValueError, match="size"):
        for layer in cnn6.layers():
            x = layer(x)
