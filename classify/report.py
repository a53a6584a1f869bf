"""What a detector is worth: tables, figures and one self-contained page in a folder."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from classify import figures, page, provenance
from classify.bootstrap import FEW_GROUPS, LEVEL
from classify.errors import ClassifyError
from classify.external import read_predictions
from classify.judge import MEASURES, Judgement, flat, judge
from classify.operating import Operating, chosen, operating, operating_if_known
from classify.pack import Progress
from classify.predict import score_split
from classify.robustness import Robustness, robustness
from classify.runs import Run, best_epoch
from classify.scores import CLIP_KEY, Scores
from ffpp_tools import probe
from ffpp_tools.files import below, occupied, sha256, write_atomically
from ffpp_tools.picture import Image, read_image
from ffpp_tools.rows import STILL
from ffpp_tools.tables import Manifest

if TYPE_CHECKING:
    from matplotlib.figure import Figure

UNITS = {
    "frame": "Every crop of the split, stills included",
    "clip": "Means over the crops of a clip that are in the split, stills left out",
}
ERRORS_LISTED, ERRORS_SHOWN = 200, 12
SHOWN_CLIP = "{category}, {compression}, {clip}"


@dataclass(frozen=True)
class Report:
    """Everything `classify report` says about a run, or about somebody's predictions."""

    name: str  # of the run, or of the file
    folder: Path  # where its files lie
    split: str
    provenance: str  # what the figures may be trusted for; always the first line
    operating: Operating
    manifest: Manifest  # whose split was judged
    frames: Scores  # of every crop
    validation: Scores | None  # of the same manifest: what was chosen on
    run: Run | None  # None for somebody's predictions
    judgements: tuple[Judgement, ...] = ()  # per frame, and per clip where there are clips
    remarks: tuple[str, ...] = ()  # what to know besides
    shortcuts: tuple[probe.Answer, ...] = ()  # what cheap properties alone tell, by ffpp-audit
    robustness: Robustness | None = None


