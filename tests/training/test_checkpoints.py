import math
import zipfile

import keras
import numpy as np
import pytest

from classify.errors import RunError
from classify.training.checkpoints import (
    Epoch,
    is_best,
    plateau_drops,
    read_last,
    save,
    save_last,
    stalled,
    write_log,
)
from ffpp_tools.errors import FfppError
from tests.helpers.runs import epochs, logged


def bests(*losses):
    return [is_best(epochs(*losses)[: i + 1], "val_loss") for i in range(len(losses))]


def test_the_best_epoch_has_the_lowest_validation_loss_so_far():
    assert bests(3.0, 1.0, 2.0, 0.5, 0.5) == [True, True, False, True, False]


def test_a_loss_that_is_not_finite_is_never_the_best_and_does_not_block_later_epochs():
    assert bests(math.nan, 2.0, math.inf, 1.0) == [False, True, False, True]


def test_the_monitor_selects_the_loss_that_must_fall():
    """The loss falls because of its penalties, while the log loss rises."""
    rows = [logged(0, 14.0, 1.5), logged(1, 13.0, 1.7), logged(2, 12.0, 1.9)]
    best = {m: [is_best(rows[: i + 1], m) for i in range(3)] for m in ("val_loss", "val_log_loss")}
    assert best == {"val_loss": [True, True, True], "val_log_loss": [True, False, False]}
    assert not stalled(rows, 0, 2, "val_loss")
    assert stalled(rows, 0, 2, "val_log_loss")
    assert plateau_drops(rows, 2, "val_loss") == 0
    assert plateau_drops(rows, 2, "val_log_loss") == 1


def test_without_validation_the_last_epoch_is_the_best():
    assert bests(None, None, None) == [True, True, True]
    assert not stalled(epochs(None, None, None, None), 0, 1, "val_loss")


@pytest.mark.parametrize(
    ("losses", "patience", "expected"),
    [
        ((3.0, 2.0, 2.1, 2.2), 2, True),
        ((3.0, 2.0, 2.1), 2, False),
        ((3.0, 2.0, 2.0, 2.0), 2, True),  # equal is not lower
        ((1.0, math.nan, math.nan), 2, True),
        ((1.0, 2.0), 0, True),
        ((2.0, 1.0), 0, False),
    ],
)
def test_training_stalls_when_the_loss_has_not_fallen_for_patience_epochs(
    losses, patience, expected
):
    assert stalled(epochs(*losses), 0, patience, "val_loss") is expected


def test_losses_of_the_head_phase_do_not_stop_fine_tuning():
    assert stalled(epochs(1.0, 5.0, 5.1, 5.2), 0, 2, "val_loss")
    assert not stalled(epochs(1.0, 5.0, 4.9, 4.8), 1, 2, "val_loss")


def test_the_count_of_a_plateau_restarts_after_every_drop():
    assert plateau_drops(epochs(1.0, 1.1, 1.2), 2, "val_loss") == 1
    assert plateau_drops(epochs(1.0, 1.1, 1.2, 1.3), 2, "val_loss") == 1
    assert plateau_drops(epochs(1.0, 1.1, 1.2, 1.3, 1.4), 2, "val_loss") == 2
    assert plateau_drops(epochs(1.0, 1.1, 0.9, 1.0), 2, "val_loss") == 0
    assert plateau_drops(epochs(1.0, 1.0, 1.0), 2, "val_loss") == 1  # equal is not lower
    assert plateau_drops(epochs(math.nan, 3.0, 2.0, 1.0, 0.9, 0.8), 2, "val_loss") == 0
    assert plateau_drops(epochs(3.0, math.nan, 2.0, 1.0, 0.9), 2, "val_loss") == 0


@pytest.fixture
def trained():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model.compile("adam", "mse", jit_compile=False)
    model.fit(np.ones((4, 3)), np.ones((4, 2)), verbose=0)
    return model


