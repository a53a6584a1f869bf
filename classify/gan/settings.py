"""What decides the training of a DCGAN besides its pictures."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from classify.data.augment import PRESETS
from classify.errors import ClassifyError
from classify.training.settings import JIT, check_fields

SIZES = (16, 32, 64, 128, 256)  # of pictures, in pixels


@dataclass(frozen=True)
class GanSettings:
    """All that decides it.

    Size, batches and epochs are the DCGAN study's; latent, filters and β₁ the paper's on DCGANs,
    and so is the learning rate, for which the study has 0.002; the flips are ours.
    """

    size: int = 128  # side of the pictures, in pixels
    latent: int = 100  # numbers that a picture is made from
    filters: int = 64  # of the layers next to the picture; deeper ones have more
    epochs: int = 60
    batch_size: int = 64
    learning_rate: float = 0.0002  # of Adam, for both networks
    beta_1: float = 0.5  # of Adam: the paper's; Keras's own 0.9 oscillates
    augment: str = "flip"  # of the real pictures: a name from `augment.PRESETS`
    every: int = 10  # epochs between the generators that are kept
    mixed_precision: bool = False  # compute in half precision, for GPUs
    jit: str = "auto"  # "on" or "off": compile the training step
    seed: int = 0  # of weights, order, noise and flips

    def __post_init__(self) -> None:
        """Refuse what cannot be trained with."""
        least = {"latent": 1, "filters": 1, "epochs": 1, "batch_size": 2, "every": 1}
        check_fields(self, least, {"augment": tuple(PRESETS), "jit": JIT})
        if self.size not in SIZES:
            raise ClassifyError(f"size ({self.size}) must be one of {', '.join(map(str, SIZES))}")
        if not self.learning_rate > 0:
            raise ClassifyError(f"learning_rate ({self.learning_rate}) must be above 0")
        if not 0 <= self.beta_1 < 1:
            raise ClassifyError(f"beta_1 ({self.beta_1}) must be from 0 to below 1")

    def table(self) -> dict[str, Any]:
        """As a table of TOML."""
        return asdict(self)
