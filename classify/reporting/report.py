"""What a detector is worth, and what that may be trusted for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from classify.data.pack import ProgressFactory
from classify.errors import ClassifyError
from classify.evaluation.evaluate import evaluate_scores
from classify.evaluation.external import read_predictions
from classify.evaluation.predict import score_split
from classify.evaluation.robustness import evaluate_robustness
from classify.evaluation.split_audit import split_audit
from classify.evaluation.thresholds import (
    OperatingPoint,
    fit_operating_point,
    operating_point,
    operating_point_or_default,
)
from classify.reporting import provenance
from classify.reporting.report_data import Report
from classify.reporting.report_files import write_report
from classify.reporting.saved_report import COMMAND, read_saved_report
from classify.training.runs import Run
from ffpp_tools.splits import shortcuts
from ffpp_tools.splits.manifest import Manifest
from ffpp_tools.store.incomplete import has_foreign_files


def make_report(
    run: Run,
    split: str = "test",
    other: Manifest | None = None,
    robust: bool = False,
    progress: ProgressFactory | None = None,
    *,
    faces: bool = True,
) -> Report:
    """Judge a run's best checkpoint on a split and write its report folder.

    The folder is `report` of the run; `report-val` and `report-train` for other splits, and
    `report-on-NAME`, or the next that is not of yet another one, for another manifest.

    Args:
        run: whose network.
        split: "test", "val" or "train".
        other: judge on this manifest instead of the run's own, at the run's own threshold.
        robust: also judge the same crops compressed, scaled, blurred and noisy.
        progress: as `pack.pack` takes it; shows how far judging and damaging crops are.
        faces: show the most confident errors; False for a report to be passed on.

    Raises:
        ClassifyError: an unknown split, or classes that the network does not know.
        RunError: no epoch was finished, or the manifest changed since training.
        PackError: a crop is missing.
    """
    if other is not None and run.is_of(other):
        other = None
    if other is None:
        folder = run.report_folder(split)
        manifest, at = run.manifest, operating_point(run, progress)
        said = provenance.of_run(run, manifest, split, at)
        validation = None if run.settings.refit else score_split(run, "val", progress=progress)
    else:
        base = run.report_folder(split, f"report-on-{other.folder.resolve().name}")
        manifest, at, validation = other, operating_point_or_default(run, progress), None
        folder = _folder_for(base, other)
        said = provenance.of_run_elsewhere(run, other, split, at)
    scores = score_split(run, split, other, progress)
    found = _judged(
        Report(
            run.folder.resolve().name, folder, split, said, at, manifest, scores, validation, run
        )
    )
    if robust:
        found = replace(found, robustness=evaluate_robustness(run, scores, manifest, at, progress))
    write_report(found, faces)
    return found


def report_on_file(
    path: Path,
    manifest: Manifest,
    split: str = "test",
    folder: Path | None = None,
    *,
    faces: bool = True,
) -> Report:
    """Judge somebody's predictions by the same rules.

    Args:
        path: as `external.read_predictions` takes it. Threshold and temperature are chosen on val
            where it holds that too; else the threshold is 0.5.
        manifest: that the faces are found in.
        split: "test", "val" or "train".
        folder: for the report; None for one beside the file, named after it.
        faces: show the most confident errors; False for a report to be passed on.

    Raises:
        TableError: an unknown split.
        ClassifyError: a file that cannot be judged.
    """
    folder = folder or path.with_name(f"{path.stem}-report{'' if split == 'test' else f'-{split}'}")
    if has_foreign_files(folder, COMMAND) and not read_saved_report(folder):
        raise ClassifyError(f"{folder} holds something else than a report: choose another --out")
    if folder.resolve() == path.resolve().parent:
        raise ClassifyError(f"{folder} holds {path.name} itself: choose another --out")
    scores, validation = read_predictions(path, manifest, split)
    why = "val is what is judged" if split == "val" else "the file does not hold all of val"
    at = fit_operating_point(validation) if validation else OperatingPoint(why)
    said = provenance.of_file(path, manifest, split, at)
    found = _judged(Report(path.name, folder, split, said, at, manifest, scores, validation, None))
    write_report(found, faces)
    return found


def _judged(report: Report) -> Report:
    """The same with its judgements, and what is to be said of them."""
    audit = split_audit(report.manifest)
    report = replace(
        report,
        manifest=audit.manifest,
        leaks=audit.leaks,
        frames=audit.regrouped(report.frames),
        validation=audit.regrouped(report.validation) if report.validation else None,
    )
    rates = audit.manifest.info["audit"]["miss_rates"]
    whole = report.frames.unit == "clip"
    judgements = [] if whole else [evaluate_scores(report.frames, "frame", report.operating, rates)]
    clips = report.frames.clips()
    if len(clips):
        judgements.append(evaluate_scores(clips, "clip", report.operating, rates))
    answers = tuple(shortcuts.read(report.manifest))
    found = provenance.remarks(judgements, audit.manifest, answers, report.operating)
    if report.run is None:
        found = [*provenance.of_foreign_scores(judgements), *found]
    stale = provenance.stale_shortcuts(audit) if answers else ""
    return replace(
        report,
        judgements=tuple(judgements),
        remarks=(*found, stale) if stale else tuple(found),
        shortcuts=answers,
    )


def _folder_for(folder: Path, manifest: Manifest) -> Path:
    """The folder, or the first numbered one that holds no report on another manifest."""
    wanted = manifest.sha256
    found, number = folder, 2
    while read_saved_report(found).get("manifest_sha256", wanted) != wanted:
        found, number = folder.with_name(f"{folder.name}-{number}"), number + 1
    return found
