"""Random flips, zooms and shears, composed into one affine warp for each image."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from classify.errors import ClassifyError


@dataclass(frozen=True)
class Augmentation:
    """Ranges as `keras.preprocessing.image.ImageDataGenerator` understands them."""

    zoom: float = 0.0  # each axis by its own factor from [1 - zoom, 1 + zoom]
    shear: float = 0.0  # by an angle from [-shear, shear], in degrees
    flip: bool = False  # left to right, every second time

    def matrix(self, rng: np.random.Generator, size: int) -> npt.NDArray[np.float64]:
        """A random (2, 3) map from output to input pixels (x, y) of a square image.

        The centre stays where it is, as in ImageDataGenerator.
        """
        shear = np.deg2rad(rng.uniform(-self.shear, self.shear))
        zoom_x, zoom_y = rng.uniform(1 - self.zoom, 1 + self.zoom, 2)
        # ImageDataGenerator's matrices, with x and y in OpenCV's order.
        linear = np.array([[np.cos(shear), 0.0], [-np.sin(shear), 1.0]]) @ np.diag([zoom_x, zoom_y])
        if self.flip and rng.random() < 0.5:
            linear = linear @ np.diag([-1.0, 1.0])
        centre = np.full(2, (size - 1) / 2)
        return np.column_stack([linear, centre - linear @ centre])

    def __call__(
        self, images: npt.NDArray[np.uint8], rng: np.random.Generator
    ) -> npt.NDArray[np.uint8]:
        """A randomly changed copy of (n, size, size, 3) uint8 images.

        One bilinear interpolation each; beyond the edge the nearest pixel is repeated.
        """
        size = images.shape[1]
        changed = np.empty(images.shape, np.uint8)
        for image, out in zip(images, changed, strict=True):
            cv2.warpAffine(
                image,
                self.matrix(rng, size),
                (size, size),
                dst=out,
                flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                borderMode=cv2.BORDER_REPLICATE,
            )
        return changed


PRESETS: dict[str, Augmentation | None] = {
    "none": None,
    # The paper's listing; its text says zoom 0.1 and shear 0.5.
    "paper": Augmentation(zoom=0.2, shear=0.2, flip=True),
    "paper-text": Augmentation(zoom=0.1, shear=0.5, flip=True),
}


def preset(name: str) -> Augmentation | None:
    """The augmentation called `name`.

    Raises:
        ClassifyError: there is none of that name.
    """
    if name not in PRESETS:
        raise ClassifyError(f"unknown augmentation {name!r}; choose from {', '.join(PRESETS)}")
    return PRESETS[name]
