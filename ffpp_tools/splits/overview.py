"""Overview page of a manifest: samples per class, category and identity group, and faces."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pandas as pd

from ffpp_tools.errors import TableError
from ffpp_tools.files import path_within, write_atomically
from ffpp_tools.splits.manifest import Manifest
from ffpp_tools.store.schema import SPLITS, STILL
from ffpp_tools.video.image import Image, read_image

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TILE, TILES = 96, 12  # contact sheet: side of a face in pixels, and number of faces in a row
GAP = 4  # pixels between faces
SAMPLE_COLUMNS = ("path", "class", "category", "compression", "clip", "group")
COLOURS = {"train": "#4477aa", "val": "#ccbb44", "test": "#ee6677"}  # Paul Tol's bright scheme


def draw_overview(manifest: Manifest, *, faces: bool = True) -> Path:
    """Write overview.html and its images into the manifest's folder, and return its path.

    Args:
        manifest: the manifest to draw.
        faces: whether to include contact sheets; False also deletes existing ones.

    Raises:
        TableError: a crop of the manifest is missing.
    """
    parts = [manifest.samples(s, SAMPLE_COLUMNS).assign(split=s) for s in SPLITS]
    samples = pd.concat(parts, ignore_index=True)
    images = {
        "samples": _png(_bars(samples)),
        "classes": _png(_pie(samples)),
        "groups": _png(_clips_of_groups(samples)),
    }
    for sheet in (manifest.folder / "overview").glob("faces-*.jpg"):
        sheet.unlink()
    for name in manifest.classes if faces else ():
        images[f"faces-{name}"] = _jpg(_sheet(samples[samples["class"] == name], manifest.root))
    for name, data in images.items():
        suffix = "jpg" if name.startswith("faces-") else "png"
        write_atomically(manifest.folder / "overview" / f"{name}.{suffix}", data)
    path = manifest.folder / "overview.html"
    write_atomically(path, _page(manifest, samples, images, faces).encode())
    return path


def _bars(samples: pd.DataFrame) -> Figure:
    """Draw the number of samples by class and split."""
    counts = pd.crosstab(samples["class"], samples["split"]).reindex(columns=list(SPLITS))
    figure, axes = _figure(7, 0.5 * len(counts) + 1.4)
    left = np.zeros(len(counts))
    for split in SPLITS:
        axes.barh(counts.index, counts[split], left=left, color=COLOURS[split], label=split)
        left += counts[split].to_numpy()
    axes.invert_yaxis()
    axes.set_xlabel("samples")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3, frameon=False)
    return figure


def _pie(samples: pd.DataFrame) -> Figure:
    """Draw the share of each category."""
    counts = samples["category"].value_counts().sort_index()
    figure, axes = _figure(5, 3.6)
    axes.pie(counts, labels=counts.index.to_list(), autopct="%.0f %%", startangle=90)
    return figure


def _clips_of_groups(samples: pd.DataFrame) -> Figure:
    """Draw the number of identity groups by their number of clips, and of stills."""
    figure, axes = _figure(7, 2.8)
    units = samples.assign(kind=np.where(samples["compression"] == STILL, "stills", "clips"))
    units = units.drop_duplicates(["category", "compression", "clip"])
    for kind, rows in units.groupby("kind"):
        sizes = rows["group"].value_counts().value_counts().sort_index()
        axes.plot(sizes.index, sizes, "o-", label=kind)
    axes.set_xlabel("clips or stills of an identity group")
    axes.set_ylabel("identity groups")
    axes.set_yscale("symlog", linthresh=1)
    axes.set_ylim(0, 2 * units["group"].nunique())
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.legend(frameon=False)
    return figure


def _figure(width: float, height: float) -> tuple[Figure, Any]:
    from matplotlib.figure import Figure

    figure = Figure((width, height), layout="constrained")
    return figure, figure.subplots()


def _sheet(samples: pd.DataFrame, root: Path) -> Image:
    """Return (h, w, 3) uint8 RGB: a row of faces for each split, evenly spaced over its samples."""
    pitch = TILE + GAP
    sheet = np.full((pitch * len(SPLITS) + GAP, pitch * TILES + GAP, 3), 255, np.uint8)
    for row, split in enumerate(SPLITS):
        paths = samples["path"][samples["split"] == split].to_numpy()
        chosen = np.unique(np.linspace(0, len(paths) - 1, TILES).round().astype(int))
        for column, path in enumerate(paths[chosen]):
            face = read_image(path_within(root, path))
            if face is None:
                raise TableError(
                    f"{root / path} is missing or not an image: the dataset has changed since the "
                    f"manifest was created. Extract it again, or pass --no-faces"
                )
            tile = cv2.resize(face, (TILE, TILE), interpolation=cv2.INTER_AREA)
            y, x = GAP + row * pitch, GAP + column * pitch
            sheet[y : y + TILE, x : x + TILE] = tile
    return sheet


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    return buffer.getvalue()


def _jpg(image: Image) -> bytes:
    return cv2.imencode(".jpg", image[..., ::-1], (cv2.IMWRITE_JPEG_QUALITY, 85))[1].tobytes()


def _page(manifest: Manifest, samples: pd.DataFrame, images: dict[str, bytes], faces: bool) -> str:
    from jinja2 import Environment, PackageLoader

    def embedded(name: str) -> str:
        kind = "jpeg" if name.startswith("faces-") else "png"
        return f"data:image/{kind};base64,{base64.b64encode(images[name]).decode()}"

    environment = Environment(loader=PackageLoader("ffpp_tools"), autoescape=True)
    counts = pd.crosstab(samples["class"], samples["split"]).reindex(columns=list(SPLITS))
    compression = manifest.info["audit"].get("compression") or {}
    rows = [row for split in compression.get("counts", {}).values() for row in split.items()]
    return environment.get_template("overview.html").render(
        compression=compression,
        compression_classes={name for name, _ in rows},
        compressions=sorted({c for _, row in rows for c in row}),
        title=manifest.folder.resolve().name,
        info=manifest.info,
        splits=SPLITS,
        counts=counts.to_dict("index"),
        classes=manifest.classes,
        embedded=embedded,
        faces=faces,
    )
