"""Parametric faces, drawn with NumPy and OpenCV, that resemble no real person but dlib detects.

All faces share one canvas geometry, so that a person's features can be pasted over another's, as
face manipulations do. The unit of length is half the height of a face:

          -1  hairline          x to the right, y down, origin between nose and eyes
     -0.13  (o)   (o)  eyes     on a canvas of size S, a unit is 0.24 S pixels and
      0.30     v       nose     the origin is at (0.50 S, 0.47 S)
      0.58   -----     mouth
           1  chin
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
import numpy.typing as npt

from ffpp_tools.video.image import Image

Array = npt.NDArray[np.float32]

UNIT = 0.24
ORIGIN = (0.50, 0.47)
EYE_Y = -0.13
MOUTH_Y = 0.58


@dataclass(frozen=True)
class Person:
    """The appearance of a drawn person. Lengths are in face units."""

    skin: tuple[float, float, float]
    hair: tuple[float, float, float]
    shirt: tuple[float, float, float]
    iris: tuple[float, float, float]
    lips: tuple[float, float, float]
    width: float
    jaw: float
    hairline: float
    hair_length: float
    eye_spacing: float
    eye_size: float
    brow: float
    nose_width: float
    mouth_width: float
    freckles: float
    beard: float
    light: tuple[float, float]
    seed: int

    @classmethod
    def drawn(cls, seed: int) -> Person:
        """Draw a random person; the same seed gives the same person."""
        rng = np.random.default_rng(seed)
        skins = [(238, 203, 180), (224, 178, 148), (198, 146, 112), (162, 112, 82), (122, 82, 60)]
        hairs = [(40, 30, 25), (88, 58, 36), (158, 112, 62), (190, 170, 130), (110, 108, 106)]
        irises = [(70, 45, 30), (60, 95, 120), (70, 100, 60)]
        skin = np.array(skins[rng.integers(len(skins))]) + rng.normal(0, 3, 3)
        lips = 0.72 * skin + 0.28 * np.array((170, 60, 70))

        def colour(values: npt.ArrayLike) -> tuple[float, float, float]:
            red, green, blue = np.clip(np.asarray(values, dtype=float), 0, 255).tolist()
            return red, green, blue

        return cls(
            skin=colour(skin),
            hair=colour(np.array(hairs[rng.integers(len(hairs))]) + rng.normal(0, 8, 3)),
            shirt=colour(rng.uniform(30, 220, 3)),
            iris=colour(irises[rng.integers(len(irises))]),
            lips=colour(lips),
            width=rng.uniform(0.66, 0.76),
            jaw=rng.uniform(0.12, 0.30),
            hairline=rng.uniform(-0.90, -0.72),
            hair_length=rng.choice([-0.3, 0.2, 1.2]) + rng.uniform(-0.1, 0.1),
            eye_spacing=rng.uniform(0.30, 0.35),
            eye_size=rng.uniform(0.115, 0.135),
            brow=rng.uniform(0.03, 0.05),
            nose_width=rng.uniform(0.11, 0.16),
            mouth_width=rng.uniform(0.24, 0.32),
            freckles=rng.uniform(0.55, 0.9),
            beard=float(rng.random() < 0.25) * rng.uniform(0.2, 0.5),
            light=(rng.uniform(-0.5, 0.5), rng.uniform(-0.6, -0.2)),
            seed=seed,
        )


@dataclass(frozen=True)
class Expression:
    """The expression of a face at one moment."""

    mouth_open: float = 0.0  # 0 closed … 1 wide open
    smile: float = 0.0  # -1 pursed … 1 broad
    eyes_open: float = 1.0  # 0 shut … 1 open
    gaze: float = 0.0  # -1 left … 1 right


class Portrait:
    """A person on a canvas of S = `size` pixels, which can be rendered with any expression."""

    def __init__(self, person: Person, size: int) -> None:
        self.person = person
        self.size = size
        self.unit = UNIT * size
        rows, cols = np.mgrid[0:size, 0:size].astype(np.float32)
        self.x: Array = (cols - ORIGIN[0] * size) / self.unit
        self.y: Array = (rows - ORIGIN[1] * size) / self.unit

    @cached_property
    def alpha(self) -> Array:
        """Coverage of the background by the person, (S, S) float32 in [0, 1]."""
        return np.maximum.reduce([self._head, self._hair, self._body])

    @cached_property
    def face_mask(self) -> Array:
        """The area that a face swap replaces, brows to chin, (S, S) float32 in [0, 1]."""
        p = self.person
        radius = np.hypot(self.x / (0.86 * p.width), (self.y - 0.22) / 0.70)
        return self._inside(1 - radius, soft=0.02)

    @property
    def eye_centre(self) -> tuple[float, float]:
        """The point between the eyes in canvas pixels."""
        return ORIGIN[0] * self.size, ORIGIN[1] * self.size + EYE_Y * self.unit

    def render(self, expression: Expression) -> Image:
        """Render the person with this expression: (S, S, 3) uint8 RGB."""
        canvas = self._resting.copy()
        self._draw_eyes(canvas, expression)
        self._draw_mouth(canvas, expression)
        return canvas

    def _inside(self, signed: npt.NDArray[np.floating], soft: float = 0.0) -> Array:
        """Convert a signed distance in face units to coverage, with an edge of `soft` units.

        The edge is at least one pixel wide.
        """
        return np.clip(signed / max(soft, 1 / self.unit) + 0.5, 0, 1).astype(np.float32)

    def _ellipse(self, cx: float, cy: float, rx: float, ry: float, soft: float = 0.0) -> Array:
        radius = np.hypot((self.x - cx) / rx, (self.y - cy) / ry)
        return self._inside((1 - radius) * min(rx, ry), soft)

    def _blob(self, cx: float, cy: float, rx: float, ry: float) -> Array:
        return np.exp(-(((self.x - cx) / rx) ** 2) - ((self.y - cy) / ry) ** 2)

    def _noise(self, sigma: float, salt: int) -> Array:
        """Return unit-variance noise, smoothed with a Gaussian of `sigma` face units."""
        rng = np.random.default_rng((self.person.seed, salt))
        grain = max(sigma * self.unit, 0.6)
        noise = rng.standard_normal((self.size, self.size)).astype(np.float32)
        noise = cv2.GaussianBlur(noise, (0, 0), grain)
        return (noise / noise.std()).astype(np.float32)

    @cached_property
    def _head_radius(self) -> Array:
        """The relative distance from the centre of the head: 0 at the centre, 1 on its outline."""
        p = self.person
        half = p.width * (1 - p.jaw * np.clip(self.y, 0, 1.2) ** 2)
        radius = (np.abs(self.x) / half) ** 2.2 + (np.abs(self.y) / 1.02) ** 2.2
        return (radius ** (1 / 2.2)).astype(np.float32)

    @cached_property
    def _head(self) -> Array:
        ears = np.maximum(
            self._ellipse(-self.person.width, 0.02, 0.09, 0.2),
            self._ellipse(self.person.width, 0.02, 0.09, 0.2),
        )
        return np.maximum(self._inside((1 - self._head_radius) * 0.7), ears)

    @cached_property
    def _hair(self) -> Array:
        p = self.person
        cap = self._ellipse(0, -0.22, p.width + 0.13, 0.98)
        return cap * self._inside(p.hair_length - self.y, soft=0.15)

    @cached_property
    def _body(self) -> Array:
        neck = self._inside(0.42 - np.abs(self.x)) * self._inside(self.y - 0.5)
        shoulders = self._inside(1.25 + 0.28 * self.x**2 - self.y)
        return np.maximum(neck, (1 - shoulders) * self._inside(1.95 - np.abs(self.x), soft=0.2))

    def _skin(self) -> Array:
        p = self.person
        radius = np.clip(self._head_radius, 0, 1)
        depth = np.sqrt(1 - 0.92 * radius**2)
        lambert = 0.35 * p.light[0] * self.x + 0.35 * p.light[1] * self.y + depth
        shade = 0.52 + 0.50 * np.clip(lambert, 0, 1.3)
        for side in (-1, 1):
            shade -= 0.20 * self._blob(side * p.eye_spacing, EYE_Y - 0.02, 0.20, 0.13)
            shade += 0.07 * self._blob(side * 0.38, 0.25, 0.2, 0.16)
            shade -= 0.16 * self._blob(side * p.nose_width * 1.15, 0.22, 0.05, 0.16)
            shade -= 0.07 * self._blob(side * 0.36, 0.48, 0.05, 0.16)
        shade += 0.13 * self._blob(0, 0.08, 0.06, 0.26)
        shade -= 0.24 * self._blob(0, 0.37, p.nose_width * 1.1, 0.04)
        shade -= 0.14 * self._blob(0, 0.80, 0.22, 0.05)
        shade -= 0.30 * p.beard * self._blob(0, 0.75, 0.5, 0.35)
        pores = 0.030 * self._noise(0.016, 1) + 0.018 * self._noise(0.05, 2)
        freckles = 0.16 * np.clip(self._noise(0.022, 3) - 1.6, 0, 1.2)
        shade += p.freckles * (pores - freckles)
        return np.asarray(p.skin, dtype=np.float32) * shade[..., None]

    @cached_property
    def _resting(self) -> Image:
        """The image without eyes and mouth, (S, S, 3) uint8 RGB."""
        p = self.person
        canvas = np.broadcast_to(np.array(p.shirt, np.float32), (self.size, self.size, 3)).copy()
        canvas *= 0.9 + 0.1 * np.clip(self._noise(0.03, 4), -1, 1)[..., None]
        skin = self._skin()
        neck = self._inside(0.42 - np.abs(self.x)) * self._inside(1.2 - self.y)
        _paint(canvas, skin * (0.72 + 0.10 * self.y)[..., None], neck)
        strands = cv2.GaussianBlur(self._noise(0.008, 5), (0, 0), 0.6, sigmaY=0.12 * self.unit)
        hair = np.array(p.hair, np.float32) * (1 + 0.5 * strands[..., None])
        _paint(canvas, hair, self._hair)
        _paint(canvas, skin, self._head)
        fringe = self._inside(p.hairline + 0.25 * self.x**2 - self.y, soft=0.05)
        _paint(canvas, hair, fringe * self._hair)
        for side in (-1, 1):
            brow_y = EYE_Y - 0.20 + 0.25 * (np.abs(self.x) - p.eye_spacing) ** 2
            along = self._inside(0.19 - np.abs(self.x - side * p.eye_spacing), soft=0.06)
            across = self._inside(p.brow - np.abs(self.y - brow_y), soft=0.03)
            _paint(canvas, np.array(p.hair, np.float32) * 0.8, 0.85 * along * across)
            nostril = self._ellipse(side * p.nose_width * 0.6, 0.345, 0.045, 0.025, 0.03)
            _paint(canvas, np.array(p.skin, np.float32) * 0.25, 0.8 * nostril)
        return np.clip(canvas, 0, 255).astype(np.uint8)

    def _point(self, x: float, y: float) -> tuple[int, int]:
        """Convert face units to 1/16 pixels, for OpenCV's drawing functions with shift=4."""
        return (
            round((ORIGIN[0] * self.size + x * self.unit) * 16),
            round((ORIGIN[1] * self.size + y * self.unit) * 16),
        )

    def _fill(
        self, canvas: Image, x: float, y: float, rx: float, ry: float, colour: npt.ArrayLike
    ) -> None:
        axes = (max(round(rx * self.unit * 16), 1), max(round(ry * self.unit * 16), 1))
        rgb = [float(v) for v in np.asarray(colour).ravel()]
        cv2.ellipse(canvas, self._point(x, y), axes, 0, 0, 360, rgb, -1, cv2.LINE_AA, 4)

    def _draw_eyes(self, canvas: Image, expression: Expression) -> None:
        p = self.person
        lid = np.array(p.skin) * 0.45
        for side in (-1, 1):
            x, half = side * p.eye_spacing, p.eye_size * 0.52 * max(expression.eyes_open, 0.06)
            self._fill(canvas, x, EYE_Y - 0.012, p.eye_size * 1.12, half + 0.03, lid)
            self._fill(canvas, x, EYE_Y, p.eye_size, half, (232, 228, 222))
            iris = min(half, p.eye_size * 0.46)
            iris_x = x + 0.045 * expression.gaze
            self._fill(canvas, iris_x, EYE_Y, iris, iris, p.iris)
            self._fill(canvas, iris_x, EYE_Y, iris * 0.5, iris * 0.5, (12, 10, 10))
            if half > 0.03:
                self._fill(canvas, iris_x + 0.02, EYE_Y - 0.02, 0.014, 0.014, (250, 250, 250))

    def _draw_mouth(self, canvas: Image, expression: Expression) -> None:
        p = self.person
        half_width = p.mouth_width * (1 + 0.18 * expression.smile)
        gap = 0.11 * expression.mouth_open
        y = MOUTH_Y + 0.35 * gap
        lips = np.array(p.lips)
        self._fill(canvas, 0, y, half_width, 0.062 + gap, lips * 0.92)
        self._fill(canvas, 0, y + 0.03 + gap * 0.6, half_width * 0.7, 0.04 + gap * 0.4, lips * 1.05)
        self._fill(canvas, 0, y - 0.004, half_width * 0.9, 0.012 + gap * 0.85, (48, 18, 20))
        if gap > 0.02:
            self._fill(canvas, 0, y - gap * 0.42, half_width * 0.6, gap * 0.28, (225, 220, 210))
        for side in (-1, 1):
            corner = y - 0.03 * expression.smile
            self._fill(canvas, side * half_width * 0.94, corner, 0.03, 0.022, lips * 0.5)


def _paint(canvas: Array, colour: npt.ArrayLike, coverage: Array) -> None:
    """Blend `colour` over the float canvas with weight `coverage`, in place."""
    canvas += (np.asarray(colour, dtype=np.float32) - canvas) * coverage[..., None]
