"""What a DCGAN's generators are worth, from the first that was kept to the last."""

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

MOST = 2000  # faces that a distance is measured on
SHOWN = 6  # of each generator
SEED = 1_000_000  # no face that `generate` would write without being asked for it


@dataclass(frozen=True)
class GeneratorResult:
    """One generator that was kept."""

    epochs: int
    faces: npt.NDArray[np.uint8]  # (SHOWN, size, size, 3) RGB, of the same noise for all
    diversity: float  # as a share of real pictures'
    distance: float  # to real pictures, `frechet.frechet_distance`; nan where not measured


@dataclass(frozen=True)
class GanReport:
    """All generators of a run.

    measured: how many faces each distance rests on.
    floor: the distance of two sets of so many real pictures; no generator can be expected below it.
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
    """Judge every generator that was kept, and write `report/` of the run.

    Args:
        run: a trained DCGAN.
        weights: of EfficientNetB0, as `frechet.feature_network` takes them; where "imagenet"
            cannot be downloaded, there are no distances.
        progress: as `pack.pack` takes it.
        faces: whether the page shows generated faces: a generator may know real ones by heart.

    Raises:
        RunError: no generator was kept yet.
        ModelError: the weights do not fit.
    """
    images = load(run.folder / ARRAY, run.settings.size)
    if not run.kept_epochs:
        raise RunError(f"{run.folder}: no generator was kept yet; train it for more epochs")
    half = min(len(images) // 2, MOST)
    drawn = np.random.default_rng(SEED).permutation(len(images))[: 2 * half]
    try:
        network = feature_network(weights)
    except DownloadError:
        network, floor = None, np.nan
    else:
        real, others = (
            features(network, images[np.sort(part)]) for part in (drawn[:half], drawn[half:])
        )
        floor = frechet_distance(real, others)
    noise = noise_of(list(range(1, max(half, WATCHED) + 1)), SEED, run.settings.latent)
    real_diversity = diversity(images[np.sort(drawn[:WATCHED])])

    kept = []
    epochs = run.kept_epochs
    for number in progress("judging generators")(epochs, len(epochs)) if progress else epochs:
        made = generated_images(load_model(run.generator(number)), noise)
        distance = np.nan
        if network is not None:
            distance = frechet_distance(real, features(network, made[:half]))
        share = diversity(made[:WATCHED]) / real_diversity
        kept.append(GeneratorResult(number, made[:SHOWN].copy(), share, distance))
    found = GanReport(run, tuple(kept), half, floor)
    _write(found, run.folder / "report", faces)
    return found


def _write(found: GanReport, folder: Path, faces: bool) -> None:
    table = found.table.to_csv(index=False)
    svg = curves.image(figures.course(found.run.log), "svg")
    said = {"remarks": found.run.remarks(), "source": found.run.source.name}
    html = formatting.rendered("gan.html", found=found, course=svg, faces=faces, **said)
    with writing_folder(folder, "classify gan report", ("generators.csv", "report.html")):
        write_atomically(folder / "generators.csv", table.encode())
        write_atomically(folder / "report.html", html.encode())
