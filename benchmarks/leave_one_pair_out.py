"""Selection and test of a training recipe on a few FF++ clips, by nested leave-one-pair-out.

    ffpp-split dataset --mode videos --out all
    python benchmarks/leave_one_pair_out.py all --out study --weights b0_notop.weights.h5

For every test pair of people, each recipe of `RECIPES` is trained on two of the other pairs and
validated on the third, in turn. The recipe with the highest mean accuracy is trained again on all
three, and tested on the pair that was not used for the selection. The number of epochs is fixed by
the recipe; no checkpoint is selected. Finally, the recipe that was selected most often is tested
on a random fifth of the frames, ignoring identity groups, which shows the effect of leakage on the
same network. An interrupted study resumes; at most one training run is lost.
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
    """Select and test a recipe for every pair, and print the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("manifest", type=Path, help="manifest of mode videos with all clips")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--weights", required=True, help="EfficientNetB0 without top")
    parser.add_argument("--recipes", nargs="+", default=list(RECIPES), choices=RECIPES)
    options = parser.parse_args()
    study = Study(Manifest.read(options.manifest), options.out, options.weights)
    tested, selected = [], []
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
        selected.append(best)
    accuracy, auc = np.mean(tested, axis=0)
    print(f"held-out people, mean: accuracy {accuracy:.3f}, AUC {auc:.3f}")
    (most_selected, _), *_ = Counter(selected).most_common(1)
    accuracy, auc = study.random_frames(most_selected)
    print(f"random frames, {most_selected}: accuracy {accuracy:.3f}, AUC {auc:.3f}")


class Study:
    """Training runs on some pairs of people, evaluated on others."""

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
        """Return accuracy over the classes and AUC of fake vs real on `test`, per frame."""
        name = "+".join(str(self.pairs.index(pair) + 1) for pair in pairs)
        split = self.rows["group"].map(dict.fromkeys(pairs, "train") | {pairs[-1]: "val"})
        predictions = self._predictions(recipe, name, split.fillna("test"))
        return judge(predictions[predictions["group"] == test])

    def random_frames(self, recipe: str) -> tuple[float, float]:
        """Return the same if frames of a clip are in both train and test."""
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
    """Return accuracy over the classes, and AUC of fake vs real."""
    names = [column for column in predictions if column.startswith("p_")]
    probabilities = predictions[names].to_numpy()
    accuracy = metrics.accuracy(predictions["class_index"].to_numpy(), probabilities.argmax(axis=1))
    fake = (predictions["label"] == "fake").to_numpy()
    return accuracy, metrics.auc(fake, 1 - predictions["p_Youtube"].to_numpy())


if __name__ == "__main__":
    main()
