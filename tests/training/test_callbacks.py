"""Early stopping, learning rate and checkpoints during training."""

import dataclasses

import keras
import pytest

from classify.errors import LossError
from classify.training.callbacks import Checkpointer, FiniteLossGuard
from classify.training.settings import TrainSettings
from tests.helpers.runs import DATA, TINY, epochs, logged, make_batches


def test_a_plateau_halves_the_rate(tmp_path):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("adam", "mse")
    settings = TrainSettings(arch="sepconv", schedule="plateau", learning_rate=0.5, epochs=20)
    epochs = [logged(i, loss) for i, loss in enumerate([2, 1, 1, 1])]
    for finished, rate in ((0, 0.5), (2, 0.5), (3, 0.5), (4, 0.25)):
        checkpointer = Checkpointer(tmp_path, settings, model, epochs[:finished])
        checkpointer.set_model(model)
        checkpointer.on_epoch_begin(finished)
        assert float(model.optimizer.learning_rate) == pytest.approx(rate)


TWO_PHASES = TrainSettings(
    head_epochs=4, epochs=20, patience=2, learning_rate=0.5, schedule="plateau"
)


def test_losses_of_the_head_phase_neither_stop_fine_tuning_nor_lower_its_rate(tmp_path):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("adam", "mse")
    checkpointer = Checkpointer(tmp_path, TWO_PHASES, model, epochs(1.0, 2.0, 2.0, 2.0))
    checkpointer.set_model(model)
    assert not checkpointer.has_ended()
    checkpointer.on_epoch_begin(4)
    assert float(model.optimizer.learning_rate) == pytest.approx(0.05)
    checkpointer.epochs += [logged(4, 1.9), logged(5, 1.8)]
    assert not checkpointer.has_ended()
    checkpointer.epochs += [logged(6, 1.9), logged(7, 1.9)]
    assert checkpointer.has_ended()


def test_dropout_depends_only_on_seed_and_epoch(tmp_path):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dropout(0.5, seed=1)])
    model.compile("adam", "mse")

    def state(seed, epoch):
        settings = dataclasses.replace(TINY, seed=seed)
        checkpointer = Checkpointer(tmp_path, settings, model, [])
        checkpointer.set_model(model)
        checkpointer.on_epoch_begin(epoch)
        (variable,) = (v for v in model.variables if v.path.endswith("seed_generator_state"))
        return tuple(keras.ops.convert_to_numpy(variable).tolist())

    assert state(0, 3) == state(0, 3)
    assert len({state(0, 3), state(0, 4), state(1, 3)}) == 3


def test_of_several_batches_whose_loss_is_not_finite_the_first_is_named(tmp_path):
    """Asynchronous callbacks may receive the batches out of order."""
    batches = make_batches(DATA, 4)
    guard = FiniteLossGuard(batches, tmp_path)
    guard.set_model(keras.Sequential([keras.Input((2,))]))
    guard.on_train_batch_end(0, {"loss": 1.0})
    guard.check()
    for batch in (5, 3, 4):
        guard.on_train_batch_end(batch, {"loss": float("nan")})
    assert guard.model.stop_training
    with pytest.raises(LossError, match="after batch 4 of epoch 1"):
        guard.check()
    assert (tmp_path / "not-finite.txt").read_text().split() == batches.face_ids(0, 3)
