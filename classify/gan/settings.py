"""Settings of a DCGAN's training."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, get_args

from classify.data.augment import PRESETS
from classify.errors import ClassifyError
from classify.training.settings import Jit, check_fields

SIZES = (16, 32, 64, 128, 256)  # of images, in pixels


@dataclass(frozen=True)
class GanSettings:
    """All settings of a DCGAN's training except its images.

    Size, batch size and epochs are those of the DCGAN study. The latent dimension, filters, β₁ and
    the learning rate, for which the study has 0.002, are those of the paper on DCGANs. The flips
    are our choice.
    """

    size: int = 128  # side of the images, in pixels
    latent: int = 100  # dimension of the latent vector
    filters: int = 64  # of the layers next to the image; deeper layers have more
    epochs: int = 60
    batch_size: int = 64
    learning_rate: float = 0.0002  # of Adam, for both networks
    beta_1: float = 0.5  # of Adam, as in the paper; Keras's default of 0.9 oscillates
    augment: str = "flip"  # of the real images: a name from `augment.PRESETS`
    every: int = 10  # epochs between saved generators
    mixed_precision: bool = False  # compute in half precision, for GPUs
    jit: Jit = "auto"  # "on" or "off": compile the training step
    seed: int = 0  # of weights, order, noise and flips

    def __post_init__(self) -> None:
        """Validate the fields."""
        least = {"latent": 1, "filters": 1, "epochs": 1, "batch_size": 2, "every": 1}
        check_fields(self, least, {"augment": tuple(PRESETS), "jit": get_args(Jit)})
        if self.size not in SIZES:
            raise ClassifyError(f"size ({self.size}) must be one of {', '.join(map(str, SIZES))}")
        if not self.learning_rate > 0:
            raise ClassifyError(f"learning_rate ({self.learning_rate}) must be above 0")
        if not 0 <= self.beta_1 < 1:
            raise ClassifyError(f"beta_1 ({self.beta_1}) must be from 0 to below 1")

    def table(self) -> dict[str, Any]:
        """Return the settings as a TOML table."""
        return asdict(self)
