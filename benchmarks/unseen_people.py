r"""Compare training settings on held-out people, by nested leave-one-pair-out.

    ffpp-extract FaceForensics++ --every 5 --out dataset
    ffpp-split dataset --mode videos --out all
    python benchmarks/unseen_people.py run all --weights b0_notop.weights.h5 --out study \
        --results mine.csv pairs-224-stride-16
    python benchmarks/unseen_people.py table --results mine.csv

A *condition* is a table of `unseen_people.toml`: settings of `classify train`, and which frames
are trained on. `run` trains the named conditions and appends one row per tested pair of people to
`unseen_people.csv`; a row that is already there is not computed again, so that an interrupted run
goes on. Pairs of people are those of FF++: two clips and all fakes made of them.

inner   trained on two pairs and tested on each of the others. Settings are selected on these.
outer   trained on all pairs but one, and tested on that one.
random  trained on three of four frames of every clip, drawn at random, and tested on the fourth.
        Every person is in both splits; this shows what such a test hides.

No epoch is selected: a run has a fixed length. `table` prints the mean of each condition over each
kind of folds, and the nested result: for each tested pair, the outer result of the condition with
the highest accuracy in the inner folds in which that pair was not involved.
"""

from __future__ import annotations

import argparse
import itertools
import os
import shutil
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from classify.evaluation import metrics
from classify.evaluation.scores import Scores
from ffpp_tools.splits.manifest import Manifest, write_manifest
from ffpp_tools.store.schema import SPLITS

