"""Random augmentation of training images: quality degradations, then a single affine warp.

Applying flip, zoom, shear, rotation and shift one after the other would blur an image four times;
composed into one matrix they cost one interpolation. The warp runs on the host (OpenCV) or, for a
whole batch, on the accelerator, but always outside the compiled training step: TensorFlow has no
XLA kernel for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ffpp_tools.video.image import through_jpeg

Images = npt.NDArray[np.uint8]  # (n, size, size, 3) RGB


@dataclass(frozen=True)
class Warp:
    """Ranges of a random warp, as in `keras.preprocessing.image.ImageDataGenerator`."""

    rotation: float = 0.0  # angle from [-rotation, rotation], in degrees
    shift: float = 0.0  # along each axis, as a fraction of the side from [-shift, shift]
    shear: float = 0.0  # angle from [-shear, shear], in degrees
    zoom: float = 0.0  # independent factor per axis from [1 - zoom, 1 + zoom]
    flip: bool = False  # left to right, with probability 0.5

    def matrices(self, rng: np.random.Generator, count: int, size: int) -> npt.NDArray[np.float64]:
        """Return random (count, 2, 3) maps from output to input pixels (x, y) of square images.

        The maps are centred on the image and composed in ImageDataGenerator's order: rotation ·
        shift · shear · zoom, followed by the flip.
        """
        angle, shear = (
            np.deg2rad(rng.uniform(-limit, limit, count)) for limit in (self.rotation, self.shear)
        )
        shift = rng.uniform(-self.shift, self.shift, (count, 2)) * size
        zoom = rng.uniform(1 - self.zoom, 1 + self.zoom, (count, 2))
        sign = np.where(rng.random(count) < 0.5, -1.0, 1.0) if self.flip else np.ones(count)
        rotation = _matrices([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        shearing = _matrices([[np.ones(count), -np.sin(shear)], [np.zeros(count), np.cos(shear)]])
        linear = rotation @ shearing
        linear[..., 0] *= (zoom[:, 0] * sign)[:, None]
        linear[..., 1] *= zoom[:, 1, None]
        centre = np.full(2, (size - 1) / 2)
        offset = centre - linear @ centre + (rotation @ shift[..., None])[..., 0]
        return np.concatenate([linear, offset[..., None]], axis=2)


@dataclass(frozen=True)
class Degradation:
    """Random degradations typical of the web, each applied independently."""

    chance: float = 0.3  # probability of each degradation
    downscale: float = 0.5  # resize to at least this fraction of the side, and back
    blur: float = 1.5  # Gaussian; maximum standard deviation in pixels
    noise: float = 8.0  # Gaussian; maximum standard deviation in grey levels
    jpeg: int = 30  # recompress at a quality from this value to 95

    def __call__(self, image: Images, rng: np.random.Generator) -> Images:
        """Return a randomly degraded copy of one (size, size, 3) image, or the image itself."""
        downscaled, blurred, noisy, compressed = rng.random(4) < self.chance
        side = image.shape[0]
        if downscaled:
            small = max(1, round(side * rng.uniform(self.downscale, 1)))
            image = cv2.resize(image, (small, small), interpolation=cv2.INTER_AREA)
            image = cv2.resize(image, (side, side), interpolation=cv2.INTER_LINEAR)
        if blurred:
            image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.1, self.blur))
        if noisy:
            grain = rng.normal(0, rng.uniform(0, self.noise), image.shape)
            image = np.clip(np.rint(image + grain), 0, 255).astype(np.uint8)
        if compressed:
            image = through_jpeg(image, int(rng.integers(self.jpeg, 96)))
        return image


@dataclass(frozen=True)
class Augmentation:
    """Random augmentation of a batch: quality degradations first, then one warp."""

    warp: Warp | None = None
    quality: Degradation | None = None

    def __call__(
        self,
        images: Images,
        rng: np.random.Generator,
        on_device: bool = False,
        draws: npt.NDArray[np.int64] | None = None,
    ) -> Any:
        """Return a randomly augmented copy of (n, size, size, 3) uint8 images.

        The warp is one bilinear interpolation per image; pixels beyond the edge repeat the
        nearest pixel of the image.

        Args:
            images: the batch.
            rng: the only source of randomness; the same state gives the same result.
            on_device: warp the whole batch on the backend's device and leave the result there.
            draws: (n,) images with the same number get the same warp and the same degradations,
                noise included. None: each image has its own.

        Returns:
            uint8 images: an array on the host, or a tensor of the backend.
        """
        numbers = np.arange(len(images)) if draws is None else draws
        distinct, draw_of_image = np.unique(numbers, return_inverse=True)
        if self.quality is not None:
            images = _degraded(images, self.quality, rng, draw_of_image)
        if self.warp is None:
            return images
        matrices = self.warp.matrices(rng, len(distinct), images.shape[1])[draw_of_image]
        return (warp_on_device if on_device else warp_on_host)(images, matrices)


PRESETS = {
    "none": Augmentation(),
    # The paper's listing; its text gives zoom 0.1 and shear 0.5.
    "paper": Augmentation(Warp(zoom=0.2, shear=0.2, flip=True)),
    "paper-text": Augmentation(Warp(zoom=0.1, shear=0.5, flip=True)),
    # The study of 29 backbones (2022).
    "rotate-shift": Augmentation(Warp(rotation=40, shift=0.1, flip=True)),
    "flip": Augmentation(Warp(flip=True)),
    # Small changes of pose, without degradations.
    "mild": Augmentation(Warp(rotation=8, shift=0.05, zoom=0.1, flip=True)),
    # For detectors that must be robust to the resizing, blur, noise and compression of the web.
    "robust": Augmentation(Warp(rotation=10, shift=0.05, zoom=0.1, flip=True), Degradation()),
}


def _degraded(
    images: Images, quality: Degradation, rng: np.random.Generator, draws: npt.NDArray[np.intp]
) -> Images:
    """Degrade images; those with the same draw start from the same state of `rng`."""
    degraded = np.empty_like(images)
    state: Any = None
    previous = -1
    for position in np.argsort(draws, kind="stable"):
        if draws[position] == previous:
            rng.bit_generator.state = state
        else:
            state = rng.bit_generator.state
        degraded[position] = quality(images[position], rng)
        previous = draws[position]
    return degraded


def warp_on_host(images: Images, matrices: npt.NDArray[np.float64]) -> Images:
    """Warp each image by its (2, 3) map from output to input pixels, with OpenCV."""
    side = images.shape[1]
    warped = np.empty(images.shape, np.uint8)
    for image, matrix, out in zip(images, matrices, warped, strict=True):
        cv2.warpAffine(
            image,
            matrix,
            (side, side),
            dst=out,
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
    return warped


def warp_on_device(images: Images, matrices: npt.NDArray[np.float64]) -> Any:
    """Warp a batch as `warp_on_host` does, in one backend operation; returns a uint8 tensor."""
    import keras

    ops = keras.ops
    count = len(images)
    flat = np.concatenate([matrices.reshape(count, 6), np.zeros((count, 2))], axis=1)
    warped = ops.image.affine_transform(
        ops.cast(ops.convert_to_tensor(images), "float32"),
        ops.convert_to_tensor(flat, "float32"),
        interpolation="bilinear",
        fill_mode="nearest",
        data_format="channels_last",
    )
    return ops.cast(ops.clip(ops.round(warped), 0, 255), "uint8")


def _matrices(rows: list[list[npt.NDArray[np.float64]]]) -> npt.NDArray[np.float64]:
    """Stack rows of entries of shape (n,) into (n, 2, 2) matrices."""
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)
