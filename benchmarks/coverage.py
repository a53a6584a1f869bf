"""Coverage of a report's confidence intervals, on simulated detectors and people.

    python benchmarks/coverage.py --tests 400 --groups 5,8,20,30,60
    python benchmarks/coverage.py --unit frame --world "with stills" --tests 100

Each simulated test split is evaluated by `classify.evaluation.evaluate`, as for a report. Its
intervals are compared with those of a percentile bootstrap that resamples identity groups with
replacement. The true value is that of a split of several thousand groups. The output is a Markdown
table with, for each metric, the coverage of both methods, the mean width, the bias of the value,
and the share of splits in which the report gives an interval. The last line compares the time that
both methods take for one split.
"""

from __future__ import annotations

import argparse
import functools
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from unittest.mock import patch

import numpy as np
import numpy.typing as npt
import pandas as pd

from classify.evaluation import compare, confidence_intervals
from classify.evaluation import evaluate as judging
from classify.evaluation.confidence_intervals import Estimate, Measures
from classify.evaluation.scores import Scores
from classify.evaluation.thresholds import OperatingPoint
from ffpp_tools.store.schema import STILL

METHODS = ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures")
CLASSES = {**dict.fromkeys(METHODS, "fake"), "Youtube": "real"}
DRAWS = 200  # resamples of the percentile bootstrap
TRUE_GROUPS, TRUE_PARTS = 1500, 4  # the true values are the mean over parts of this many groups
AT_HALF = OperatingPoint("a simulation")


@dataclass(frozen=True)
class World:
    """A simulated detector and test population; effects are in logits of P(fake).

    Spreads are standard deviations.
    """

    separation: float = 2.0  # difference of the means of fakes and reals
    shared: float = 1.0  # spread of a group's effect on both its reals and its fakes
    own: float = 1.0  # spread of a group's effect on the separation of its fakes and reals
    clip: float = 0.5  # spread between clips of one category of a group
    tail: str = "normal"  # distribution of group effects; or "t" (3 degrees), or "one-sided"
    originals: tuple[int, int] = (2, 2)  # minimum, maximum number of originals of a group
    frames: tuple[int, int] = (10, 20)  # minimum, maximum number of frames of a clip
    stills: int = 0  # photographs per group, each of a different person


WORLDS = {
    "strong": World(),
    "weak": World(separation=1.5, shared=0.3, own=0.3),
    "accurate": World(separation=5, shared=0.8, own=0.8),
    "guessing": World(separation=0.5, own=0.7),
    "heavy": World(separation=3, tail="t"),
    "accurate heavy": World(separation=6, tail="t"),
    "one-sided": World(separation=3, shared=0.7, own=0.7, tail="one-sided"),
    "unequal": World(shared=0.8, own=0.8, originals=(1, 4), frames=(5, 40)),
    "single clips": World(shared=0.7, own=0.7, originals=(1, 1)),
    "with stills": World(stills=10),
}


def effects(world: World, count: int, rng: np.random.Generator) -> npt.NDArray[np.floating]:
    """Draw effects of identity groups, with a variance of 1."""
    if world.tail == "t":
        return rng.standard_t(3, count) / np.sqrt(3)
    if world.tail == "one-sided":
        return 1 - rng.exponential(size=count)
    return rng.normal(size=count)


def split(world: World, groups: int, rng: np.random.Generator) -> Scores:
    """Simulate a test split: each group has originals, and fakes of them by four methods."""
    shared = effects(world, groups, rng) * world.shared
    own = effects(world, groups, rng) * world.own
    of_method = rng.normal(size=(groups, 5)) * world.own / 2
    method_skill = rng.normal(size=groups) * world.own  # how well fakes' methods are recognised
    originals = rng.integers(world.originals[0], world.originals[1] + 1, groups)
    group = np.repeat(np.arange(groups), 5 * originals)
    kind = np.concatenate([np.tile(np.arange(5), count) for count in originals])  # 4 is real
    fake = kind < 4
    centre = np.where(fake, 1, -1) * (world.separation + own[group]) / 2 + shared[group]
    centre += np.where(fake, of_method[group, kind], 0)
    centre += rng.normal(size=len(group)) * world.clip
    clip = np.repeat(
        np.arange(len(group)), rng.integers(world.frames[0], world.frames[1] + 1, len(group))
    )
    score = centre[clip] + rng.normal(size=len(clip))
    group, kind = group[clip], kind[clip]
    stills = world.stills * groups
    group = np.append(group, groups + np.arange(stills))
    kind = np.append(kind, np.full(stills, 4))
    score = np.append(score, rng.normal(-world.separation / 2 - 1, 1, stills))
    method_logits = rng.normal(size=(len(kind), 4))
    fakes = np.flatnonzero(kind < 4)
    method_logits[fakes, kind[fakes]] += 1.5 + world.separation / 3 + method_skill[group[fakes]]
    p_method = np.exp(method_logits) / np.exp(method_logits).sum(axis=1, keepdims=True)
    p_fake = 1 / (1 + np.exp(-score))
    probabilities = np.column_stack([p_method * p_fake[:, None], 1 - p_fake])
    names = np.array(list(CLASSES))
    still = np.arange(len(kind)) >= len(clip)
    table = pd.DataFrame(
        {
            "face_id": np.arange(len(kind)),
            "category": np.where(still, "CelebA", names[kind]),
            "class": names[kind],
            "class_index": kind,
            "label": np.where(kind < 4, "fake", "real"),
            "compression": np.where(still, STILL, "c23"),
            "clip": np.append(clip, len(clip) + np.arange(stills)),
            "group": group,
        }
    )
    columns = {f"p_{name}": probabilities[:, i] for i, name in enumerate(CLASSES)}
    return Scores(table.assign(**columns), CLASSES)