HERE = Path(__file__).parent
CONDITIONS = HERE / "unseen_people.toml"
RESULTS = HERE / "unseen_people.csv"
PAIRS = 4  # of people
STUDENT_T = 3.182  # of a two-sided 95 % interval of the mean of four values
TESTED_EVERY = 10  # tested frames: the same for every condition
RANDOM = ("random frames",)  # in place of the pairs that are trained on
KEY = ["condition", "seed", "trained_on", "tested_on"]
MEASURES = [
    *("frame_accuracy", "frame_auc", "clip_accuracy", "clip_auc"),
    *(f"{method}_clip_auc" for method in ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures")),
]
HEADS = ["frame accuracy", "frame AUC", "clip accuracy", "clip AUC"]  # of the first measures


@dataclass(frozen=True)
class Condition:
    """Settings that are compared."""

    name: str
    mode: str  # "videos" or "binary"
    every: int  # frames of a clip that are trained on
    crops: int  # crops seen in training, repetitions included
    inner: str  # the condition whose inner folds select this one
    settings: dict[str, Any]  # of `TrainSettings`, besides weights, seed and epochs

    @classmethod
    def read(cls, name: str) -> Condition:
        """Read a condition; it may build on another one (`base`)."""
        tables = tomllib.loads(CONDITIONS.read_text("utf-8"))
        values: dict[str, Any] = {}
        link: str | None = name
        while link is not None:
            table = dict(tables[link])
            link = table.pop("base", None)
            values = table | values
        values.pop("about", None)
        fixed = {key: values.pop(key) for key in ("mode", "every", "crops")}
        return cls(name, **fixed, inner=values.pop("inner", name), settings=values)


def main() -> None:
    """Run conditions, or print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="train and test conditions")
    run.add_argument("manifest", type=Path, help="manifest of mode videos with all clips")
    run.add_argument("conditions", nargs="+")
    run.add_argument("--out", type=Path, required=True)
    run.add_argument("--weights", required=True, help="EfficientNetB0 without top")
    run.add_argument("--folds", choices=("inner", "outer", "random"), default="inner")
    run.add_argument("--at-most", type=int, help="number of folds; by default all")
    run.add_argument("--seeds", nargs="+", type=int, default=[0])
    table = commands.add_parser("table", help="print the results")
    for command in (run, table):
        command.add_argument("--results", type=Path, default=RESULTS, help="CSV file")
    options = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if options.command == "table":
        print_table(pd.read_csv(options.results))
        return
    study = Study(Manifest.read(options.manifest), options.out, options.weights, options.results)
    for seed, name in itertools.product(options.seeds, options.conditions):
        for trained_on in study.folds(options.folds)[: options.at_most]:
            study.run(Condition.read(name), trained_on, seed)


class Study:
    """Training runs on some pairs of people, tested on the others."""

    def __init__(self, manifest: Manifest, folder: Path, weights: str, results: Path) -> None:
        parts = [manifest.samples(split) for split in SPLITS]
        rows = pd.concat(parts, ignore_index=True)
        hashes = pd.concat(list(map(manifest.crop_hashes, SPLITS, parts)))
        self.rows = rows.assign(sha256=rows["path"].map(hashes))
        self.root = manifest.root
        self.info = manifest.info
        self.folder = folder
        self.weights = weights
        self.results = results
        self.pairs = sorted(self.rows["group"].unique())
        if len(self.pairs) != PAIRS:
            raise SystemExit(f"{manifest.folder}: {len(self.pairs)} pairs of people, not {PAIRS}")

    def folds(self, kind: str) -> list[tuple[str, ...]]:
        """Return the sets of pairs to train on; of inner folds, complements follow each other."""
        if kind == "random":
            return [RANDOM]
        if kind == "outer":
            return list(itertools.combinations(self.pairs, len(self.pairs) - 1))
        sets = list(itertools.combinations(self.pairs, 2))
        with_first = [chosen for chosen in sets if self.pairs[0] in chosen]
        of_others = [tuple(p for p in self.pairs if p not in chosen) for chosen in with_first]
        return [fold for both in zip(with_first, of_others, strict=True) for fold in both]

    def run(self, condition: Condition, trained_on: tuple[str, ...], seed: int) -> None:
        """Train a condition once, test it on all other pairs, and append the results."""
        import keras

        from classify.evaluation.predict import score_split
        from classify.training.settings import TrainSettings
        from classify.training.train import train

        numbers = f"random-{seed}"
        if trained_on != RANDOM:
            numbers = "+".join(str(self.pairs.index(pair) + 1) for pair in trained_on)
        found = self._finished()
        same = (found["condition"] == condition.name) & (found["seed"] == seed)
        if (same & (found["trained_on"] == "+".join(trained_on))).any():
            print(f"{condition.name} {numbers} {seed}: already in {self.results}", flush=True)
            return
        folder = self.folder / f"{condition.name}-{numbers}-{seed}"
        shutil.rmtree(folder, ignore_errors=True)  # of an interrupted run
        manifest = self._manifest(condition, trained_on, numbers, seed)
        trained = sum(len(Manifest.read(manifest).samples(split)) for split in ("train", "val"))
        epochs = max(round(condition.crops / trained), 1)
        warmup = 0.1 * epochs if condition.settings["schedule"] == "cosine" else 0
        settings = TrainSettings(
            weights=self.weights,
            refit=True,
            seed=seed,
            epochs=epochs,
            warmup_epochs=warmup,
            **condition.settings,
        )
        keras.utils.clear_session()
        run = train(manifest, folder, settings)
        scores = score_split(run, "test")
        rows = [
            {
                "condition": condition.name,
                "seed": seed,
                "trained_on": "+".join(trained_on),
                "tested_on": pair,
                **judge(Scores(scores.table[scores.table["group"] == pair], scores.classes)),
                "images_per_second": round(run.log["images_per_second"].median(), 1),
                "seconds": round(run.log["seconds"].sum()),
            }
            for pair in self.pairs
            if pair not in trained_on
        ]
        table = pd.concat([self._finished(), pd.DataFrame(rows)], ignore_index=True)
        table = table.sort_values(KEY).round(4)
        table.to_csv(self.results, index=False, lineterminator="\n")
        means = pd.DataFrame(rows)[MEASURES[:4]].mean().round(3)
        print(condition.name, numbers, seed, dict(means), flush=True)
        shutil.rmtree(folder)

    def _finished(self) -> pd.DataFrame:
        return pd.read_csv(self.results) if self.results.exists() else pd.DataFrame(columns=KEY)

    def _manifest(
        self, condition: Condition, trained_on: tuple[str, ...], numbers: str, seed: int
    ) -> Path:
        """Write the manifest of a fold; its val split is trained on too."""
        folder = self.folder / f"manifest-{condition.mode}-{condition.every}-{numbers}"
        if (folder / "manifest.json").exists():
            return folder
        rows, info = self.rows, {**self.info, "root": os.path.relpath(self.root, folder)}
        if condition.mode == "binary":
            info |= {"mode": "binary", "classes": {"fake": "fake", "real": "real"}}
            index = (rows["label"] == "real").astype(int)
            rows = rows.assign(**{"class": rows["label"], "class_index": index})
        inside = rows["group"].isin(trained_on)
        if trained_on == RANDOM:
            draws = np.random.default_rng(seed).random(rows["frame"].max() + 1)
            inside = pd.Series(draws[rows["frame"]] < 0.75, index=rows.index)
        trained = rows[inside & (rows["frame"] % condition.every == 0)]
        tested = rows[~inside & (rows["frame"] % TESTED_EVERY == 0)]
        val = trained["group"] == (self.pairs if trained_on == RANDOM else trained_on)[-1]
        splits = {"train": trained[~val], "val": trained[val], "test": tested}
        write_manifest(folder, splits.items(), info)
        return folder


def judge(scores: Scores) -> dict[str, float]:
    """Return accuracy over the classes and AUC of fake against real, per frame and per clip."""
    result = {}
    for unit, of_unit in (("frame", scores), ("clip", scores.clips())):
        correct = of_unit.predicted == of_unit.actual
        result[f"{unit}_accuracy"] = float(correct.mean())
        result[f"{unit}_auc"] = _auc(of_unit)
        if unit == "clip":
            for method in MEASURES[4:]:
                wanted = [method.removesuffix("_clip_auc"), "Youtube"]
                rows = of_unit.table[of_unit.table["category"].isin(wanted)]
                result[method] = _auc(Scores(rows, scores.classes, "clip"))
    return result


def _auc(scores: Scores) -> float:
    curve = metrics.threshold_curve(scores.is_fake, scores.p_fake)
    return float(metrics.auc(curve)[0])


def print_table(results: pd.DataFrame) -> None:
    """Print the means of every condition, and the nested result, as Markdown tables."""
    for title, folds in by_kind(results).items():
        print(f"{title} folds\n\n{condition_table(folds)}")
    nested = nested_results(results)
    if len(nested) == PAIRS:
        print(f"nested\n\n{nested_table(nested)}")


def by_kind(results: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the results of the inner, outer and random folds."""
    count = results["trained_on"].str.count(r"\+") + 1
    sizes = {"inner": 2, "outer": PAIRS - 1, "random": 1}
    return {kind: results[count == size] for kind, size in sizes.items()}


def condition_table(folds: pd.DataFrame) -> str:
    """Return the results of one kind of folds as Markdown, in the order of `unseen_people.toml`.

    Means over the tested pairs of people and over seeds; a seed that lacks pairs which another seed
    has is left out. With several seeds, ± is the standard deviation from seed to seed. Accuracy of
    real and fake is left out: four of five samples are fake.
    """
    rows = []
    for name, table in tomllib.loads(CONDITIONS.read_text("utf-8")).items():
        of_name = folds[folds["condition"] == name]
        if of_name.empty:
            continue
        tested = of_name.groupby("seed")["tested_on"].transform("nunique")
        of_name = of_name[tested == tested.max()]
        by_seed = of_name.groupby("seed")[MEASURES].mean()
        is_binary = Condition.read(name).mode == "binary"
        shown = ["–" if is_binary and "accuracy" in m else _mean(by_seed[m]) for m in MEASURES[:4]]
        pairs = of_name["tested_on"].nunique()
        rows.append([f"`{name}`", table["about"], *shown, str(pairs), str(len(by_seed))])
    return markdown(["condition", "", *HEADS, "pairs", "seeds"], rows)


def nested_results(results: pd.DataFrame) -> pd.DataFrame:
    """Return, for each tested pair, the outer result of the condition that inner folds select.

    The condition has five classes, results of outer folds, and the highest mean accuracy per frame
    in the inner folds in which the pair is neither trained on nor tested.
    """
    kinds = by_kind(results)
    inner, outer = kinds["inner"], kinds["outer"]
    conditions = [Condition.read(name) for name in outer["condition"].unique()]
    rows = []
    for pair in sorted(outer["tested_on"].unique()):
        trained = inner["trained_on"].str.split("+").map(lambda pairs, p=pair: p in pairs)
        allowed = inner[~trained & (inner["tested_on"] != pair)]
        means = allowed.groupby("condition")["frame_accuracy"].mean()
        selectable = [c for c in conditions if c.mode == "videos" and c.inner in means]
        if not selectable:
            continue
        best = max(selectable, key=lambda c: means[c.inner]).name
        tested = outer[(outer["condition"] == best) & (outer["tested_on"] == pair)]
        rows.append({"tested_on": pair, "condition": best, **tested[MEASURES].mean()})
    return pd.DataFrame(rows)


def nested_table(nested: pd.DataFrame) -> str:
    """Return nested results as Markdown, with 95 % intervals of the mean over pairs of people."""
    columns = ["tested on", "selected", *HEADS]
    rows = [
        [row.tested_on, f"`{row.condition}`", *(f"{getattr(row, m):.3f}" for m in MEASURES[:4])]
        for row in nested.itertuples()
    ]
    values = nested[MEASURES[:4]]
    half = STUDENT_T * values.std() / np.sqrt(len(values))
    means = [f"{m:.3f} ± {h:.3f}" for m, h in zip(values.mean(), half, strict=True)]
    return markdown(columns, [*rows, ["mean", "", *means]])


def _mean(values: pd.Series) -> str:
    """Return a mean over seeds, with the standard deviation if there are several."""
    spread = f" ± {values.std():.3f}" if len(values) > 1 else ""
    return f"{values.mean():.3f}{spread}"


def markdown(columns: list[str], rows: list[list[str]]) -> str:
    """Return a table of texts as Markdown."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


if __name__ == "__main__":
    main()
