"""Model files that declare more than they store are refused before memory is allocated."""

import io
import json
import zipfile

import h5py
import keras
import numpy as np
import pytest

from classify.errors import RunError
from classify.training.checkpoints import Epoch, read_last
from classify.training.run_folder import LOG, restore_log
from classify.training.runs import load_model

MEBIBYTE = 1 << 20


@pytest.fixture(scope="module")
def members(tmp_path_factory):
    """The members of the file of a small compiled network, by name."""
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4)])
    model.compile("adam", "mse", weighted_metrics=["accuracy"], jit_compile=False)
    model.fit(np.ones((2, 8)), np.ones((2, 4)), verbose=0)
    path = tmp_path_factory.mktemp("saved") / "whole.keras"
    model.save(path)
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def written(path, members, packed=False):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED if packed else 0) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def wide(members):
    """A layer of ten million units, which the file does not store."""
    config = members["config.json"].replace(b'"units": 4', b'"units": 10000000')
    assert config != members["config.json"]
    return {**members, "config.json": config}


def endless(members):
    """An array that takes no space until it is read."""
    data = io.BytesIO(members["model.weights.h5"])
    with h5py.File(data, "r+") as file:
        stored = file["layers/dense/vars"]
        del stored["0"]
        stored.create_dataset("0", (1 << 40,), "f4", chunks=(MEBIBYTE,), fillvalue=1)
    return {**members, "model.weights.h5": data.getvalue()}


def measured(name, **settings):
    """A metric that takes memory when training resumes."""

    def change(members):
        config = json.loads(members["config.json"])
        metric = {"module": "keras.metrics", "class_name": name, "registered_name": None}
        config["compile_config"]["metrics"] = [{**metric, "config": settings}]
        return {**members, "config.json": json.dumps(config)}

    return change


def padded(members):
    return {**members, "model.weights.h5": members["model.weights.h5"] + bytes(40 * MEBIBYTE)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (padded, "unpacked it would be 41,9"),
        (wide, "needs at least 320,000,000 bytes of weights"),
        (endless, "its arrays would take 4,398,046,5"),
        (measured("MeanIoU", num_classes=10**5), "needs at least 40,000,000,144 bytes of weights"),
        (measured("AUC", num_thresholds=10**9), "configuration has a number above 16,777,216"),
    ],
)
def test_a_network_that_would_fill_the_memory_is_refused(change, message, members, tmp_path):
    path = written(tmp_path / "bomb.keras", change(members), packed=True)
    assert path.stat().st_size < MEBIBYTE
    with pytest.raises(RunError, match=rf"bomb\.keras: not a Keras model .*{message}"):
        load_model(path, compiled=True)


def test_a_recompressed_file_is_read(members, tmp_path):
    one = load_model(written(tmp_path / "stored.keras", members), compiled=True)
    other = load_model(written(tmp_path / "packed.keras", members, packed=True), compiled=True)
    for mine, theirs in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_a_layer_with_an_output_of_gigabytes_is_refused(tmp_path):
    layers = keras.layers
    inner = keras.Sequential([keras.Input((8, 8, 3)), layers.UpSampling2D(4000)])
    inputs = keras.Input((8, 8, 3))
    keras.Model(inputs, inner(inputs)).save(tmp_path / "b.keras")
    with pytest.raises(RunError, match=r"up_sampling2d.* outputs an array of \(32000, 32000, 3\)"):
        load_model(tmp_path / "b.keras")


def test_a_log_that_unpacks_to_gigabytes_is_refused_and_not_restored(members, tmp_path):
    bomb = {**members, LOG: b"epoch\n" + bytes(40 * MEBIBYTE)}
    written(tmp_path / "last.keras", bomb, packed=True)
    with pytest.raises(RunError, match=r"last\.keras: damaged \(unpacked it would be 41,9"):
        read_last(tmp_path, Epoch)
    (tmp_path / LOG).write_text("mine")
    restore_log(tmp_path)
    assert (tmp_path / LOG).read_text() == "mine"


def test_the_error_for_a_damaged_file_is_one_short_line(members, tmp_path):
    config = members["config.json"].replace(b'"Dense"', b'"' + b"Danse" * 1000 + b'"')
    with pytest.raises(RunError) as refused:
        load_model(written(tmp_path / "b.keras", {**members, "config.json": config}))
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 400 + len(str(tmp_path))
