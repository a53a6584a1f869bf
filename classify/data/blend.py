"""Blended faces: a real crop with a changed copy of its own face pasted over it.

The fakes of known methods teach a network their methods. What most methods have in common is that
a face was generated, adjusted and blended into a frame. A blend imitates only that, without any
generated face (Shiohara and Yamasaki, "Detecting Deepfakes with Self-Blended Images", 2022,
arXiv 2204.08376). This module was written from the text of the paper:

    real crop ──┬── changed in colour, and in sharpness or quality ──┐   one of the two copies is
                │                                                    │   changed, chosen at random
                ├── background ──────────────────────────┐           │
                └── source: resized, shifted ──┐         │           │
                                               ▼         ▼
    landmarks → hull → deformed → blurred → source · mask + background · (1 - mask) = blend

If the copy that changes is the background, the real crop of the batch is replaced by it: a real
crop and its blend never differ outside the mask.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from ffpp_tools.video.image import through_jpeg

Image = npt.NDArray[np.uint8]  # (size, size, 3) RGB
Mask = npt.NDArray[np.float32]  # (size, size), 0 to 1
Points = npt.NDArray[np.float32]  # (68, 2) x and y in pixels


@dataclass(frozen=True)
class BlendRanges:
    """Ranges of a random blend.

    The ratios are the paper's. It describes the other changes, but this project chose their ranges:
    visible, but small enough that a real crop remains one (`docs/blends.png` shows a sample).
    Fractions of the face are of the longer side of the hull's bounding box.
    """

    ratios: tuple[float, ...] = (0.25, 0.5, 0.75, 1.0, 1.0, 1.0)  # the mask is multiplied by one
    rgb: float = 20.0  # added to each channel, at most, in grey levels
    hue: float = 0.03  # turn of the hue, at most, as a fraction of the circle
    saturation: float = 0.3  # relative change, at most
    value: float = 0.15  # relative change, at most
    brightness: float = 0.1  # added, at most, as a fraction of 255
    contrast: float = 0.15  # relative change, at most
    downscale: tuple[float, float] = (0.25, 0.75)  # to this fraction of the side, and back
    sharpen: tuple[float, float] = (0.3, 1.5)  # weight of an unsharp mask
    jpeg: tuple[int, int] = (25, 80)  # quality of the compression
    resize: float = 0.05  # of the source: factor per axis from [1 - resize, 1 + resize]
    shift: float = 0.03  # of the source, at most, as a fraction of the face, per axis
    hull_scale: tuple[float, float] = (0.85, 1.15)  # of the hull about its centre, per axis
    hull_shift: float = 0.04  # of the hull, at most, as a fraction of the face, per axis
    elastic: float = 0.06  # of the mask: maximum displacement, as a fraction of the face
    elastic_cells: tuple[int, int] = (4, 8)  # points per side of the displacements' grid
    blur: tuple[float, float] = (0.03, 0.2)  # sides of both kernels, as fractions of the face


@dataclass(frozen=True)
class Blend:
    """A blended face and what it was made from; images are (size, size, 3) uint8 RGB."""

    image: Image  # the blend
    background: Image  # the real crop, or its changed copy; equals the blend where the mask is 0
    source: Image  # the copy whose face was pasted
    mask: Mask  # (size, size) float32: weight of the source, 0 to the blending ratio


def blend(
    image: Image,
    landmarks: Points,
    rng: np.random.Generator,
    ranges: BlendRanges = BlendRanges(),
) -> Blend:
    """Blend a changed copy of a real face into it.

    Args:
        image: a real crop, (size, size, 3) uint8 RGB; it is not modified.
        landmarks: (68, 2) float32 pixels (x, y) of the crop, in dlib's order.
        rng: the only source of randomness; the same state gives the same blend.
        ranges: how much is changed.

    Raises:
        ValueError: a landmark is not finite.
    """
    if not np.isfinite(landmarks).all():
        raise ValueError("a crop without landmarks cannot be blended")
    face = float(np.ptp(landmarks, axis=0).max())
    copies = [image, image]
    which = int(rng.integers(2))
    copies[which] = changed(image, rng, ranges)
    source, background = _moved(copies[0], landmarks, face, rng, ranges), copies[1]
    mask = face_mask(landmarks, image.shape[0], face, rng, ranges)
    mask *= np.float32(rng.choice(ranges.ratios))
    return Blend(_pasted(source, background, mask), background, source, mask)


def changed(image: Image, rng: np.random.Generator, ranges: BlendRanges) -> Image:
    """Return a copy with random colours, and either downscaled and back, sharpened or compressed.

    Args:
        image: (size, size, 3) uint8 RGB.
        rng: the source of randomness.
        ranges: how much is changed.
    """
    levels = np.arange(256, dtype=np.float32)
    shifts = rng.uniform(-ranges.rgb, ranges.rgb, 3)
    gain = 1 + rng.uniform(-ranges.contrast, ranges.contrast)
    offset = 255 * rng.uniform(-ranges.brightness, ranges.brightness)
    rgb = np.stack([(levels - 128) * gain + 128 + offset + shift for shift in shifts], axis=-1)
    image = np.asarray(cv2.LUT(image, _levels(rgb)), np.uint8)
    hsv = np.stack(
        [
            # OpenCV's hue of 8-bit images goes from 0 to 179.
            (levels + np.rint(180 * rng.uniform(-ranges.hue, ranges.hue))) % 180,
            levels * (1 + rng.uniform(-ranges.saturation, ranges.saturation)),
            levels * (1 + rng.uniform(-ranges.value, ranges.value)),
        ],
        axis=-1,
    )
    turned = cv2.LUT(cv2.cvtColor(image, cv2.COLOR_RGB2HSV), _levels(hsv))
    image = np.asarray(cv2.cvtColor(turned, cv2.COLOR_HSV2RGB), np.uint8)
    side, kind = image.shape[0], int(rng.integers(3))
    if kind == 0:
        small = max(round(side * rng.uniform(*ranges.downscale)), 1)
        reduced = cv2.resize(image, (small, small), interpolation=cv2.INTER_AREA)
        return np.asarray(cv2.resize(reduced, (side, side)), np.uint8)
    if kind == 1:
        weight = rng.uniform(*ranges.sharpen)
        soft = cv2.GaussianBlur(image, (0, 0), max(side / 128, 0.8))
        return np.asarray(cv2.addWeighted(image, 1 + weight, soft, -weight, 0), np.uint8)
    low, high = ranges.jpeg
    return np.ascontiguousarray(through_jpeg(image, int(rng.integers(low, high + 1))))


def face_mask(
    landmarks: Points, size: int, face: float, rng: np.random.Generator, ranges: BlendRanges
) -> Mask:
    """Return a random soft mask of a face, (size, size) float32 from 0 to 1.

    The hull of the landmarks is scaled, shifted and deformed. It is then blurred twice. After the
    first blur, everything below 1 is set to 0, which erodes the mask by half the first kernel; the
    second blur extends it by half the second kernel. Hence the mask is smaller or larger than the
    hull, depending on which kernel is larger.

    Args:
        landmarks: (68, 2) float32 pixels.
        size: side of the mask in pixels.
        face: longer side of the landmarks' bounding box in pixels.
        rng: the source of randomness.
        ranges: how much is changed.
    """
    centre = landmarks.mean(axis=0)
    scale = rng.uniform(*ranges.hull_scale, 2)
    shift = rng.uniform(-ranges.hull_shift, ranges.hull_shift, 2) * face
    points = ((landmarks - centre) * scale + centre + shift).astype(np.float32)
    hull = np.zeros((size, size), np.uint8)
    cv2.fillConvexPoly(hull, np.rint(cv2.convexHull(points)).astype(np.int32), 255)
    cells = int(rng.integers(ranges.elastic_cells[0], ranges.elastic_cells[1] + 1))
    reach = ranges.elastic * face
    grid = rng.uniform(-reach, reach, (cells, cells, 2)).astype(np.float32)
    field = cv2.resize(grid, (size, size), interpolation=cv2.INTER_LINEAR)
    axis = np.arange(size, dtype=np.float32)
    field[..., 0] += axis
    field[..., 1] += axis[:, None]
    mask = cv2.remap(hull, field, None, cv2.INTER_LINEAR)
    eroding, smoothing = (_odd(side * face) for side in rng.uniform(*ranges.blur, 2))
    # A mean of 8-bit values is 255 only if all of them are (within rounding).
    solid = (cv2.GaussianBlur(mask, (eroding, eroding), 0) == 255).astype(np.float32)
    soft = cv2.GaussianBlur(solid, (smoothing, smoothing), 0, borderType=cv2.BORDER_CONSTANT)
    return np.clip(soft, 0, 1, out=soft)  # the kernel's sum is 1 within rounding


def _moved(
    image: Image, landmarks: Points, face: float, rng: np.random.Generator, ranges: BlendRanges
) -> Image:
    """Return the image resized about the face's centre and shifted, cut or padded to its size."""
    zoom = rng.uniform(1 - ranges.resize, 1 + ranges.resize, 2)
    shift = rng.uniform(-ranges.shift, ranges.shift, 2) * face
    centre = landmarks.mean(axis=0)
    x, y = centre - zoom * centre + shift
    matrix = np.array([[zoom[0], 0, x], [0, zoom[1], y]])
    side = image.shape[0]
    moved = cv2.warpAffine(
        image, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(moved, np.uint8)


def _pasted(source: Image, background: Image, mask: Mask) -> Image:
    """Return source · mask + background · (1 - mask), computed where the mask is not 0."""
    blended = background.copy()
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return blended
    area = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    below = background[area].astype(np.float32)
    mixed = below + (source[area] - below) * mask[area][..., None]
    blended[area] = np.rint(mixed, out=mixed)  # between the two, hence from 0 to 255
    return blended


def _levels(table: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """Return a (256, 3) table of new levels as OpenCV takes it: (256, 1, 3) uint8."""
    return np.clip(np.rint(table), 0, 255).astype(np.uint8)[:, None]


def _odd(side: float) -> int:
    """Return the side of a blur's kernel: the nearest odd number, at least 3."""
    return max(2 * round((side - 1) / 2) + 1, 3)
