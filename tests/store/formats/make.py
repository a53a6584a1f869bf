"""Write tests/formats/<version>.tar.xz: small files of every kind, as this release writes them.

They stay in the repository, so that later releases are tested on what this one wrote. Faces are
drawn. `python -m tests.formats.make NAME`, run at a release, makes the archive of that release.
"""

from __future__ import annotations

import platform
import shutil
import sys
import tarfile
import tempfile
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).parent
PICTURES = (".png", ".svg", ".html", ".jpg")
CAT = "CelebA"


def small() -> None:
    """Register a network of 60 parameters, so that its checkpoints are small."""
    from classify.models import ARCHITECTURES, Architecture

    def layers() -> list[object]:
        import keras

        return [
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(2, 3, strides=4, activation="relu"),
            keras.layers.GlobalAveragePooling2D(),
        ]

    ARCHITECTURES["small"] = Architecture("small", "an example", 62, 64, None, layers)


class StopError(Exception):
    """Ends a training after an epoch."""


def main(name: str) -> None:
    """Write the archive `name`.tar.xz."""
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        dataset(root)
        manifests(root)
        runs(root)
        pack(root, ROOT / f"{name}.tar.xz")


def dataset(root: Path) -> None:
    """Two frames of each of a few drawn clips, and stills; duplicates, identities."""
    from ffpp_tools.demo import draw_world
    from ffpp_tools.extraction.pipeline import extract_dataset, extract_still_dataset
    from ffpp_tools.extraction.settings import ClipSettings, StillSettings
    from ffpp_tools.faces.crop import CropSettings
    from ffpp_tools.grouping.dedupe import find_duplicates
    from ffpp_tools.grouping.identity import identify
    from ffpp_tools.sources.faceforensics import families, find_clips
    from ffpp_tools.sources.official_lists import OF_FFPP, copy_lists
    from ffpp_tools.sources.stills import find_stills
    from ffpp_tools.video.sampling import FramePlan

    world = draw_world(root / "world", 6, seconds=1.0, workers=2)
    ffpp, folder = world / "FaceForensics++", root / "dataset"
    cropped = CropSettings(size="16x16", format="jpg")
    categories = ["Youtube", "Deepfakes"]
    copy_lists(ffpp, folder, OF_FFPP)
    extract_dataset(
        families(ffpp, find_clips(ffpp, categories)),
        folder,
        ClipSettings(FramePlan(every=20), cropped),
    )
    stills = find_stills(world / CAT, CAT, limit=6)
    extract_still_dataset(stills, folder, StillSettings(cropped))
    find_duplicates(folder)
    identify(folder, max_distance=0.001)  # drawn people look alike
    shutil.rmtree(world)


def manifests(root: Path) -> None:
    """A manifest of two classes, audited."""
    import pandas as pd

    from ffpp_tools.grouping.dataset import Dataset
    from ffpp_tools.splits import shortcuts
    from ffpp_tools.splits.build import SplitSettings, make_manifest
    from ffpp_tools.store.schema import SPLITS

    recipe = root / "two.toml"
    recipe.write_text(
        'about = "Deepfakes against originals"\nrule = "grouped"\nmode = "binary"\n'
        'ratios = [34, 33, 33]\n\n[classes]\nfake = ["Deepfakes"]\nreal = ["Youtube"]\n'
    )
    made = make_manifest(root / "dataset", root / "manifest", SplitSettings(recipe=str(recipe)))
    samples = pd.concat([made.samples(s).assign(split=s) for s in SPLITS])
    answers = shortcuts.measure_shortcuts(made.root, Dataset.read(made.root).faces, samples, 1)
    shortcuts.write(made, answers)


def runs(root: Path) -> None:
    """A run that has ended and was judged; one cut short, a DCGAN, a search."""
    import keras

    from classify.evaluation.predict import score_split
    from classify.evaluation.thresholds import operating_point
    from classify.gan import train as gan
    from classify.gan.generate import generate
    from classify.gan.settings import GanSettings
    from classify.reporting.report import make_report
    from classify.search import tune
    from classify.training.settings import TrainSettings
    from classify.training.train import train

    class StopAfter(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
            if epoch:
                raise StopError

    small()
    settings = TrainSettings(arch="small", size=32, batch_size=4, epochs=2, augment="flip")
    run = train(root / "manifest", root / "run", replace(settings, epochs=1))
    operating_point(run)
    score_split(run, "test")
    make_report(run, "test", None, False, None, faces=False)
    cut(lambda: train(root / "manifest", root / "cut", settings, [StopAfter()]))
    of_gan = GanSettings(size=16, latent=2, filters=1, epochs=2, batch_size=4, every=1)
    cut(lambda: gan.train(root / "dataset/faces", root / "gan", of_gan, [StopAfter()]))
    from classify.gan.run import GanRun

    generate(GanRun.read(root / "gan"), 1, root / "gan/generated")
    search = tune.Search(trials=1, vary=("learning_rate",))
    tune.tune(root / "manifest", root / "search", replace(settings, epochs=1), search)
    shutil.rmtree(root / "search/oracle")


def cut(training: object) -> None:
    """Run a training that is stopped after an epoch."""
    try:
        training()  # type: ignore[operator]
    except StopError:
        return
    raise AssertionError("it was not stopped")


def pack(root: Path, archive: Path) -> None:
    """Put what is read back into an archive; pages, pictures and packed arrays are not."""
    shutil.rmtree(root / "manifest/packed")
    for path in root.rglob("environment.json"):
        path.write_text(path.read_text().replace(platform.platform(), "Linux"))
    for kind in (root / "dataset/measured").iterdir():
        for path in sorted(kind.iterdir())[1:]:  # one file of each kind tells enough
            path.unlink()
    keep = [
        path
        for path in sorted(root.rglob("*"))
        if path.is_file()
        and path.name not in (".lock", "log.txt")
        and (path.suffix not in PICTURES or "faces" in path.parts)
        and not (path.suffix in (".csv", ".txt", ".md") and "report" in path.parts)
    ]
    with tarfile.open(archive, "w:xz") as file:
        for path in keep:
            info = tarfile.TarInfo(path.relative_to(root).as_posix())
            info.size = path.stat().st_size
            with path.open("rb") as content:
                file.addfile(info, content)


if __name__ == "__main__":
    main(sys.argv[1])
