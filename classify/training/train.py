"""Configuration and manifest to a trained run folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import keras
import numpy as np

from classify.backend import data_parallel, dtype_policy, replicas, warps_on_device
from classify.data.augment import PRESETS
from classify.data.batches import IN_ORDER, Batches, class_balanced_weights
from classify.data.pack import Packed, ProgressFactory, Share, pack
from classify.errors import ClassifyError, LossError, RunEndedError, RunError
from classify.models import chosen_arch, freeze
from classify.training import checkpoints, curves
from classify.training.callbacks import Checkpointer, FiniteLossGuard
from classify.training.checkpoints import Epoch
from classify.training.network import (
    build_network,
    compile_for_here,
    compiled_trainer,
    with_arch_defaults,
)
from classify.training.run_folder import check_free, note_resumption
from classify.training.runs import Run, faces_of
from classify.training.settings import TrainSettings, phases
from ffpp_tools.files import delete_temporary_files, write_atomically
from ffpp_tools.splits.manifest import Manifest
from ffpp_tools.store.incomplete import mark
from ffpp_tools.store.locks import folder_lock

COMMAND = "classify train"
# What is there before the first epoch is finished; without one, a folder may be begun anew.
BEGINNING = ("environment.json", "faces.json", "config.toml", "not-finite.txt", "tensorboard")
# Makes a context with the callback that shows a training of some settings.
DisplayFactory = Callable[[TrainSettings], AbstractContextManager[keras.callbacks.Callback]]


@data_parallel()
def train(
    manifest_folder: Path,
    folder: Path,
    settings: TrainSettings = TrainSettings(),  # noqa: B008 (frozen)
    callbacks: Sequence[keras.callbacks.Callback] = (),
    progress: ProgressFactory | None = None,
) -> Run:
    """Train a network on a manifest, as the paper does unless told otherwise.

    Adam; stops when the validation log loss has not fallen for `patience` epochs; best.keras is
    the epoch of its lowest value (`TrainSettings.monitor`). The test split is not read. After every
    epoch log.csv and last.keras tell all that `resume` needs.

    Args:
        manifest_folder: what `ffpp-split` wrote.
        folder: the run folder to make.
        settings: network, weights, and how to train.
        callbacks: further ones, such as `display.Display` or Keras's TensorBoard.
        progress: as `pack.pack` takes it.

    Raises:
        ClassifyError: a crop that is gone, weights that do not fit, a used folder, a loss that is
            not finite.
        TableError: no manifest there, or its dataset has changed.
    """
    check_free(folder, COMMAND)
    manifest = Manifest.read(manifest_folder)
    settings = with_arch_defaults(settings)
    # Everything that can fail for want of data or weights comes before the folder is made.
    if settings.batch_size % replicas():
        raise ClassifyError(
            f"batch_size ({settings.batch_size}) must be a multiple of the {replicas()} devices"
        )
    network = build_network(settings, len(manifest.classes))
    for phase in phases(settings):
        freeze(network, phase.freeze, phase.freeze_batch_norm)
    data = _packed(manifest, settings, progress)
    faces = faces_of(manifest)
    run = Run.of(folder, settings, manifest)
    with folder_lock(folder, COMMAND):
        check_free(folder, COMMAND)  # nobody has been quicker
        mark(folder, COMMAND, BEGINNING)
        run.keep_faces(faces)
        run.create()
        _fit(run, manifest, data, Checkpointer(folder, settings, network, []), callbacks)
    return run


@data_parallel()
def resume(
    folder: Path,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    progress: ProgressFactory | None = None,
) -> Run:
    """Go on with a training that was interrupted, after its last finished epoch.

    On the same CPU it ends with the very weights that it would have had.

    Raises:
        RunEndedError: nothing is left to train.
        ClassifyError: no run there, or a damaged checkpoint.
        TableError: its manifest is gone or has changed.
    """
    run = Run.read(folder)
    with folder_lock(folder, COMMAND):
        delete_temporary_files(folder)
        return _resumed(run, callbacks, progress)


def _resumed(
    run: Run, callbacks: Sequence[keras.callbacks.Callback], progress: ProgressFactory | None
) -> Run:
    folder, manifest = run.folder, run.manifest
    with dtype_policy(
        run.settings.mixed_precision
    ):  # without it Keras forgets the scale of the loss
        trainer, epochs = checkpoints.read_last(folder, Epoch)
    if trainer is None:
        run.check_weights()
        keeper = Checkpointer(
            folder, run.settings, build_network(run.settings, len(manifest.classes)), []
        )
    else:
        network = keras.Model(trainer.inputs, trainer.outputs, name=trainer.name)
        keeper = Checkpointer(folder, run.settings, network, epochs, trainer)
        keeper.follow_last()
        if keeper.has_ended():
            raise RunEndedError(
                f"{folder}: this training has ended after {len(epochs)} epochs; for a longer one "
                f"train another run with more --epochs"
            )
        compile_for_here(trainer, trainer.optimizer, run.settings)
    data = _packed(manifest, run.settings, progress)
    run.keep_faces(faces_of(manifest))
    _fit(run, manifest, data, keeper, callbacks)
    return run


def train_or_resume(
    manifest_folder: Path,
    folder: Path,
    settings: TrainSettings,
    watch: DisplayFactory | None = None,
    progress: ProgressFactory | None = None,
) -> Run:
    """Whatever is left to do for a run of these settings: all, the rest, or nothing.

    Args:
        manifest_folder: as `train` takes it; so are those not named here.
        folder: the run folder, which may be there.
        settings: of the run.
        watch: makes what shows a training of these settings.
        progress: as `train` takes it.

    Raises:
        RunError: the folder holds a run of other settings or of another manifest.
        ClassifyError, TableError: as `train`.
    """
    run = Run.read(folder) if (folder / "config.toml").exists() else None
    if run and not (
        run.settings == with_arch_defaults(settings) and run.is_of(Manifest.read(manifest_folder))
    ):
        raise RunError(f"{folder} holds a run of other settings or data; choose another --out")
    keras.utils.clear_session()  # of the networks trained before
    with watch(settings) if watch else nullcontext() as shown:
        callbacks = [shown] if shown else []
        if run is None:
            return train(manifest_folder, folder, settings, callbacks, progress)
        try:
            return resume(folder, callbacks, progress)
        except RunEndedError:
            if not (folder / "best.keras").exists():
                raise LossError(f"{folder}: the validation loss was never finite") from None
            return run


def _packed(
    manifest: Manifest, settings: TrainSettings, progress: ProgressFactory | None
) -> tuple[Packed, Packed | None]:
    """What is trained on, and what validates."""
    size = settings.size or chosen_arch(settings.arch).size

    def packed(split: str) -> Packed:
        return pack(manifest, split, size, progress, Share(settings.fraction, settings.seed))

    return (packed("train+val"), None) if settings.refit else (packed("train"), packed("val"))


def _fit(
    run: Run,
    manifest: Manifest,
    data: tuple[Packed, Packed | None],
    keeper: Checkpointer,
    callbacks: Sequence[keras.callbacks.Callback],
) -> None:
    """Train to the end, phase by phase, from where the keeper stands.

    Raises:
        LossError: the loss of a batch, or of validation in every epoch, is not finite.
    """
    settings, classes = run.settings, len(manifest.classes)
    train_data, val_data = data
    validation = None if val_data is None else _in_order(val_data, settings, classes)
    if keeper.epochs:
        note_resumption(run.folder, len(keeper.epochs))
    for phase in phases(settings):
        start = len(keeper.epochs)
        if start >= phase.end:
            continue
        batches = _shuffled(train_data, settings, classes, start)
        if keeper.trainer is None or start == phase.first:
            keeper.trainer = compiled_trainer(keeper.network, phase, settings, len(batches))
        keeper.batches = batches
        guard = FiniteLossGuard(batches, run.folder)
        keeper.trainer.fit(
            batches,
            validation_data=validation,
            initial_epoch=start,
            epochs=phase.end,
            shuffle=False,
            verbose=0,
            callbacks=[keeper, guard, *callbacks],
        )
        guard.check()
    if not (run.folder / "best.keras").exists():
        write_atomically(run.folder / "not-finite.txt", b"the validation loss, always\n")
        raise LossError(
            f"{run.folder}: the validation loss was never finite; try a lower --learning-rate"
        )
    (run.folder / "not-finite.txt").unlink(missing_ok=True)  # of an attempt before
    write_atomically(
        run.folder / "learning.png", curves.image(curves.learning(run.log, run.kept_epoch), "png")
    )


def _shuffled(data: Packed, settings: TrainSettings, classes: int, epoch: int) -> Batches:
    """What is trained on, from an epoch on."""
    return Batches(
        data,
        _targets(data, settings, classes),
        settings.batch_size,
        settings.seed,
        PRESETS[settings.augment],
        sampling=settings.sampling,
        weights=class_balanced_weights(data.labels, classes) if settings.class_weights else None,
        epoch=epoch,
        devices=replicas(),
        on_device=warps_on_device(),
    )


def _in_order(data: Packed, settings: TrainSettings, classes: int) -> Batches:
    """What validates: every crop once, as it is."""
    targets = _targets(data, settings, classes)
    return Batches(
        data, targets, settings.batch_size, settings.seed, sampling=IN_ORDER, devices=replicas()
    )


def _targets(data: Packed, settings: TrainSettings, classes: int) -> np.ndarray:
    """What the network is to say: one-hot rows, or 1 for the first of two classes."""
    one_hot = np.eye(classes, dtype=np.float32)[data.labels]
    return one_hot[:, :1] if settings.output == "sigmoid" else one_hot
