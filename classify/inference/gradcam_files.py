"""Explanations as pictures: a contact sheet and a mean map of every class, and a page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from classify.inference.gradcam import MAX_OF_A_CLASS, Explanation
from classify.reporting import formatting
from ffpp_tools.files import write_atomically
from ffpp_tools.store.incomplete import writing_folder
from ffpp_tools.video.image import Image

TILE, GAP = 128, 4  # pixels
WRITTEN = ("explain.html", "sheet-*.jpg", "mean-*.png", "shown-*.csv")
HEAT = 0.45  # share of the map's colour over a face


def write_explanations(
    folder: Path, found: Sequence[Explanation], said: str, *, faces: bool = True
) -> None:
    """Write `sheet-<class>.jpg`, `mean-<class>.png`, `shown-<class>.csv` and explain.html.

    Those that were written there before go first.

    Args:
        folder: where to.
        found: of every class.
        said: what the network's figures may be trusted for; the page's first line.
        faces: False for mean maps alone, as plain colours: over a few clips of one person even
            a mean face may be known.
    """
    with writing_folder(folder, "classify explain"):
        for old in [path for pattern in WRITTEN for path in folder.glob(pattern)]:
            old.unlink()
        for e in found:
            _write_class(folder, e, faces)
        html = _page(found, said, faces)
        write_atomically(folder / "explain.html", html.encode())


def _write_class(folder: Path, e: Explanation, faces: bool) -> None:
    if not faces:
        _write_picture(folder / f"mean-{e.name}.png", _scaled(coloured(e.mean_map)))
        return
    pairs = [(face, overlaid(face, heat)) for face, heat in zip(e.faces, e.maps, strict=True)]
    _write_picture(folder / f"sheet-{e.name}.jpg", _sheet(pairs))
    mean = _sheet([(e.mean_face, overlaid(e.mean_face, e.mean_map))])
    _write_picture(folder / f"mean-{e.name}.png", mean)
    columns = ["face_id", "class", "predicted", "probability"]
    shown = e.samples[columns].to_csv(index=False)
    write_atomically(folder / f"shown-{e.name}.csv", shown.encode())


def _page(found: Sequence[Explanation], said: str, faces: bool) -> str:
    return formatting.rendered(
        "explain.html",
        found=found,
        said=said,
        overlaid=overlaid,
        coloured=coloured,
        most=MAX_OF_A_CLASS,
        faces=faces,
    )


def overlaid(face: Image, heat: npt.NDArray[np.float32]) -> Image:
    """A face under its map, (size, size, 3) uint8 RGB: red is where the network looks."""
    return np.asarray(cv2.addWeighted(face, 1 - HEAT, coloured(heat), HEAT, 0), np.uint8)


def coloured(heat: npt.NDArray[np.float32]) -> Image:
    """A map without a face, (size, size, 3) uint8 RGB: blue for 0 to red for 1."""
    colours = cv2.applyColorMap(np.rint(255 * heat).astype(np.uint8), cv2.COLORMAP_TURBO)
    return np.ascontiguousarray(colours[..., ::-1])


def _sheet(pairs: Sequence[tuple[Image, Image]]) -> Image:
    """Faces above what the network sees in them, (h, w, 3) uint8 RGB."""
    step = TILE + GAP
    sheet = np.full((2 * step + GAP, len(pairs) * step + GAP, 3), 255, np.uint8)
    for column, pair in enumerate(pairs):
        for row, picture in enumerate(pair):
            y, x = GAP + row * step, GAP + column * step
            sheet[y : y + TILE, x : x + TILE] = _scaled(picture)
    return sheet


def _scaled(picture: Image) -> Image:
    return np.asarray(cv2.resize(picture, (TILE, TILE), interpolation=cv2.INTER_AREA), np.uint8)


def _write_picture(path: Path, image: Image) -> None:
    data = cv2.imencode(path.suffix, image[..., ::-1])[1].tobytes()
    write_atomically(path, data)
