"""The best recipe on a handful of FF++ clips, found and tested without touching the test people.

    ffpp-split dataset --mode videos --out all
    python benchmarks/leave_one_pair_out.py all --out study --weights b0_notop.weights.h5

Nested leave-one-pair-out. For every test pair, each recipe of `RECIPES` is trained on two of the
other pairs and judged on the third, in turn; the recipe with the highest mean accuracy is trained
once more, on all three, and tested on the pair that took no part in any of this. The number of
epochs is the recipe's: no checkpoint is selected. Last, `ffpp-split`'s grouping is ignored and a
fifth of the frames drawn at random, with the recipe that was chosen most often: what leakage makes
of the same network. Interrupted, it goes on where it was; one training is lost.
"""

from __future__ import annotations

import argparse
import os
from collections import Counter
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import pandas as pd

from classify.evaluation import metrics
from classify.evaluation.predict import score_split
from classify.training.runs import Run
from classify.training.settings import TrainSettings
from classify.training.train import train
from ffpp_tools.splits.manifest import Manifest, write_manifest

QUICK = {
    "head": "gap",
    "dropout": 0.2,
    "epochs": 8,
    "batch_size": 32,
    "learning_rate": 3e-4,
    "augment": "flip",
}
STILL = {"freeze_batch_norm": True, "schedule": "cosine", "warmup_epochs": 1.0}
RECIPES = {
    "quick": QUICK,
    "probe": {**QUICK, "freeze": "all", "learning_rate": 3e-3},
    "still": {**QUICK, **STILL},
    "two-phase": {**QUICK, "head_epochs": 3, "fine_tuning_rate": 1e-4, "learning_rate": 3e-3},
    "robust": {**QUICK, **STILL, "augment": "robust", "epochs": 12},
}


def main() -> None:
    """Choose and test for every pair, and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("manifest", type=Path, help="of mode videos, with all the clips")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--weights", required=True, help="EfficientNetB0 without top")
    parser.add_argument("--recipes", nargs="+", default=list(RECIPES), choices=RECIPES)
    options = parser.parse_args()
    study = Study(Manifest.read(options.manifest), options.out, options.weights)
    tested, chosen = [], []
    for test in study.pairs:
        others = [pair for pair in study.pairs if pair != test]
        inner = {
            name: np.mean([study.score(name, [p for p in others if p != v], v) for v in others], 0)
            for name in options.recipes
        }
        for name, (accuracy, auc) in inner.items():
            print(f"  without {test}: {name:10} accuracy {accuracy:.3f}, AUC {auc:.3f}", flush=True)
        best = max(inner, key=lambda name: inner[name][0])
        accuracy, auc = study.score(best, others, test)
        print(f"{test}: {best} accuracy {accuracy:.3f}, AUC {auc:.3f}", flush=True)
        tested.append((accuracy, auc))
        chosen.append(best)
    accuracy, auc = np.mean(tested, axis=0)
    print(f"people held out, mean: accuracy {accuracy:.3f}, AUC {auc:.3f}")
    (favourite, _), *_ = Counter(chosen).most_common(1)
    accuracy, auc = study.random_frames(favourite)
    print(f"frames at random, {favourite}: accuracy {accuracy:.3f}, AUC {auc:.3f}")


class Study:
    """Trainings on some pairs of people, judged on others."""

    def __init__(self, manifest: Manifest, folder: Path, weights: str) -> None:
        splits = ("train", "val", "test")
        parts = [manifest.samples(split) for split in splits]
        rows = pd.concat(parts, ignore_index=True)
        hashes = pd.concat(list(map(manifest.crop_hashes, splits, parts)))
        self.rows = rows.assign(sha256=rows["path"].map(hashes))
        self.info = {**manifest.info, "root": os.path.relpath(manifest.root, folder / "x/y")}
        self.folder = folder
        self.weights = weights
        self.pairs = sorted(self.rows["group"].unique())

    def score(self, recipe: str, pairs: list[str], test: str) -> tuple[float, float]:
        """Accuracy over the classes and AUC of fake against real on `test`, per frame."""
        name = "+".join(str(self.pairs.index(pair) + 1) for pair in pairs)
        split = self.rows["group"].map(dict.fromkeys(pairs, "train") | {pairs[-1]: "val"})
        predictions = self._predictions(recipe, name, split.fillna("test"))
        return judge(predictions[predictions["group"] == test])

    def random_frames(self, recipe: str) -> tuple[float, float]:
        """The same where frames of one clip stand on both sides."""
        draw = np.random.default_rng(0).random(len(self.rows))
        split = pd.Series(np.select([draw < 0.2, draw < 0.4], ["test", "val"], "train"))
        return judge(self._predictions(recipe, "random", split))

    def _predictions(self, recipe: str, name: str, split: pd.Series) -> pd.DataFrame:
        folder = self.folder / name
        if not (folder / "manifest/manifest.json").exists():
            splits = {s: self.rows[split == s] for s in ("train", "val", "test")}
            write_manifest(folder / "manifest", splits.items(), self.info)
        run = folder / recipe
        if not (run / "learning.png").exists():
            if run.exists():
                run.rename(folder / f"interrupted-{len(list(folder.iterdir()))}")
            keras.backend.clear_session()
            settings = TrainSettings(weights=self.weights, refit=True, **RECIPES[recipe])
            train(folder / "manifest", run, settings)
        return score_split(Run.read(run), "test").table


def judge(predictions: pd.DataFrame) -> tuple[float, float]:
    """Accuracy over the classes, and AUC of fake against real."""
    names = [column for column in predictions if column.startswith("p_")]
    probabilities = predictions[names].to_numpy()
    accuracy = metrics.accuracy(predictions["class_index"].to_numpy(), probabilities.argmax(axis=1))
    fake = (predictions["label"] == "fake").to_numpy()
    return accuracy, metrics.auc(fake, 1 - predictions["p_Youtube"].to_numpy())


if __name__ == "__main__":
    main()
