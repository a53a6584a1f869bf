"""The four manipulations of FF++, applied to drawn faces.

Each method takes an expression of the target, whose body and pose stay, and an expression of the
source, whose face or expression is transferred. It returns the forged canvas, (S, S, 3) uint8 RGB,
and the mask of the manipulated area, (S, S) float32 in [0, 1]. All traces are inside the face.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import cv2
import numpy as np

from ffpp_tools.demo.face import EYE_Y, MOUTH_Y, ORIGIN, Array, Expression, Portrait
from ffpp_tools.video.image import Image

Forged = tuple[Image, Array]
FACETS = 26  # number of facets across the canvas in Face2Face's mesh
CODE_SIZE = 64  # resolution of Deepfakes's autoencoder in pixels


class Forger:
    """The target and source of a fake, and what is the same in all frames."""

    def __init__(self, target: Portrait, source: Portrait) -> None:
        self.target = target
        self.source = source

    def forge(self, method: str, own: Expression, driving: Expression) -> Forged:
        """Forge the frame with the target's expression `own` and the source's `driving`."""
        return METHODS[method](self, own, driving)

    def deepfakes(self, own: Expression, driving: Expression) -> Forged:
        """Blend in the source face with the target's expression, at autoencoder resolution."""
        face = cv2.LUT(self.source.render(own), self._colour_transfer)
        small = cv2.resize(face, (CODE_SIZE, CODE_SIZE), interpolation=cv2.INTER_AREA)
        face = cv2.resize(small, face.shape[:2], interpolation=cv2.INTER_CUBIC)
        mask = cv2.GaussianBlur(self.target.face_mask, (0, 0), 0.05 * self.target.unit)
        return _blended(self.target.render(own), face, mask), mask

    def face2face(self, own: Expression, driving: Expression) -> Forged:
        """Replace the target face by a coarse 3D mesh with the source's expression."""
        face = self.target.render(driving)
        flat = cv2.blur(face, (self._facet_size, self._facet_size))
        shaded = np.clip(flat * self._facets[..., None], 0, 255).astype(np.uint8)
        features = self._feature_mask[..., None]
        face = (shaded + (face.astype(np.float32) - shaded) * features).astype(np.uint8)
        mask = self.target.face_mask
        return _blended(self.target.render(own), face, mask), mask

    def faceswap(self, own: Expression, driving: Expression) -> Forged:
        """Paste the source face at full resolution, with colour transfer and a visible seam."""
        face = cv2.LUT(self.source.render(own), self._colour_transfer)
        mask = (self.source.face_mask > 0.5).astype(np.float32)
        forged = _blended(self.target.render(own), face, mask)
        return _blended(forged, (forged * 0.62).astype(np.uint8), self._seam), mask

    def neuraltextures(self, own: Expression, driving: Expression) -> Forged:
        """Re-synthesise the mouth with the source's expression, as an upsampling network does."""
        face = self.target.render(driving)
        face = cv2.GaussianBlur(face, (0, 0), 0.02 * self.target.unit)
        face = np.clip(face + self._checkerboard[..., None], 0, 255).astype(np.uint8)
        mask = self._mouth_mask
        return _blended(self.target.render(own), face, mask), mask

    @cached_property
    def _colour_transfer(self) -> Image:
        """Lookup table (1, 256, 3) that matches the source face's mean and spread to the target's.

        Spread is the standard deviation of each colour channel.
        """
        inside = (self.target.face_mask > 0.5).astype(np.uint8)
        mean, spread = cv2.meanStdDev(self.source.render(Expression()), mask=inside)
        target_mean, target_spread = cv2.meanStdDev(self.target.render(Expression()), mask=inside)
        gain = np.clip(target_spread / np.maximum(spread, 1), 0.75, 1.33).ravel()
        levels = np.arange(256)[None, :, None]
        matched = (levels - mean.ravel()) * gain + target_mean.ravel()
        return np.clip(matched, 0, 255).astype(np.uint8)

    @cached_property
    def _facet_size(self) -> int:
        return self.target.size // FACETS

    @cached_property
    def _facets(self) -> Array:
        """Brightness of the mesh: constant within a triangle, with steps at the edges."""
        rng = np.random.default_rng(self.target.person.seed)
        rows, cols = np.indices((self.target.size, self.target.size)) // self._facet_size
        within_row, within_col = np.indices((self.target.size,) * 2) % self._facet_size
        upper = (within_row + within_col < self._facet_size).astype(int)
        steps = rng.uniform(0.88, 1.12, (2, FACETS + 2, FACETS + 2)).astype(np.float32)
        return steps[upper, rows, cols]

    @cached_property
    def _feature_mask(self) -> Array:
        """The eyes, nose and mouth, which Face2Face copies from the image instead of the mesh."""
        size = self.target.size
        mask = np.zeros((size, size), np.float32)
        p = self.target.person
        for x, y, rx, ry in (
            (-p.eye_spacing, EYE_Y, 0.18, 0.11),
            (p.eye_spacing, EYE_Y, 0.18, 0.11),
            (0, 0.16, 0.16, 0.26),
            (0, MOUTH_Y + 0.04, p.mouth_width * 1.2, 0.16),
        ):
            _fill(mask, self.target, x, y, rx, ry)
        return cv2.GaussianBlur(mask, (0, 0), 0.03 * self.target.unit)

    @cached_property
    def _seam(self) -> Array:
        """A thin line along the edge of the pasted face."""
        mask = (self.source.face_mask > 0.5).astype(np.uint8)
        width = max(round(0.045 * self.source.unit), 1)
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * width + 1, 2 * width + 1))
        return cv2.morphologyEx(mask, cv2.MORPH_GRADIENT, kernel).astype(np.float32) * 0.8

    @cached_property
    def _mouth_mask(self) -> Array:
        mask = np.zeros((self.target.size, self.target.size), np.float32)
        _fill(mask, self.target, 0, MOUTH_Y + 0.06, 0.46, 0.30)
        return cv2.GaussianBlur(mask, (0, 0), 0.05 * self.target.unit)

    @cached_property
    def _checkerboard(self) -> Array:
        """The checkerboard pattern of transposed convolutions, coarse enough to survive c23."""
        cell = max(round(0.045 * self.target.unit), 1)
        rows, cols = np.indices((self.target.size,) * 2) // cell
        return np.where((rows + cols) % 2 == 0, 15, -15).astype(np.float32)


METHODS: dict[str, Callable[[Forger, Expression, Expression], Forged]] = {
    "Deepfakes": Forger.deepfakes,
    "Face2Face": Forger.face2face,
    "FaceSwap": Forger.faceswap,
    "NeuralTextures": Forger.neuraltextures,
}


def _fill(mask: Array, portrait: Portrait, x: float, y: float, rx: float, ry: float) -> None:
    centre = (
        round(ORIGIN[0] * portrait.size + x * portrait.unit),
        round(ORIGIN[1] * portrait.size + y * portrait.unit),
    )
    axes = (round(rx * portrait.unit), round(ry * portrait.unit))
    cv2.ellipse(mask, centre, axes, 0, 0, 360, [1.0], -1)


def _blended(below: Image, above: Image, mask: Array) -> Image:
    return (below + (above.astype(np.float32) - below) * mask[..., None]).astype(np.uint8)
