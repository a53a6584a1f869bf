"""Cost of manifests, merging, evaluation and reports with large tables, each in its own process.

    python benchmarks/scale.py
    python benchmarks/scale.py --only split,judge --scale 0.1 --json results.json

Generates 1,230,000 frames of 5,000 clips (1,000 originals from 977 YouTube videos, and fakes of
each by four methods) and 230,000 stills, without images, and the same at a quarter and a sixteenth
of that size. Every stage is measured at the three sizes: wall-clock and CPU seconds, peak memory,
CPU seconds relative to a plain alternative with the same number of rows (`PLAIN`), and the growth
of CPU seconds: the exponent k of a + b·nᵏ fitted to the three sizes (n log n is about 1.1). Parts
to be merged are generated for a quarter of the frames, because all of them as JSON would take more
than a gigabyte.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from classify.evaluation.scores import Scores

# This process imports no large packages, because a child's reported peak memory is at least that
# of its parent.
FRAMES_OF_CLIP, STILLS, HQ = 246, 200_000, 30_000
PAIRS, VIDEOS, PEOPLE = 500, 977, 10_177
METHODS = ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures")
SIZES = (1 / 16, 1 / 4, 1)
PARTS = 1 / 4  # share of the frames whose parts are merged
PREDICTED = 200_000  # samples in the test split of a report, at scale 1
# Stage → the plain alternative whose CPU seconds it is compared with.
PLAIN = {
    "split, folds, audit": "pandas reads both tables, joins them, writes as many rows as CSV",
    "report": "pandas reads the file, scikit-learn computes AUC, AP and log loss, pandas writes",
    "judge": "scikit-learn computes AUC, average precision and log loss of the same scores, once",
    "merge": "pandas reads both tables and writes them again",
}
Result = dict[str, float]


def run(*command: object, statuses: Sequence[int] = (0,)) -> tuple[Result, str]:
    """Run a command; return its time and memory, and the last line of its output."""
    with tempfile.TemporaryFile("w+") as output:
        start = time.perf_counter()
        pid = os.posix_spawn(
            str(command[0]),
            [str(part) for part in command],
            os.environ,
            file_actions=[(os.POSIX_SPAWN_DUP2, output.fileno(), 1)],
        )
        _, status, usage = os.wait4(pid, 0)
        wall = time.perf_counter() - start
        output.seek(0)
        text = output.read()
    if os.waitstatus_to_exitcode(status) not in statuses:
        sys.exit(f"{text}\n{' '.join(map(str, command))} failed")
    unit = 1 if sys.platform == "darwin" else 1024
    peak = usage.ru_maxrss * unit / 1e6
    cpu = usage.ru_utime + usage.ru_stime
    return {"wall_s": wall, "cpu_s": cpu, "peak_mb": peak}, text.strip().rsplit("\n", 1)[-1]


def stage(name: str, *arguments: object) -> Result:
    """Run a function of `STAGES`; return its cost, or that of the part inside `measured`."""
    cost, line = run(sys.executable, Path(__file__), "--stage", name, *arguments)
    return cost | (json.loads(line) if line.startswith("{") else {})


@contextmanager
def measured() -> Iterator[None]:
    """Print the time of the statements inside, which excludes imports and preparation."""
    wall, cpu = time.perf_counter(), time.process_time()
    yield
    print(
        json.dumps({"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}),
        flush=True,
    )


# --- Measurements; each yields (stage, rows, result, plain result) ---

Row = tuple[str, int, Result, Result]


def command(name: str) -> Path:
    """Return the path of a console script of this environment."""
    return Path(sys.executable).parent / name


def splits(folder: Path, scale: float) -> Iterator[Row]:
    """Measure manifests of the default recipe, folds, and the audit with its shortcut probe."""
    dataset = folder / "dataset"
    stage("draw_dataset", dataset, scale)
    for name, options in {
        "split, multiclass": (),
        "split, videos": ("--mode", "videos"),
        "folds, 5 of videos": ("--mode", "videos", "--folds", 5),
    }.items():
        out = folder / name.replace(", ", "-").replace(" ", "-")
        took, _ = run(command("ffpp-split"), dataset, *options, "--no-faces", "--out", out)
        manifests = [out] if (out / "manifest.json").exists() else sorted(out.glob("fold-*"))
        rows = sum(samples_of(manifest) for manifest in manifests)
        yield name, rows, took, stage("plain_split", dataset, rows, out / "plain.csv")
    out = folder / "split-videos"
    plain = stage("plain_split", dataset, samples_of(out), out / "plain.csv")
    missing_crops = (0, 1)  # the audit reports that the crops are missing
    took, _ = run(command("ffpp-audit"), out, "--no-probe", statuses=missing_crops)
    yield "audit, videos", samples_of(out), took, plain
    stage("draw_properties", out)
    yield "audit, probe of videos", samples_of(out), stage("probe", out), plain


def samples_of(manifest: Path) -> int:
    """Return the number of samples of a manifest."""
    counts = json.loads((manifest / "manifest.json").read_text())["counts"]
    return sum(sum(classes.values()) for classes in counts.values())


def reports(folder: Path, scale: float) -> Iterator[Row]:
    """Measure a report on a file of predictions."""
    dataset, manifest = folder / "dataset", folder / "manifest"
    if not dataset.exists():
        stage("draw_dataset", dataset, scale)
    share = 100 * PREDICTED / (5_000 * FRAMES_OF_CLIP)
    options = ("--mode", "videos", "--ratios", f"{96 - share:.2f}/4/{share:.2f}")
    run(command("ffpp-split"), dataset, *options, "--no-faces", "--out", manifest)
    file = folder / "predictions.csv"
    stage("draw_predictions", manifest, file)
    rows = sum(json.loads((manifest / "manifest.json").read_text())["counts"]["test"].values())
    arguments = ("--predictions", file, "--manifest", manifest, "--no-faces")
    took, _ = run(command("classify"), "report", *arguments)
    yield "report, of a file", rows, took, stage("plain_report", manifest, file)


def judges(folder: Path, scale: float) -> Iterator[Row]:
    """Measure the evaluation of a test split, of clips alone and with stills of many people."""
    del folder
    rows = round(PREDICTED * scale)
    for name, stills in (("judge, clips", 0), ("judge, clips and stills", 2 / 7)):
        yield name, rows, stage("judge", rows, stills), stage("plain_judge", rows, stills)


def merges(folder: Path, scale: float) -> Iterator[Row]:
    """Measure merging: all parts, no new parts, five more clips, and a tenth more clips."""
    dataset = folder / "parts-of"
    stage("draw_parts", dataset, scale * PARTS)
    plain: Result = {}
    for name, new in {
        "merge, all": 0,
        "merge, nothing new": 0,
        "merge, 5 clips more": 5,
        "merge, a tenth more": 500,
    }.items():
        if new:
            stage("draw_new_parts", dataset, new)
        took = stage("merge", dataset)
        plain = plain or stage("plain_merge", dataset)
        rows = round(scale * PARTS * (5_000 * FRAMES_OF_CLIP + STILLS + HQ))
        yield name, rows, took, plain


# --- Stages: functions that run in a process of their own ---


def draw_dataset(dataset: str, scale: str) -> None:
    """Write the tables and lists of a dataset."""
    from ffpp_tools.store.tables import write_table

    frames, faces, videos = tables(float(scale))
    folder = Path(dataset)
    (folder / "lists").mkdir(parents=True)
    (folder / "lists" / "conversion_dict.json").write_text(json.dumps(videos))
    write_table(folder / "frames.parquet", frames)
    write_table(folder / "faces.parquet", faces)


def tables(scale: float) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, str]]:
    """Generate the ledger, the crops, and the YouTube video of every original."""
    import numpy as np
    import pandas as pd
    from paper_tables import clip_rows, face_rows, partners, still_rows

    rng = np.random.default_rng(0)
    partner = partners(rng, 2 * PAIRS)
    length = max(round(FRAMES_OF_CLIP * scale), 1)
    clip = np.repeat(np.arange(2 * PAIRS), length)
    frame = np.tile(np.arange(length) * 25, 2 * PAIRS)
    parts = [clip_rows(category, clip, frame, partner) for category in ("Youtube", *METHODS)]
    photos = rng.permutation(STILLS)[: round(STILLS * scale)]
    hq, photos = np.sort(photos[: round(HQ * scale)]), np.sort(photos)
    people = rng.integers(1, PEOPLE + 1, STILLS)[photos].astype(str)
    parts += [still_rows("CelebA", photos + 1, people), still_rows("CelebA-HQ", hq + 1)]
    frames = pd.concat(parts, ignore_index=True).sort_values("frame_id", ignore_index=True)
    unit = pd.factorize(frames["category"] + "/" + frames["clip"])[0]
    frames = frames.assign(
        unchanged_by="",
        source_sha256=hexadecimal(rng, unit.max() + 1, 64)[unit],
        frame_hash=hexadecimal(rng, len(frames), 16),
    )
    missed = rng.random(len(frames)) < 0.02
    frames.loc[missed, ["status", "faces_found"]] = ["no_face", 0]
    faces = face_rows(frames[~missed].reset_index(drop=True))
    faces = faces.assign(
        **{c: rng.integers(0, 300, len(faces)) for c in ("box_x", "box_y", "crop_x", "crop_y")},
        score=rng.normal(1, 0.3, len(faces)),
        sha256=hexadecimal(rng, len(faces), 64),
        difference=np.where(
            frames["label"][~missed] == "fake", rng.gamma(5, 1, len(faces)), np.nan
        ),
    )
    # Some pairs of consecutive clips are from the same video.
    shared = rng.choice(PAIRS, 2 * PAIRS - VIDEOS, replace=False)
    videos = {f"{i:03d}": f"video{i} 0" for i in range(2 * PAIRS)}
    videos |= {f"{2 * i + 1:03d}": f"video{2 * i} 1" for i in shared.tolist()}
    return frames, faces, videos


def hexadecimal(rng: np.random.Generator, count: int, digits: int) -> np.ndarray:
    """Return random hexadecimal numbers, (count,) str."""
    import numpy as np

    text = rng.bytes(count * digits // 2).hex()
    return np.frombuffer(text.encode(), f"S{digits}").astype(str)


def plain_split(dataset: str, rows: str, out: str) -> None:
    """Read, join and write with pandas."""
    import pandas as pd

    frames, faces = (pd.read_parquet(Path(dataset) / f"{n}.parquet") for n in ("frames", "faces"))
    joined = faces[["face_id", "frame_id", "path"]].merge(frames, on="frame_id")
    remaining = int(rows)
    while remaining:
        joined.head(remaining).to_csv(out, index=False)
        remaining -= min(len(joined), remaining)


def draw_properties(manifest: str) -> None:
    """Write random values to the cache of the features that `probe` measures on crops."""
    import zlib

    import numpy as np
    import pandas as pd

    from ffpp_tools.grouping.feature_cache import FILES
    from ffpp_tools.splits.manifest import Manifest
    from ffpp_tools.splits.shortcuts import MAX_SAMPLES, PROPERTIES
    from ffpp_tools.store.schema import SPLITS
    from ffpp_tools.store.tables import read_faces

    read = Manifest.read(Path(manifest))
    samples = pd.concat([read.samples(split) for split in SPLITS])
    samples = samples.sample(frac=1, random_state=0).groupby("category").head(MAX_SAMPLES)
    faces = read_faces(read.root).set_index("face_id")["sha256"]
    names = samples["face_id"] + " " + faces.loc[samples["face_id"]].to_numpy()
    bucket = samples["face_id"].map(lambda name: zlib.crc32(name.encode()) % FILES)
    rng = np.random.default_rng(0)
    (read.root / "measured" / "properties").mkdir(parents=True, exist_ok=True)
    for number, in_bucket in names.groupby(bucket):
        np.savez(
            read.root / "measured" / "properties" / f"{number:02x}.npz",
            names=in_bucket.to_numpy(str),
            values=rng.normal(size=(len(in_bucket), len(PROPERTIES))).astype(np.float32),
        )


def probe(manifest: str) -> None:
    """Run the shortcut probe of a manifest with cached features."""
    import pandas as pd

    from ffpp_tools.splits import shortcuts
    from ffpp_tools.splits.manifest import Manifest
    from ffpp_tools.store.schema import SPLITS
    from ffpp_tools.store.tables import read_faces

    read = Manifest.read(Path(manifest))
    samples = pd.concat([read.samples(s).assign(split=s) for s in SPLITS])
    shortcuts.measure_shortcuts(read.root, read_faces(read.root), samples, 1)


def draw_predictions(manifest: str, file: str) -> None:
    """Write predictions of val and test with all digits of single precision."""
    import numpy as np
    import pandas as pd

    from ffpp_tools.splits.manifest import Manifest

    read = Manifest.read(Path(manifest))
    samples = pd.concat([read.samples(split) for split in ("val", "test")])
    probabilities = draw_probabilities(
        samples["class_index"].to_numpy(), len(read.classes), samples
    )
    columns = [f"p_{name}" for name in read.classes]
    table = pd.DataFrame(probabilities.astype(np.float32), columns=columns)
    table.insert(0, "face_id", samples["face_id"].to_numpy())
    table.to_csv(file, index=False)


def draw_probabilities(actual: np.ndarray, classes: int, samples: pd.DataFrame) -> np.ndarray:
    """Draw class probabilities that are correlated within clips and groups: (n, classes)."""
    import numpy as np
    import pandas as pd

    rng = np.random.default_rng(1)
    logits = rng.normal(size=(len(actual), classes))
    for unit in (samples["group"], samples["category"] + samples["clip"]):
        code = pd.factorize(unit)[0]
        logits += rng.normal(size=(code.max() + 1, classes))[code]
    logits[np.arange(len(actual)), actual] += 2
    powers = np.exp(logits)
    return powers / powers.sum(axis=1, keepdims=True)


def plain_report(manifest: str, file: str) -> None:
    """Read predictions, compute three common metrics, write a table."""
    import pandas as pd
    from sklearn.metrics import average_precision_score, log_loss, roc_auc_score

    predicted = pd.read_csv(file)
    joined = pd.read_csv(Path(manifest) / "test.csv").merge(predicted, on="face_id")
    columns = [name for name in predicted if name.startswith("p_")]
    fake, p_fake = joined["label"] == "fake", 1 - joined["p_Youtube"]
    print(roc_auc_score(fake, p_fake), average_precision_score(fake, p_fake))
    print(log_loss(joined["class_index"], joined[columns]))
    joined.to_csv(Path(file).with_name("plain.csv"), index=False)


def draw_scores(rows: int, share: float) -> Scores:
    """Draw a test split: 70 pairs of people with 140 clips per category; `share` are stills."""
    import numpy as np
    import pandas as pd

    from classify.evaluation.scores import Scores

    names = np.array(sorted(("Youtube", *METHODS)))
    clips = np.arange(round(rows * (1 - share)))
    of_category, clip = clips % len(names), clips // len(names) % 140
    photo = np.arange(rows - len(clips))
    # Half of the photographs are of people with many photographs.
    person = np.where(photo % 2, photo, photo // 40)
    category = np.append(names[of_category], np.where(photo % 2, "CelebA-HQ", "CelebA"))
    table = pd.DataFrame(
        {
            "category": category,
            "compression": np.append(np.full(len(clips), "c23"), np.full(len(photo), "still")),
            "clip": np.append(clip, photo).astype(str),
            "frame": np.append(clips // len(names) // 140, np.zeros(len(photo), int)),
            "group": np.append(
                np.char.add("Youtube/", (clip // 2).astype(str)),
                np.char.add("CelebA/", person.astype(str)),
            ),
        }
    ).astype({"category": "str", "compression": "str", "clip": "str", "group": "str"})
    table["label"] = table["category"].isin(METHODS).map({True: "fake", False: "real"})
    classes = {c: "fake" if c in METHODS else "real" for c in sorted(set(category))}
    table["class"] = table["category"]
    table["class_index"] = table["class"].map({c: i for i, c in enumerate(classes)})
    table["face_id"] = table["category"] + "/" + table["clip"] + "/" + table["frame"].astype("str")
    table["path"] = "faces/" + table["face_id"] + ".png"
    probabilities = draw_probabilities(table["class_index"].to_numpy(), len(classes), table)
    columns = {f"p_{name}": probabilities[:, i] for i, name in enumerate(classes)}
    return Scores(table.assign(**columns), classes)


def judge(rows: str, share: str) -> None:
    """Evaluate scores per frame, then per clip."""
    from classify.evaluation.evaluate import evaluate_scores
    from classify.evaluation.thresholds import OperatingPoint

    scores = draw_scores(int(rows), float(share))
    with measured():
        evaluate_scores(scores, "frame", OperatingPoint("a benchmark"), {})
        evaluate_scores(scores.clips(), "clip", OperatingPoint("a benchmark"), {})


def plain_judge(rows: str, share: str) -> None:
    """Compute three common metrics once, without intervals."""
    from sklearn.metrics import average_precision_score, log_loss, roc_auc_score

    scores = draw_scores(int(rows), float(share))
    with measured():
        roc_auc_score(scores.is_fake, scores.p_fake)
        average_precision_score(scores.is_fake, scores.p_fake)
        log_loss(scores.actual, scores.probabilities)


def draw_parts(dataset: str, scale: str) -> None:
    """Write the parts of a dataset."""
    frames, faces, _ = tables(float(scale))
    write_parts(Path(dataset), frames, faces)


def draw_new_parts(dataset: str, clips: str) -> None:
    """Write parts of additional clips: copies of existing ones, under another compression."""
    from dataclasses import replace

    from ffpp_tools.store.schema import Part, part_path

    folder = Path(dataset)
    paths = sorted((folder / "parts").glob("*/c23/*.json"))
    spaced = [paths[i] for i in range(0, len(paths), len(paths) // int(clips))]
    compression = f"c{clips}"
    for path in spaced[: int(clips)]:
        part = Part.read(path)

        def renamed(row: Any, columns: Sequence[str]) -> Any:
            values = {c: getattr(row, c).replace("/c23/", f"/{compression}/") for c in columns}
            return replace(row, **values)

        frames = [replace(renamed(r, ["frame_id"]), compression=compression) for r in part.frames]
        faces = [renamed(r, ["face_id", "frame_id", "path"]) for r in part.faces]
        first = frames[0]
        name = part_path(first.category, compression, first.clip)
        Part(tuple(frames), tuple(faces)).write(folder / name)


def write_parts(dataset: Path, frames: pd.DataFrame, faces: pd.DataFrame) -> None:
    """Write the part files of all clips and stills."""
    from ffpp_tools.store.schema import part_path

    keys = frames[["category", "compression", "clip"]].itertuples(index=False)
    frames = frames.assign(part=[part_path(*key) for key in keys])
    part_of_frame = dict(zip(frames["frame_id"], frames["part"], strict=True))
    part_of_face = faces["frame_id"].map(part_of_frame)
    crops = {name: rows.to_dict("records") for name, rows in faces.groupby(part_of_face)}
    for name, part_frames in frames.drop(columns="part").groupby(frames["part"]):
        path = dataset / str(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = {"frames": part_frames.to_dict("records"), "faces": crops.get(name, [])}
        path.write_text(json.dumps(rows))


def merge(dataset: str) -> None:
    """Update the tables from the parts."""
    from ffpp_tools.store.tables import merge_parts

    with measured():
        merge_parts(Path(dataset))


def plain_merge(dataset: str) -> None:
    """Read both tables and write them again."""
    import pandas as pd

    with measured():
        for name in ("frames", "faces"):
            table = pd.read_parquet(Path(dataset) / f"{name}.parquet")
            table.to_parquet(Path(dataset).with_name(f"plain-{name}.parquet"), index=False)


STAGES: dict[str, Callable[..., None]] = {
    function.__name__: function
    for function in (
        draw_dataset,
        plain_split,
        draw_properties,
        probe,
        draw_predictions,
        plain_report,
        judge,
        plain_judge,
        draw_parts,
        draw_new_parts,
        merge,
        plain_merge,
    )
}
PARTS_OF_ALL = {"split": splits, "report": reports, "judge": judges, "merge": merges}


def exponent(values: Sequence[float]) -> float:
    """Return k of a + b·nᵏ through values at 1/16, 1/4 and all of n; nan if none fits.

    >>> exponent([10 + 1, 10 + 4, 10 + 16])
    1.0
    """
    first, second = values[1] - values[0], values[2] - values[1]
    return math.log(second / first, 4) if min(first, second) > 0 else math.nan


def main() -> None:
    """Measure the stages and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scale", type=float, default=1.0, help="factor for all sizes")
    parser.add_argument("--only", default=",".join(PARTS_OF_ALL), help="stages, comma-separated")
    parser.add_argument("--sizes", type=int, default=len(SIZES), help="number, smallest first")
    parser.add_argument("--json", type=Path, help="also write the results to this file")
    parser.add_argument("--stage", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.stage:
        STAGES[options.stage[0]](*options.stage[1:])
        return
    measurements: dict[str, list[dict[str, Any]]] = {}
    for size in SIZES[: options.sizes]:
        with tempfile.TemporaryDirectory() as name:
            for part in options.only.split(","):
                stages = PARTS_OF_ALL[part](Path(name), size * options.scale)
                for what, rows, took, plain in stages:
                    ratio = took["cpu_s"] / plain["cpu_s"]
                    measurements.setdefault(what, []).append({"rows": rows, **took, "ratio": ratio})
                    print(
                        f"{what}, {rows:,} rows: {took}, {ratio:.2f}", file=sys.stderr, flush=True
                    )
                    if options.json:
                        options.json.write_text(json.dumps(measurements, indent=2) + "\n")
    print(
        "| stage | rows | wall s | CPU s | peak MB | × plain | grows as nᵏ, k |\n|---" * 1, end=""
    )
    print("|---" * 6 + "|")
    for what, results in measurements.items():
        last = results[-1]
        k = exponent([r["cpu_s"] for r in results]) if len(results) == len(SIZES) else math.nan
        print(
            f"| {what} | {last['rows']:,} | {last['wall_s']:.1f} | {last['cpu_s']:.1f} "
            f"| {last['peak_mb']:,.0f} | {last['ratio']:.1f} | {k:.2f} |"
        )
    print()
    for what, plain in PLAIN.items():
        print(f"Plain alternative of {what}: {plain}.")


if __name__ == "__main__":
    main()