def make_report(
    run: Run,
    split: str = "test",
    other: Manifest | None = None,
    robust: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Judge a run's best checkpoint on a split and write its report folder.

    The folder is `report` of the run; `report-val` and `report-train` for other splits, and
    `report-on-NAME`, or the next that is not of yet another one, for another manifest.

    Args:
        run: whose network.
        split: "test", "val" or "train".
        other: judge on this manifest instead of the run's own, at the run's own threshold.
        robust: also judge the same crops compressed, scaled, blurred and noisy.
        progress: as `pack.pack` takes it; shows how far the damaging of crops is.

    Raises:
        ClassifyError: an unknown split, or classes that the network does not know.
        RunError: no epoch was finished, or the manifest changed since training.
        PackError: a crop is missing.
    """
    if other is not None and run.is_of(other):
        other = None
    if other is None:
        manifest, at = run.manifest, operating(run)
        folder = run.report_folder(split)
        said = provenance.of_run(run, manifest, split, at)
        validation = None if run.settings.refit else score_split(run, "val")
    else:
        manifest, at, validation = other, operating_if_known(run), None
        base = run.report_folder(split, f"report-on-{other.folder.resolve().name}")
        folder = _folder_for(base, other)
        said = provenance.of_run_elsewhere(run, other, split, at)
    scores = score_split(run, split, other)
    found = _judged(
        Report(
            run.folder.resolve().name, folder, split, said, at, manifest, scores, validation, run
        )
    )
    if robust:
        found = replace(found, robustness=robustness(run, scores, manifest, at, progress))
    write(found)
    return found


def report_on_file(
    path: Path, manifest: Manifest, split: str = "test", folder: Path | None = None
) -> Report:
    """Judge somebody's predictions by the same rules.

    Args:
        path: as `external.read_predictions` takes it. Threshold and temperature are chosen on val
            where it holds that too; else the threshold is 0.5.
        manifest: that the faces are found in.
        split: "test", "val" or "train".
        folder: for the report; None for one beside the file, named after it.

    Raises:
        TableError: an unknown split.
        ClassifyError: a file that cannot be judged.
    """
    folder = folder or path.with_name(f"{path.stem}-report{'' if split == 'test' else f'-{split}'}")
    if occupied(folder) and not _written(folder):
        raise ClassifyError(f"{folder} holds something else than a report: choose another --out")
    if folder.resolve() == path.resolve().parent:
        raise ClassifyError(f"{folder} holds {path.name} itself: choose another --out")
    scores, validation = read_predictions(path, manifest, split)
    why = "val is what is judged" if split == "val" else "the file does not hold all of val"
    at = chosen(validation) if validation else Operating(why)
    said = provenance.of_file(path, manifest, split, at)
    found = _judged(Report(path.name, folder, split, said, at, manifest, scores, validation, None))
    write(found)
    return found


def _judged(report: Report) -> Report:
    """The same with its judgements, and what is to be said of them."""
    rates = report.manifest.info["audit"]["miss_rates"]
    judgements = [judge(report.frames, "frame", report.operating, rates)]
    clips = report.frames.clips()
    if len(clips):
        judgements.append(judge(clips, "clip", report.operating, rates))
    return replace(
        report,
        judgements=tuple(judgements),
        remarks=tuple(provenance.remarks(judgements, report.manifest)),
        shortcuts=tuple(probe.read(report.manifest)),
    )


def _folder_for(folder: Path, manifest: Manifest) -> Path:
    """The folder, or the first numbered one that holds no report on another manifest."""
    wanted = sha256(manifest.folder / "manifest.json")
    found, number = folder, 2
    while (of := _written(found).get("manifest_sha256", wanted)) != wanted and of:
        found, number = folder.with_name(f"{folder.name}-{number}"), number + 1
    return found


def _written(folder: Path) -> dict[str, Any]:
    """The report.json of a report that lies in a folder; empty where there is none."""
    try:
        found = json.loads((folder / "report.json").read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) and isinstance(found.get("files"), list) else {}


def errors(scores: Scores) -> pd.DataFrame:
    """The wrong predictions with the highest probability, one of each clip.

    Returns:
        Columns path, class, category, compression, clip, frame, predicted (a class), probability.
    """
    names = list(scores.classes)
    table = scores.table.assign(
        predicted=[names[i] for i in scores.predicted], probability=scores.probabilities.max(axis=1)
    )
    wrong = table[scores.predicted != scores.actual].sort_values(
        ["probability", "face_id"], ascending=[False, True]
    )
    columns = ["path", "class", *CLIP_KEY, "frame", "predicted", "probability"]
    return wrong.drop_duplicates(CLIP_KEY)[columns].reset_index(drop=True)


def worst_clips(scores: Scores) -> pd.DataFrame:
    """The frames of the clips whose mean P(fake) is furthest from the truth, worst first.

    Returns:
        Columns `clip` (as it is to be shown), `frame`, `p_fake`.
    """
    table = scores.table.assign(p_fake=scores.p_fake, wrong=abs(scores.p_fake - scores.is_fake))
    table = table[table["compression"] != STILL]
    table = table.assign(mean=table.groupby(CLIP_KEY)["wrong"].transform("mean"))
    table = table.sort_values(["mean", *CLIP_KEY, "frame"], ascending=[False, *[True] * 4])
    names = [SHOWN_CLIP.format(**row) for row in table[CLIP_KEY].to_dict("records")]
    return table.assign(clip=names)[["clip", "frame", "p_fake"]].reset_index(drop=True)


def classification_report(judgement: Judgement) -> str:
    """Scikit-learn's table of precision, recall and F1, as plain text."""
    from sklearn.metrics import classification_report as printed

    scores, names = judgement.scores, list(judgement.scores.classes)
    return printed(
        scores.actual,
        scores.predicted,
        labels=range(len(names)),
        target_names=names,
        zero_division=0,
        digits=2,
    )


def write(report: Report) -> None:
    """Write report.json, report.html, the tables as CSV and the figures as PNG and SVG.

    What the report before has written there goes first, so that none of it is taken for this
    one's; report.json names it.
    """
    files: dict[str, bytes] = {}
    for j in report.judgements:
        for name, table in _tables(j).items():
            files[f"{name}-{j.unit}.csv"] = table.to_csv().encode()
        files[f"classification-report-{j.unit}.txt"] = classification_report(j).encode()
    files["predictions.csv"] = _predictions(report).to_csv(index=False).encode()
    wrong = errors(report.frames)
    files["errors.csv"] = wrong.head(ERRORS_LISTED).to_csv(index=False).encode()
    if report.robustness:
        files["robustness.csv"] = report.robustness.table.to_csv(index=False).encode()
    drawn = _figures(report)
    for name, figure in drawn.items():
        files |= {f"{name}.{kind}": page.image(figure, kind) for kind in ("png", "svg")}
    files["report.html"] = page.rendered(
        "report.html",
        report=report,
        best_epoch=best_epoch(report.run.log) if report.run else None,
        units=UNITS,
        measures=MEASURES,
        level=LEVEL,
        few=FEW_GROUPS,
        figures=drawn,
        errors=_with_faces(wrong.head(ERRORS_SHOWN), report.manifest),
    ).encode()
    values = as_dict(report) | {"files": sorted(files)}
    files["report.json"] = (json.dumps(values, indent=2, allow_nan=False) + "\n").encode()
    _forget(report.folder)
    for name, data in files.items():
        write_atomically(report.folder / name, data)


def _forget(folder: Path) -> None:
    """Delete what the report before has written, by its own list."""
    for name in _written(folder).get("files", []):
        if isinstance(name, str) and Path(name).name == name:
            (folder / name).unlink(missing_ok=True)


def as_dict(report: Report) -> dict[str, Any]:
    """The report as plain values: what report.json holds; nan becomes null."""
    run = report.run
    values: dict[str, Any] = {
        "provenance": report.provenance,
        "remarks": report.remarks,
        "name": report.name,
        "split": report.split,
        "manifest": report.manifest.folder.resolve().name,
        "manifest_sha256": sha256(report.manifest.folder / "manifest.json"),
        "operating": asdict(report.operating),
        "units": {j.unit: _judgement(j) for j in report.judgements},
        "shortcuts": [
            {"question": a.question, "auc": a.auc, "auc_scaled": a.auc_scaled}
            for a in report.shortcuts
        ],
    }
    if run:
        values |= {"arch": run.settings.arch, "epochs": len(run.log)}
        values |= {"best_epoch": best_epoch(run.log)}
    if report.robustness:
        values["robustness"] = report.robustness.table.to_dict("records")
    return page.plain(values)


def _judgement(j: Judgement) -> dict[str, Any]:
    return {
        "samples": j.samples,
        "groups": j.groups,
        "threshold": j.threshold,
        **{name: asdict(estimate) for name, estimate in j.measures.items()},
        "calibration_error": j.calibration_error,
        "calibration_error_tempered": j.calibration_error_tempered,
        "confusion": j.confusion.to_dict("index"),
        "per_class": j.per_class.to_dict("index"),
        "detection": j.detection.to_dict("index"),
        "manipulations": [asdict(row) for row in j.manipulations],
        "reals": [asdict(row) for row in j.reals],
    }


def _tables(j: Judgement) -> dict[str, pd.DataFrame]:
    measures = pd.DataFrame({name: asdict(e) for name, e in j.measures.items()}).T
    return {
        "confusion": j.confusion,
        "confusion-percent": j.percent,
        "confusion-paper": j.in_paper_order.map(page.cell),
        "confusion-paper-starred": j.in_paper_order.map(page.starred),
        "per-class": j.per_class,
        "detection": j.detection,
        "measures": measures.rename_axis("measure"),
        "manipulations": flat(j.manipulations).rename_axis("row"),
        "reals": flat(j.reals).rename_axis("row"),
    }


def _predictions(report: Report) -> pd.DataFrame:
    """What was judged, and what the threshold was chosen on, as `--predictions` reads it."""
    parts = [report.frames.table.assign(split=report.split)]
    if report.validation and report.split != "val":
        parts.append(report.validation.table.assign(split="val"))
    columns = [f"p_{name}" for name in report.frames.classes]
    table = pd.concat(parts)[["face_id", "path", "split", *columns]]
    return table.astype(dict.fromkeys(columns, "float64"))  # exactly, with every digit


def _figures(report: Report) -> dict[str, Figure]:
    drawn: dict[str, Figure] = {}
    for j in report.judgements:
        title = f"per {j.unit}, per cent of each row"
        drawn[f"confusion-{j.unit}"] = figures.heat_map(
            j.in_paper_order, j.in_paper_order.map(page.cell), title
        )
        drawn[f"roc-{j.unit}"] = figures.roc(j)
        drawn[f"precision-recall-{j.unit}"] = figures.precision_recall(j)
        drawn[f"calibration-{j.unit}"] = figures.calibration(j, report.operating.temperature)
    worst = worst_clips(report.frames)
    if len(worst):
        drawn["clips-over-time"] = figures.over_time(worst, report.operating.clip_threshold)
    if report.run:
        drawn["learning"] = figures.learning(report.run.log)
    if report.robustness:
        title = "loss of AUC against originals"
        drawn["robustness"] = figures.losses(report.robustness.losses, title)
    return drawn


def _with_faces(wrong: pd.DataFrame, manifest: Manifest) -> list[tuple[dict[str, Any], Image]]:
    rows = []
    for row in wrong.to_dict("records"):
        face = read_image(below(manifest.root, row["path"]))
        if face is not None:  # the tables stand without it
            rows.append((row, face))
    return rows