def percentile(
    groups: npt.ArrayLike, kinds: npt.ArrayLike, measures: Measures, **_: object
) -> dict[str, Estimate]:
    """Compute the estimates of `jackknife_estimates` by a percentile bootstrap over groups."""
    table = pd.DataFrame({"group": np.asarray(groups), "kind": kinds})
    codes, names = pd.factorize(table["group"])
    least = int(table.groupby("kind")["group"].nunique().min())
    rng = np.random.default_rng(0)
    uniform = np.full(len(names), 1 / len(names))
    full_sample = measures(np.ones((1, len(codes))))
    batches = [
        measures(rng.multinomial(len(names), uniform, 100)[:, codes].astype(float))
        for _ in range(DRAWS // 100)
    ]
    estimates = {}
    for name, value in full_sample.items():
        resampled = np.concatenate([batch[name] for batch in batches])
        low, high = np.percentile(resampled[np.isfinite(resampled)], [2.5, 97.5])
        if high - low <= 1e-12:
            low = high = np.nan
        estimates[name] = Estimate(float(value[0]), float(low), float(high), least)
    return estimates


def measured(scores: Scores, other: Scores, unit: str) -> Iterator[tuple[str, Estimate]]:
    """Yield the metrics with an interval, of a report and of a comparison of two runs."""
    judged = judging.evaluate_scores(scores, unit, AT_HALF, {})
    yield from judged.measures.items()
    method = judged.manipulations[0]
    yield "of a manipulation: called fake", method.detected
    yield "of a manipulation: AUC", method.auc
    yield "of a manipulation: EER", method.eer
    yield "of a manipulation: AUC, all reals", method.auc_against_all
    yield "of the originals: called real", judged.reals[-1].called_real
    for name, gain in compare._differences(scores, other).items():
        yield f"difference of two runs: {name}", gain


def second(scores: Scores) -> Scores:
    """Simulate a second detector on the same samples: the first with noise for each sample."""
    rng = np.random.default_rng(len(scores))
    columns = [f"p_{name}" for name in CLASSES]
    logits = np.log(np.clip(scores.table[columns].to_numpy(float), 1e-9, 1))
    logits[:, -1] += rng.normal(size=len(logits))  # class real
    logits += 0.5 * rng.normal(size=logits.shape)
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    noisy = pd.DataFrame(powers / powers.sum(axis=1, keepdims=True), columns=columns)
    return Scores(scores.table.assign(**{c: noisy[c].to_numpy() for c in columns}), CLASSES)


def two_runs(
    world: World, groups: int, unit: str, rng: np.random.Generator
) -> tuple[Scores, Scores]:
    """Simulate the scores of two detectors on one split, per frame or per clip."""
    frames = split(world, groups, rng)
    other = second(frames)
    return (frames.clips(), other.clips()) if unit == "clip" else (frames, other)


@functools.cache
def truth(world: World, unit: str) -> dict[str, float]:
    """Estimate the true values from a very large number of groups.

    The composition of a split does not depend on the number of groups, because the number of
    stills is proportional to it.
    """
    rng = np.random.default_rng(1)
    values = defaultdict(list)
    with (
        patch.object(judging, "estimates", _values),
        patch.object(compare, "estimates", _values),
        patch.object(judging, "resolved", lambda *_: True),
    ):
        for _ in range(TRUE_PARTS):
            for name, e in measured(*two_runs(world, TRUE_GROUPS, unit, rng), unit):
                values[name].append(e.value)
    return {name: float(np.mean(of_parts)) for name, of_parts in values.items()}


def _values(
    groups: npt.ArrayLike, _: npt.ArrayLike, measures: Measures, **__: object
) -> dict[str, Estimate]:
    """Compute values without intervals."""
    values = measures(np.ones((1, len(np.asarray(groups)))))
    return {name: Estimate(float(v[0]), np.nan, np.nan, 0) for name, v in values.items()}


def coverage(
    world: World, groups: int, unit: str, tests: int, seed: int = 0, old: bool = True
) -> tuple[pd.DataFrame, dict[str, float]]:
    """Measure the coverage of both methods' intervals over simulated test splits.

    Args:
        world: the simulation.
        groups: number of identity groups with clips in each split.
        unit: "frame" or "clip".
        tests: number of splits.
        seed: random seed of the splits.
        old: whether to include the percentile bootstrap.

    Returns:
        A table with one row per metric and columns true, bias, and for both methods (`jackknife`,
        `percentile`) _coverage (of the reported intervals), _width and _given (share of splits
        with an interval); and the mean seconds that each method takes for a split.
    """
    rng = np.random.default_rng([seed, groups])
    methods = {"jackknife": confidence_intervals.jackknife_estimates} | (
        {"percentile": percentile} if old else {}
    )
    rows = []
    took = dict.fromkeys(methods, 0.0)
    true = truth(world, unit)
    for _ in range(tests):
        scores, other = two_runs(world, groups, unit, rng)
        for method, function in methods.items():
            start = time.perf_counter()
            with (
                patch.object(judging, "estimates", function),
                patch.object(compare, "estimates", function),
            ):
                estimates = list(measured(scores, other, unit))
            took[method] += (time.perf_counter() - start) / tests
            rows += [
                (method, name, e.value - true[name], e.low <= true[name] <= e.high, e.high - e.low)
                for name, e in estimates
            ]
    table = pd.DataFrame(rows, columns=["method", "measure", "error", "covers", "width"])
    columns = {}
    for method in methods:
        of_method = table[table["method"] == method]
        given = of_method[of_method["width"].notna()]
        columns[f"{method}_coverage"] = given.groupby("measure")["covers"].mean()
        columns[f"{method}_width"] = given.groupby("measure")["width"].mean()
        columns[f"{method}_given"] = of_method.groupby("measure")["width"].count() / tests
    error = table[table["method"] == "jackknife"].groupby("measure")["error"].mean()
    summary = pd.DataFrame({"true": pd.Series(true), "bias": error, **columns})
    return summary.loc[list(true)], took


def markdown(tables: Mapping[int, pd.DataFrame]) -> str:
    """Format the tables of all numbers of groups as one in Markdown, percentile → jackknife."""
    head = [f"{n} groups: coverage; width; bias" for n in tables]
    lines = [f"| measure (true value) | {' | '.join(head)} |", "|---" * (len(tables) + 1) + "|"]
    first = next(iter(tables.values()))
    for name in first.index:
        cells = [f"{name} ({first.loc[name, 'true']:.3f})"]
        for table in tables.values():
            row = table.loc[name]
            if not row["jackknife_given"]:
                cells.append(f"{row['percentile_coverage']:.2f} → not given")
                continue
            given = f"; given {row['jackknife_given']:.2f}" if row["jackknife_given"] < 1 else ""
            cells.append(
                f"{row['percentile_coverage']:.2f} → {row['jackknife_coverage']:.2f}; "
                f"{row['percentile_width']:.2f} → {row['jackknife_width']:.2f}; "
                f"{row['bias']:+.3f}{given}"
            )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Print a table for each selected world."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--world", choices=[*WORLDS, "all"], default="strong")
    parser.add_argument("--unit", choices=("clip", "frame"), default="clip")
    parser.add_argument("--tests", type=int, default=400)
    parser.add_argument("--groups", default="5,8,20,30,60")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    for name in WORLDS if options.world == "all" else [options.world]:
        tables: dict[int, pd.DataFrame] = {}
        took: dict[str, float] = {}
        for groups in map(int, options.groups.split(",")):
            tables[groups], took = coverage(
                WORLDS[name], groups, options.unit, options.tests, options.seed
            )
        print(f"\n{name}, per {options.unit}, {options.tests} splits\n\n{markdown(tables)}\n")
        print(
            f"seconds for a split of {groups} groups: jackknife {took['jackknife']:.2f}, "
            f"percentile bootstrap of {DRAWS} draws {took['percentile']:.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
