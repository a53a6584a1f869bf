"""A contact sheet of blended faces: drawn people, never real ones.

    python benchmarks/blend_sheet.py docs/blends.png

Each row shows the real crop of a batch (the background), the source, the mask and the blend.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

from classify.data.blend import blend
from ffpp_tools.demo.face import Expression, Person, Portrait
from ffpp_tools.faces.landmarks import as_fractions, landmarks_in

SIDE = 100  # of a crop, in pixels
CANVAS = 320  # on which a person is drawn; dlib finds no smaller faces
GAP, HEADING = 4, 20  # in pixels
COLUMNS = ("real", "source", "mask", "blend")
PEOPLE = (0, 1, 3, 5, 8, 11)


def main() -> None:
    """Write the sheet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rows = [row(person, options.seed) for person in PEOPLE]
    left, right = column(rows[: len(rows) // 2]), column(rows[len(rows) // 2 :])
    sheet = np.hstack([left, blank(left, 3 * GAP), right])
    cv2.imwrite(str(options.out), sheet[..., ::-1], (cv2.IMWRITE_PNG_COMPRESSION, 9))
    print(f"{options.out}: {sheet.shape[1]} x {sheet.shape[0]}, {options.out.stat().st_size} bytes")


def row(person: int, seed: int) -> np.ndarray:
    """Return a row of the sheet: the four pictures of one person's blend."""
    portrait = Portrait(Person.drawn(person), CANVAS)
    face = portrait.render(Expression(mouth_open=0.2 * (person % 2), smile=0.4))
    canvas = face * portrait.alpha[..., None] + 190 * (1 - portrait.alpha[..., None])
    reach = slice(CANVAS // 6, -CANVAS // 6)  # as a crop with the default margin
    crop = np.ascontiguousarray(canvas[reach, reach].astype(np.uint8))
    image = cv2.resize(crop, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    height, width = crop.shape[:2]
    points = as_fractions(landmarks_in(crop, None), width, height) * SIDE - 0.5
    made = blend(image, points, np.random.default_rng((seed, person)))
    mask = np.rint(made.mask[..., None] * 255).astype(np.uint8).repeat(3, axis=-1)
    tiles = [made.background, made.source, mask, made.image]
    return np.hstack([np.hstack([tile, blank(tile, GAP)]) for tile in tiles])


def column(rows: list[np.ndarray]) -> np.ndarray:
    """Return rows below each other, with the names of their pictures above."""
    heading = np.full((HEADING, rows[0].shape[1], 3), 255, np.uint8)
    for number, name in enumerate(COLUMNS):
        place = (number * (SIDE + GAP) + 2, HEADING - 6)
        cv2.putText(heading, name, place, cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0,) * 3, 1, cv2.LINE_AA)
    between = np.full((GAP, rows[0].shape[1], 3), 255, np.uint8)
    return np.vstack([heading, *(part for row in rows for part in (row, between))])


def blank(beside: np.ndarray, width: int) -> np.ndarray:
    """Return a white strip as high as a picture."""
    return np.full((len(beside), width, 3), 255, np.uint8)


if __name__ == "__main__":
    main()
