"""Training progress: a bar on a terminal, and a line per epoch everywhere."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import keras
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from classify.training.checkpoints import MEASURES
from classify.training.settings import TrainSettings
from ffpp_tools.console import LINE_S, console, print_line


class Display(keras.callbacks.Callback):  # type: ignore[misc]
    """Shows images per second, loss, accuracy and the remaining time.

    A context manager that restores the terminal on exit, also after an error.
    """

    async_safe = True

    def __init__(
        self,
        epochs: int,
        batch_size: int,
        measures: Sequence[str] = MEASURES,
    ) -> None:
        """Show these metrics of a training run.

        Args:
            epochs: maximum number of epochs.
            batch_size: images per step, unless the callbacks' parameter `crops_per_epoch` tells:
                batches of whole pairs are smaller than the setting of this name.
            measures: names of the metrics.
        """
        super().__init__()
        self._measures = measures
        self._epochs = epochs
        self._batch_size = batch_size
        self._started = self._printed_at = 0.0
        self._took: list[float] = []
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[text]}"),
        )
        self._bar = Progress(
            *columns, console=console, transient=True, disable=not console.is_terminal
        )
        self._task = self._bar.add_task("", text="", visible=False)

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Reset the bar."""
        self._started = self._printed_at = time.perf_counter()
        steps = self.params["steps"]
        name = f"epoch {epoch + 1}/{self._epochs}"
        self._bar.reset(self._task, total=steps, description=name, text="", visible=True)

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Advance the bar."""
        took = time.perf_counter() - self._started
        steps = self.params["steps"]
        images = self.params.get("crops_per_epoch", steps * self._batch_size)
        rate = (batch + 1) / steps * images / took
        left = took / (batch + 1) * (steps - batch - 1)
        text = f"{rate:.0f} images/s  {self._metrics_text(logs or {})}"
        text += f"  {_duration(left)} left in this epoch"
        self._bar.update(self._task, completed=batch + 1, text=text)
        if not console.is_terminal and time.perf_counter() - self._printed_at >= LINE_S:
            print_line(f"  step {batch + 1}/{steps}  {text}")
            self._printed_at = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Print a line."""
        self._took.append(time.perf_counter() - self._started)
        remaining = self._epochs - epoch - 1
        left = remaining * sum(self._took) / len(self._took)
        line = f"epoch {epoch + 1}/{self._epochs}  {self._metrics_text(logs or {})}"
        line += f"  {self._took[-1]:.0f} s"
        print_line(f"{line}, at most {_duration(left)} left" if remaining else line)

    def _metrics_text(self, logs: dict[str, float]) -> str:
        return "  ".join(f"{name} {logs[name]:.3f}" for name in self._measures if name in logs)

    def __enter__(self) -> Display:
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()


def training_display(settings: TrainSettings) -> Display:
    """Print the settings that differ from the defaults, and return the display of the run."""
    differing = {k: v for k, v in settings.table().items() if v != getattr(TrainSettings(), k)}
    print_line(", ".join(f"{name} {value}" for name, value in differing.items()), style="bold")
    return Display(settings.epochs, settings.batch_size)


def _duration(duration_s: float) -> str:
    """Format a duration as hours, minutes and seconds.

    >>> _duration(3725), _duration(65)
    ('1:02:05', '1:05')
    """
    minutes, seconds = divmod(round(duration_s), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
