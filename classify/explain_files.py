"""Explanations as pictures: a contact sheet and a mean map of every class, and a page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from classify import page
from classify.explain import MAX_OF_A_CLASS, Explanation
from ffpp_tools.files import write_atomically
from ffpp_tools.picture import Image

TILE, GAP = 128, 4  # pixels
HEAT = 0.45  # share of the map's colour over a face


def write_explanations(folder: Path, found: Sequence[Explanation], said: str) -> None:
    """Write `sheet-<class>.jpg`, `mean-<class>.png`, `shown-<class>.csv` and explain.html.

    Args:
        folder: where to.
        found: of every class.
        said: what the network's figures may be trusted for; the page's first line.
    """
    for e in found:
        pairs = [(face, overlaid(face, heat)) for face, heat in zip(e.faces, e.maps, strict=True)]
        _write_picture(folder / f"sheet-{e.name}.jpg", _sheet(pairs))
        mean = _sheet([(e.mean_face, overlaid(e.mean_face, e.mean_map))])
        _write_picture(folder / f"mean-{e.name}.png", mean)
        columns = ["face_id", "class", "predicted", "probability"]
        shown = e.samples[columns].to_csv(index=False)
        write_atomically(folder / f"shown-{e.name}.csv", shown.encode())
    html = page.rendered(
        "explain.html", found=found, said=said, overlaid=overlaid, most=MAX_OF_A_CLASS
    )
    write_atomically(folder / "explain.html", html.encode())


def overlaid(face: Image, heat: npt.NDArray[np.float32]) -> Image:
    """A face under its map, (size, size, 3) uint8 RGB: red is where the network looks."""
    colours = cv2.applyColorMap(np.rint(255 * heat).astype(np.uint8), cv2.COLORMAP_TURBO)
    mixed = cv2.addWeighted(face, 1 - HEAT, np.ascontiguousarray(colours[..., ::-1]), HEAT, 0)
    return np.asarray(mixed, np.uint8)


def _sheet(pairs: Sequence[tuple[Image, Image]]) -> Image:
    """Faces above what the network sees in them, (h, w, 3) uint8 RGB."""
    step = TILE + GAP
    sheet = np.full((2 * step + GAP, len(pairs) * step + GAP, 3), 255, np.uint8)
    for column, pair in enumerate(pairs):
        for row, picture in enumerate(pair):
            y, x = GAP + row * step, GAP + column * step
            tile = cv2.resize(picture, (TILE, TILE), interpolation=cv2.INTER_AREA)
            sheet[y : y + TILE, x : x + TILE] = tile
    return sheet


def _write_picture(path: Path, image: Image) -> None:
    data = cv2.imencode(path.suffix, image[..., ::-1])[1].tobytes()
    write_atomically(path, data)
