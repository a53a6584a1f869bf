"""Explanations as files: a contact sheet and a mean map of every class, and a page."""

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
HEAT = 0.45  # opacity of a map over a face


def write_explanations(
    folder: Path, explanations: Sequence[Explanation], provenance: str, *, faces: bool = True
) -> None:
    """Write `sheet-<class>.jpg`, `mean-<class>.png`, `shown-<class>.csv` and explain.html.

    Files of an earlier call are deleted first.

    Args:
        folder: output folder.
        explanations: one per class.
        provenance: how far the network's results can be trusted; the first line of the page.
        faces: False for the mean maps alone, as plain colours: even a mean face may be
            recognisable if it comes from a few clips of one person.
    """
    with writing_folder(folder, "classify explain"):
        for old in [path for pattern in WRITTEN for path in folder.glob(pattern)]:
            old.unlink()
        for e in explanations:
            _write_class(folder, e, faces)
        html = _page(explanations, provenance, faces)
        write_atomically(folder / "explain.html", html.encode())


def _write_class(folder: Path, e: Explanation, faces: bool) -> None:
    if not faces:
        _write_image(folder / f"mean-{e.name}.png", _scaled(coloured(e.mean_map)))
        return
    pairs = [(face, overlaid(face, heat)) for face, heat in zip(e.faces, e.maps, strict=True)]
    _write_image(folder / f"sheet-{e.name}.jpg", _sheet(pairs))
    mean = _sheet([(e.mean_face, overlaid(e.mean_face, e.mean_map))])
    _write_image(folder / f"mean-{e.name}.png", mean)
    columns = ["face_id", "class", "predicted", "probability"]
    shown = e.samples[columns].to_csv(index=False)
    write_atomically(folder / f"shown-{e.name}.csv", shown.encode())


def _page(explanations: Sequence[Explanation], provenance: str, faces: bool) -> str:
    return formatting.rendered(
        "explain.html",
        explanations=explanations,
        provenance=provenance,
        overlaid=overlaid,
        coloured=coloured,
        most=MAX_OF_A_CLASS,
        faces=faces,
    )


def overlaid(face: Image, heat: npt.NDArray[np.float32]) -> Image:
    """Blend a face with its map, (size, size, 3) uint8 RGB; red supports the class most."""
    return np.asarray(cv2.addWeighted(face, 1 - HEAT, coloured(heat), HEAT, 0), np.uint8)


def coloured(heat: npt.NDArray[np.float32]) -> Image:
    """Colour a map, (size, size, 3) uint8 RGB, from blue for 0 to red for 1."""
    colours = cv2.applyColorMap(np.rint(255 * heat).astype(np.uint8), cv2.COLORMAP_TURBO)
    return np.ascontiguousarray(colours[..., ::-1])


def _sheet(pairs: Sequence[tuple[Image, Image]]) -> Image:
    """Arrange faces above their maps, (h, w, 3) uint8 RGB."""
    step = TILE + GAP
    sheet = np.full((2 * step + GAP, len(pairs) * step + GAP, 3), 255, np.uint8)
    for column, pair in enumerate(pairs):
        for row, image in enumerate(pair):
            y, x = GAP + row * step, GAP + column * step
            sheet[y : y + TILE, x : x + TILE] = _scaled(image)
    return sheet


def _scaled(image: Image) -> Image:
    return np.asarray(cv2.resize(image, (TILE, TILE), interpolation=cv2.INTER_AREA), np.uint8)


def _write_image(path: Path, image: Image) -> None:
    data = cv2.imencode(path.suffix, image[..., ::-1])[1].tobytes()
    write_atomically(path, data)
