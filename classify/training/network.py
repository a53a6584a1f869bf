"""The network of a run, and its trainer: a model of the same layers with an optimizer."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from classify.backend import LEAST_PROBABILITY, dtype_policy, jit_compile
from classify.models import build, chosen_arch, freeze
from classify.training.settings import Phase, TrainSettings


@keras.saving.register_keras_serializable("classify")
class LogLoss(keras.metrics.Mean):  # type: ignore[misc]
    """The log loss of the probabilities alone, without penalties and weights.

    It is the counterpart of `metrics.log_loss` during training, computed in the same steps with
    every backend. Samples of weight 0 pad a batch and are ignored.
    """

    def __init__(self, name: str = "log_loss", dtype: str = "float32") -> None:
        super().__init__(name, dtype)  # not in half precision

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add samples: (n, k) targets and probabilities, with k = 1 for one sigmoid."""
        targets, predicted = (keras.ops.cast(values, "float32") for values in (y_true, y_pred))
        of_target = targets * predicted
        if predicted.shape[-1] == 1:
            of_target = of_target + (1 - targets) * (1 - predicted)
        probability = keras.ops.clip(keras.ops.sum(of_target, axis=-1), LEAST_PROBABILITY, 1)
        counted = None
        if sample_weight is not None:
            counted = keras.ops.cast(keras.ops.convert_to_tensor(sample_weight) > 0, "float32")
        super().update_state(-keras.ops.log(probability), counted)


def with_arch_defaults(settings: TrainSettings) -> TrainSettings:
    """Return the settings with the defaults of the architecture filled in.

    Raises:
        ModelError: an unknown architecture.
    """
    arch = chosen_arch(settings.arch)
    weights = settings.weights or ("imagenet" if arch.pretrained else "none")
    return replace(
        settings,
        weights=str(Path(weights).resolve()) if Path(weights).is_file() else weights,
        head=settings.head or arch.head,
        size=settings.size or arch.size,
    )


def build_network(settings: TrainSettings, classes: int) -> keras.Model:
    """Build the untrained or pretrained network of settings from `with_arch_defaults`.

    Raises:
        ModelError: as `models.build`.
    """
    keras.utils.set_random_seed(settings.seed)
    with dtype_policy(settings.mixed_precision):
        return build(
            settings.arch,
            classes,
            settings.size,
            settings.weights or "none",
            settings.head,
            output=settings.output,
            channels=settings.channels,
            dropout=settings.dropout,
            activation=settings.activation,
            stride=settings.stride,
        )


def compiled_trainer(
    network: keras.Model, phase: Phase, settings: TrainSettings, steps: int
) -> keras.Model:
    """Return a compiled model of the network's layers; the network itself has no optimizer."""
    freeze(network, phase.freeze, phase.freeze_batch_norm)
    with dtype_policy(settings.mixed_precision):
        trainer = keras.Model(network.inputs, network.outputs, name=network.name)
        average = {} if settings.ema is None else {"use_ema": True, "ema_momentum": settings.ema}
        adam = keras.optimizers.Adam(_rate(phase, settings, steps), **average)
        compile_for_here(trainer, adam, settings)
    return trainer


@contextmanager
def averaged_weights(trainer: keras.Model) -> Iterator[None]:
    """Replace the trained weights by the optimizer's moving averages within this block.

    They are restored exactly afterwards. Statistics of batch normalisation are not averaged.
    """
    weights = trainer.trainable_weights
    values = _copies(weights)
    use_averaged_weights(trainer)
    try:
        yield
    finally:
        for weight, value in zip(weights, values, strict=True):
            weight.assign(value)


def use_averaged_weights(trainer: keras.Model) -> None:
    """Replace the trained weights by the optimizer's moving averages, as `fit` does at its end."""
    weights = trainer.trainable_weights
    trainer.optimizer.finalize_variable_values(weights)
    # Under JAX, a weight would share its memory with the average, and a step deletes its inputs.
    for weight, value in zip(weights, _copies(weights), strict=True):
        weight.assign(value)


def _copies(weights: Sequence[keras.Variable]) -> list[npt.NDArray[Any]]:
    return [np.array(keras.ops.convert_to_numpy(weight)) for weight in weights]


def compile_for_here(
    trainer: keras.Model, optimizer: keras.optimizers.Optimizer, settings: TrainSettings
) -> None:
    """Compile a model with an optimizer for training on this machine."""
    entropy = "binary" if settings.output == "sigmoid" else "categorical"
    trainer.compile(
        optimizer=optimizer,
        loss=f"{entropy}_crossentropy",
        weighted_metrics=["accuracy", LogLoss()],
        jit_compile=jit_compile(settings.jit),
    )


def _rate(
    phase: Phase, settings: TrainSettings, steps: int
) -> float | keras.optimizers.schedules.LearningRateSchedule:
    if settings.schedule != "cosine":
        return phase.rate
    warmup = math.ceil(settings.warmup_epochs * steps)
    total = (phase.end - phase.first) * steps
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0 if warmup else phase.rate,
        decay_steps=max(total - warmup, 1),
        warmup_target=phase.rate if warmup else None,
        warmup_steps=warmup,
    )