@pytest.mark.parametrize("val_loss", [0.25, None])
def test_a_checkpoint_holds_network_optimizer_and_log(trained, tmp_path, val_loss):
    write_log(tmp_path, epochs(val_loss, val_loss))
    save_last(tmp_path, trained, epochs(val_loss, val_loss))
    found, rows = read_last(tmp_path, Epoch)
    assert rows == epochs(val_loss, val_loss)
    for mine, kept in zip(found.get_weights(), trained.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, kept)
    kept = [keras.ops.convert_to_numpy(v) for v in trained.optimizer.variables]
    for mine, old in zip(found.optimizer.variables, kept, strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(mine), old)
    assert {p.name for p in tmp_path.iterdir()} == {"log.csv", "last.keras"}


def test_a_non_finite_validation_loss_survives_saving(trained, tmp_path):
    save_last(tmp_path, trained, epochs(2.0, math.nan, 1.0))
    _, rows = read_last(tmp_path, Epoch)
    assert math.isnan(rows[1].val_loss)
    assert is_best(rows, "val_loss")
    save_last(tmp_path, trained, epochs(math.nan))
    _, rows = read_last(tmp_path, Epoch)
    assert rows[0].val_loss is not None
    assert not is_best(rows, "val_loss")


def test_an_optimizer_state_that_does_not_fit_is_refused(trained, tmp_path):
    save_last(tmp_path, trained, epochs(1.0))
    trained.optimizer = keras.optimizers.SGD()
    other = tmp_path / "other"
    other.mkdir()
    save_last(other, trained, epochs(1.0))
    with zipfile.ZipFile(other / "last.keras") as donor:
        weights = donor.read("model.weights.h5")
    with zipfile.ZipFile(tmp_path / "last.keras") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(tmp_path / "last.keras", "w") as archive:
        for name, data in (members | {"model.weights.h5": weights}).items():
            archive.writestr(name, data)
    with pytest.raises(RunError, match="optimizer"):
        read_last(tmp_path, Epoch)


def test_the_best_checkpoint_is_saved_without_the_optimizer(trained, tmp_path):
    network = keras.Model(trained.inputs, trained.outputs)
    save(tmp_path / "best.keras", network)
    save_last(tmp_path, trained, epochs(1.0))
    assert not keras.models.load_model(tmp_path / "best.keras").compiled
    sizes = [(tmp_path / name).stat().st_size for name in ("best.keras", "last.keras")]
    assert sizes[0] < sizes[1]


def test_a_crash_while_saving_leaves_the_previous_checkpoint(trained, tmp_path, monkeypatch):
    save_last(tmp_path, trained, epochs(1.0))
    monkeypatch.setattr("zipfile.ZipFile.writestr", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        save_last(tmp_path, trained, epochs(1.0, 2.0))
    monkeypatch.undo()
    assert read_last(tmp_path, Epoch)[1] == epochs(1.0)


def test_a_full_disk_is_reported_with_the_file_and_leaves_the_previous_checkpoint(
    trained, tmp_path, monkeypatch
):
    def full(*_):
        raise OSError(28, "No space left on device")  # as `write` does, without a name

    save(tmp_path / "best.keras", trained)
    save_last(tmp_path, trained, epochs(1.0))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with monkeypatch.context() as broken:
        broken.setattr("zipfile.ZipFile.writestr", full)
        message = r"/last\.keras: cannot be written \(No space left on device\)"
        with pytest.raises(FfppError, match=message):
            save_last(tmp_path, trained, epochs(1.0, 2.0))
        with pytest.raises(FfppError, match=message.replace("last", "best")):
            save(tmp_path / "best.keras", trained)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_damaged_checkpoint_is_named(tmp_path):
    assert read_last(tmp_path, Epoch) == (None, [])
    (tmp_path / "last.keras").write_bytes(b"garbage")
    with pytest.raises(RunError, match=r"last\.keras: damaged"):
        read_last(tmp_path, Epoch)
