"""From a face box to pixels on disk."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from ffpp_tools.detect import Box
from ffpp_tools.errors import FfppError, SettingsError

Image = npt.NDArray[np.uint8]
SHAPES = ("square", "box")


@dataclass(frozen=True)
class CropSettings:
    """How much round the face is kept. The same for every category of a dataset folder.

    `square` keeps a square of `margin` times the box's longer side; `box` the box itself,
    `margin` times as large (1.0 is the paper's bare box).
    """

    margin: float = 1.3
    shape: str = "square"
    min_face: int = 0  # boxes with a longer side below this, in pixels, are `too_small`

    def __post_init__(self) -> None:
        """Refuse what makes no crop."""
        if not 0.5 <= self.margin <= 5:
            raise SettingsError(f"margin ({self.margin}) must be between 0.5 and 5")
        if self.shape not in SHAPES:
            raise SettingsError(f"shape ({self.shape!r}) must be one of {', '.join(SHAPES)}")
        if self.min_face < 0:
            raise SettingsError(f"min_face ({self.min_face}) must not be negative")


@dataclass(frozen=True)
class Window:
    """The part of a frame that is kept, in pixels of the frame, wholly inside it."""

    x: int
    y: int
    width: int
    height: int
    clamped: bool  # the frame's edge moved it or made it smaller

    def cut(self, image: Image) -> Image:
        """The pixels of the window: (height, width, 3)."""
        return image[self.y : self.y + self.height, self.x : self.x + self.width]


def window(box: Box, settings: CropSettings, width: int, height: int) -> Window:
    """The window round `box` in a frame of `width` × `height` pixels; never padded.

    A square is shifted inside the frame and shrunk only where the frame is smaller; a
    box-shaped window is cut at the frame's edge.
    """
    centre_x, centre_y = box.x + box.width / 2, box.y + box.height / 2
    if settings.shape == "box":
        half_w, half_h = settings.margin * box.width / 2, settings.margin * box.height / 2
        left, top = round(centre_x - half_w), round(centre_y - half_h)
        right, bottom = round(centre_x + half_w), round(centre_y + half_h)
        x, y = max(left, 0), max(top, 0)
        x_end, y_end = min(right, width), min(bottom, height)
        clamped = (x, y, x_end, y_end) != (left, top, right, bottom)
        return Window(x, y, x_end - x, y_end - y, clamped)
    wanted = round(settings.margin * max(box.width, box.height))
    size = min(wanted, width, height)
    left, top = round(centre_x - size / 2), round(centre_y - size / 2)
    x, y = min(max(left, 0), width - size), min(max(top, 0), height - size)
    return Window(x, y, size, size, clamped=(x, y, size) != (left, top, wanted))


def save_png(path: Path, image: Image) -> str:
    """Write (H, W, 3) uint8 RGB as PNG and return the file's SHA-256.

    Raises:
        FfppError: the file cannot be written.
    """
    data = cv2.imencode(".png", image[..., ::-1])[1].tobytes()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    except OSError as error:
        raise FfppError(f"{path}: cannot be written ({error.strerror})") from error
    return hashlib.sha256(data).hexdigest()
