"""Train a network on a manifest, in a run folder that can be resumed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt

from classify.backend import data_parallel, dtype_policy, replicas, warps_on_device
from classify.data.augment import PRESETS
from classify.data.batches import Batches
from classify.data.blend_units import Blending, training_sampler
from classify.data.landmarks import landmarks, usable
from classify.data.pack import Packed, ProgressFactory, Share, pack
from classify.data.sampling import IN_ORDER, sampler
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
from classify.training.runs import Run, faces_of, trained_classes
from classify.training.settings import BLENDED, TrainSettings, phases
from ffpp_tools.console import print_line
from ffpp_tools.files import delete_temporary_files, write_atomically
from ffpp_tools.splits.manifest import Manifest
from ffpp_tools.store.incomplete import mark
from ffpp_tools.store.locks import folder_lock

COMMAND = "classify train"
# Files written before the first epoch has finished; until then, a folder may be started over.
BEGINNING = ("environment.json", "faces.json", "config.toml", "not-finite.txt", "tensorboard")
# Takes settings; returns a context manager that gives the callback displaying their training run.
DisplayFactory = Callable[[TrainSettings], AbstractContextManager[keras.callbacks.Callback]]


@data_parallel()
def train(
    manifest_folder: Path,
    folder: Path,
    settings: TrainSettings = TrainSettings(),  # noqa: B008 (frozen)
    callbacks: Sequence[keras.callbacks.Callback] = (),
    progress: ProgressFactory | None = None,
) -> Run:
    """Train a network on a manifest, by default as in the paper.

    The optimizer is Adam. Training stops early when the validation log loss has not fallen for
    `patience` epochs; best.keras holds the epoch of its lowest value (`TrainSettings.monitor`). The
    test split is not read. After every epoch, log.csv and last.keras contain all that `resume`
    needs.

    Args:
        manifest_folder: a folder written by `ffpp-split`.
        folder: the run folder to create.
        settings: network, weights and training.
        callbacks: additional callbacks, such as `display.Display` or Keras's TensorBoard.
        progress: progress bar factory, see `pack.ProgressFactory`.

    Raises:
        ClassifyError: a crop is missing, the weights do not fit, the folder is not empty, or a loss
            is not finite.
        TableError: the manifest is missing, or its dataset has changed.
    """
    check_free(folder, COMMAND)
    manifest = Manifest.read(manifest_folder)
    settings = with_arch_defaults(settings)
    # Everything that can fail because of data or weights runs before the folder is created.
    if settings.batch_size % replicas():
        raise ClassifyError(
            f"batch_size ({settings.batch_size}) must be a multiple of the {replicas()} devices"
        )
    network = build_network(settings, len(trained_classes(manifest, settings)))
    for phase in phases(settings):
        freeze(network, phase.freeze, phase.freeze_batch_norm)
    batches = _batches(manifest, settings, progress)
    faces = faces_of(manifest, settings)
    run = Run.of(folder, settings, manifest)
    with folder_lock(folder, COMMAND):
        check_free(folder, COMMAND)  # another process may have been faster
        mark(folder, COMMAND, BEGINNING)
        run.keep_faces(faces)
        run.create()
        _fit(run, batches, Checkpointer(folder, settings, network, []), callbacks)
    return run


@data_parallel()
def resume(
    folder: Path,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    progress: ProgressFactory | None = None,
) -> Run:
    """Resume an interrupted training run after its last finished epoch.

    On the same CPU, the final weights are identical to those of an uninterrupted run.

    Raises:
        RunEndedError: nothing is left to train.
        ClassifyError: the folder has no run, or a checkpoint is damaged.
        TableError: the manifest is missing or has changed.
    """
    run = Run.read(folder)
    with folder_lock(folder, COMMAND):
        delete_temporary_files(folder)
        return _resumed(run, callbacks, progress)


def _resumed(
    run: Run, callbacks: Sequence[keras.callbacks.Callback], progress: ProgressFactory | None
) -> Run:
    folder, manifest = run.folder, run.manifest
    with dtype_policy(run.settings.mixed_precision):  # otherwise Keras loses the loss scale
        trainer, epochs = checkpoints.read_last(folder, Epoch)
    if trainer is None:
        run.check_weights()
        classes = trained_classes(manifest, run.settings)
        checkpointer = Checkpointer(
            folder, run.settings, build_network(run.settings, len(classes)), []
        )
    else:
        network = keras.Model(trainer.inputs, trainer.outputs, name=trainer.name)
        checkpointer = Checkpointer(folder, run.settings, network, epochs, trainer)
        checkpointer.follow_last()
        if checkpointer.has_ended():
            raise RunEndedError(
                f"{folder}: this run has ended after {len(epochs)} epochs; to train longer, "
                f"start another run with more --epochs"
            )
        compile_for_here(trainer, trainer.optimizer, run.settings)
    batches = _batches(manifest, run.settings, progress)
    run.keep_faces(faces_of(manifest, run.settings))
    _fit(run, batches, checkpointer, callbacks)
    return run


def train_or_resume(
    manifest_folder: Path,
    folder: Path,
    settings: TrainSettings,
    watch: DisplayFactory | None = None,
    progress: ProgressFactory | None = None,
) -> Run:
    """Train a run, resume it, or return it if it has finished.

    Args:
        manifest_folder: a folder written by `ffpp-split`.
        folder: the run folder, which may exist.
        settings: settings of the run.
        watch: creates the display of the training run.
        progress: progress bar factory, see `pack.ProgressFactory`.

    Raises:
        RunError: the folder holds a run with other settings or another manifest.
        ClassifyError, TableError: as in `train`.
    """
    run = Run.read(folder) if (folder / "config.toml").exists() else None
    if run and not (
        run.settings == with_arch_defaults(settings) and run.is_of(Manifest.read(manifest_folder))
    ):
        raise RunError(f"{folder} holds a run with other settings or data; choose another --out")
    keras.utils.clear_session()  # free the networks trained before
    with watch(settings) if watch else nullcontext() as display:
        callbacks = [display] if display else []
        if run is None:
            return train(manifest_folder, folder, settings, callbacks, progress)
        try:
            return resume(folder, callbacks, progress)
        except RunEndedError:
            if not (folder / "best.keras").exists():
                raise LossError(f"{folder}: the validation loss was never finite") from None
            return run


@dataclass(frozen=True)
class _Batches:
    """The batches of a training run; their class indices are those of the network."""

    train: Batches
    val: Batches | None  # None for a refit


def _batches(
    manifest: Manifest, settings: TrainSettings, progress: ProgressFactory | None
) -> _Batches:
    """Return the batches of training and validation.

    Raises:
        CropError, PackError: as in `pack` and `landmarks`.
        ClassifyError: as in `blend_units.training_sampler`.
        TableError: the manifest is damaged, or the crops of its dataset have changed.
    """
    size = settings.size or chosen_arch(settings.arch).size
    share = Share(settings.fraction, settings.seed)
    classes = list(trained_classes(manifest, settings))
    index_of = np.array([classes.index(name) for name in manifest.classes])  # of the network

    def packed(split: str) -> Packed:
        data = pack(manifest, split, size, progress, share)
        return replace(data, labels=index_of[data.labels])

    split = "train+val" if settings.refit else "train"
    crops = packed(split)
    held_out = None if settings.refit else packed("val")
    blending = None
    if settings.blend:
        label = classes.index(BLENDED if settings.blend_class else "fake")
        points = landmarks(manifest, split, progress, share)
        reals, fit = int((crops.samples["label"] == "real").sum()), int(usable(points).sum())
        if fit < reals:
            print_line(
                f"{reals - fit} of {reals} real crops have no usable landmarks and are not blended"
            )
        target = _targets(np.array([label]), settings, len(classes))[0]
        blending = Blending(settings.blend, points, target, label)
    return _Batches(
        _training_batches(crops, blending, settings, len(classes)),
        None if held_out is None else _validation_batches(held_out, settings, len(classes)),
    )


def _fit(
    run: Run,
    batches: _Batches,
    checkpointer: Checkpointer,
    callbacks: Sequence[keras.callbacks.Callback],
) -> None:
    """Train to the end, phase by phase, after the epochs of the checkpointer.

    Raises:
        LossError: the loss of a batch, or of validation in every epoch, is not finite.
    """
    if checkpointer.epochs:
        note_resumption(run.folder, len(checkpointer.epochs))
    checkpointer.batches = batches.train
    guard = FiniteLossGuard(batches.train, run.folder)
    for phase in phases(run.settings):
        start = len(checkpointer.epochs)
        if start >= phase.end:
            continue
        batches.train.epoch = start  # Keras reads a batch before the first epoch begins
        if checkpointer.trainer is None or start == phase.first:
            checkpointer.trainer = compiled_trainer(
                checkpointer.network, phase, run.settings, len(batches.train)
            )
        checkpointer.trainer.fit(
            batches.train,
            validation_data=batches.val,
            initial_epoch=start,
            epochs=phase.end,
            shuffle=False,
            verbose=0,
            callbacks=[checkpointer, guard, *callbacks],
        )
        guard.check()
    if not (run.folder / "best.keras").exists():
        write_atomically(run.folder / "not-finite.txt", b"the validation loss of every epoch\n")
        raise LossError(
            f"{run.folder}: the validation loss was never finite; try a lower --learning-rate"
        )
    (run.folder / "not-finite.txt").unlink(missing_ok=True)  # of an earlier attempt
    write_atomically(
        run.folder / "learning.png", curves.image(curves.learning(run.log, run.kept_epoch), "png")
    )


def _training_batches(
    data: Packed, blending: Blending | None, settings: TrainSettings, classes: int
) -> Batches:
    """Return the training batches: crops of the settings' sampling, augmented.

    Raises:
        ClassifyError: as in `blend_units.training_sampler`.
    """
    chosen = training_sampler(
        settings.sampling,
        data.samples,
        settings.batch_size,
        replicas(),
        settings.unpaired,
        blending,
    )
    return Batches(
        data,
        _targets(data.labels, settings, classes),
        chosen,
        settings.seed,
        PRESETS[settings.augment],
        blending=blending,
        equal_classes=settings.class_weights or settings.blend_class,
        on_device=warps_on_device(),
    )


def _validation_batches(data: Packed, settings: TrainSettings, classes: int) -> Batches:
    """Return the validation batches: every crop once, unmodified."""
    targets = _targets(data.labels, settings, classes)
    in_order = sampler(IN_ORDER, data.samples, settings.batch_size, replicas())
    return Batches(data, targets, in_order, settings.seed)


def _targets(
    labels: npt.NDArray[np.int64], settings: TrainSettings, classes: int
) -> npt.NDArray[np.float32]:
    """Return the targets of the network: one-hot rows, or 1 for the first of two classes."""
    one_hot = np.eye(classes, dtype=np.float32)[labels]
    return one_hot[:, :1] if settings.output == "sigmoid" else one_hot
