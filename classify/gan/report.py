"""Evaluate all saved generators of a DCGAN: diversity and distance to real faces."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from classify.data.pack import ProgressFactory
from classify.errors import DownloadError, RunError
from classify.gan import figures
from classify.gan.collapse import WATCHED, diversity
from classify.gan.frechet import feature_network, features, frechet_distance
from classify.gan.generate import generated_images, noise_of
from classify.gan.real_faces import ARRAY, load
from classify.gan.run import GanRun
from classify.reporting import formatting
from classify.training import curves
from classify.training.runs import load_model
from ffpp_tools.files import write_atomically
from ffpp_tools.store.incomplete import writing_folder

MOST = 2000  # maximum number of faces for a distance
SHOWN = 6  # faces per generator
SEED = 1_000_000  # of faces that `generate` does not write by default


@dataclass(frozen=True)
class GeneratorResult:
    """Results of one saved generator."""

    epochs: int
    faces: npt.NDArray[np.uint8]  # (SHOWN, size, size, 3) RGB, from the same noise for all
    diversity: float  # as a fraction of that of real images
    distance: float  # to real images, `frechet.frechet_distance`; nan if not measured


@dataclass(frozen=True)
class GanReport:
    """Results of all saved generators of a run.

    measured: number of faces behind each distance.
    floor: distance between two sets of as many real images, which no generator can be expected to
        beat.
    """

    run: GanRun
    kept: tuple[GeneratorResult, ...]
    measured: int
    floor: float

    @property
    def table(self) -> pd.DataFrame:
        """A row per generator: epochs, diversity, distance."""
        return pd.DataFrame([(k.epochs, k.diversity, k.distance) for k in self.kept]).set_axis(
            ["epochs", "diversity", "distance"], axis=1
        )


def make_report(
    run: GanRun, weights: str, progress: ProgressFactory | None = None, *, faces: bool = True
) -> GanReport:
    """Evaluate every saved generator, and write `report/` in the run folder.

    Args:
        run: a trained DCGAN.
        weights: of EfficientNetB0, see `frechet.feature_network`; if "imagenet" cannot be
            downloaded, no distances are computed.
        progress: progress bar factory, see `pack.ProgressFactory`.
        faces: whether the page shows generated faces: a generator may have memorised real ones.

    Raises:
        RunError: no generator has been saved yet.
        ModelError: the weights do not fit.
    """
    images = load(run.folder / ARRAY, run.settings.size)
    if not run.kept_epochs:
        raise RunError(f"{run.folder}: no generator has been saved yet; train it for more epochs")
    half = min(len(images) // 2, MOST)
    drawn = np.random.default_rng(SEED).permutation(len(images))[: 2 * half]
    try:
        network = feature_network(weights)
    except DownloadError:
        network, floor = None, np.nan
    else:
        real, others = (
            features(network, images[np.sort(rows)]) for rows in (drawn[:half], drawn[half:])
        )
        floor = frechet_distance(real, others)
    noise = noise_of(list(range(1, max(half, WATCHED) + 1)), SEED, run.settings.latent)
    real_diversity = diversity(images[np.sort(drawn[:WATCHED])])

    results = []
    epochs = run.kept_epochs
    for number in progress("evaluating generators")(epochs, len(epochs)) if progress else epochs:
        generated = generated_images(load_model(run.generator(number)), noise)
        distance = np.nan
        if network is not None:
            distance = frechet_distance(real, features(network, generated[:half]))
        relative = diversity(generated[:WATCHED]) / real_diversity
        results.append(GeneratorResult(number, generated[:SHOWN].copy(), relative, distance))
    report = GanReport(run, tuple(results), half, floor)
    _write(report, run.folder / "report", faces)
    return report


def _write(report: GanReport, folder: Path, faces: bool) -> None:
    table = report.table.to_csv(index=False)
    html = formatting.rendered(
        "gan.html",
        report=report,
        course=curves.image(figures.course(report.run.log), "svg"),
        faces=faces,
        remarks=report.run.remarks(),
        source=report.run.source.name,
    )
    with writing_folder(folder, "classify gan report", ("generators.csv", "report.html")):
        write_atomically(folder / "generators.csv", table.encode())
        write_atomically(folder / "report.html", html.encode())
