"""Evaluate a detector and write a report with its provenance and caveats."""

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
    """Evaluate a run's best checkpoint on a split and write a report folder.

    The folder in the run is `report`, or `report-val` and `report-train` for other splits. For
    another manifest it is `report-on-NAME`, with a number appended if that folder has a report on
    a different manifest.

    Args:
        run: the run.
        split: "test", "val" or "train".
        other: evaluate on this manifest instead of the run's own, at the run's own threshold.
        robust: also evaluate the same crops after compression, resizing, blur and noise.
        progress: progress bar factory; see `pack.ProgressFactory`.
        faces: show faces of the most confident errors; False for a report to be shared.

    Raises:
        ClassifyError: an unknown split, or classes that the network was not trained on.
        RunError: no epoch was finished, or the manifest changed since training.
        CropError: a crop is missing or was changed.
    """
    if other is not None and run.is_of(other):
        other = None
    if other is None:
        folder = run.report_folder(split)
        manifest, point = run.manifest, operating_point(run, progress)
        first_line = provenance.of_run(run, manifest, split, point)
        validation = None if run.settings.refit else score_split(run, "val", progress=progress)
    else:
        base = run.report_folder(split, f"report-on-{other.folder.resolve().name}")
        manifest, point, validation = other, operating_point_or_default(run, progress), None
        folder = _folder_for(base, other)
        first_line = provenance.of_run_elsewhere(run, other, split, point)
    scores = score_split(run, split, other, progress)
    name = run.folder.resolve().name
    report = _evaluated(
        Report(name, folder, split, first_line, point, manifest, scores, validation, run)
    )
    if robust:
        robustness = evaluate_robustness(run, scores, manifest, point, progress)
        report = replace(report, robustness=robustness)
    write_report(report, faces)
    return report


def report_on_file(
    path: Path,
    manifest: Manifest,
    split: str = "test",
    folder: Path | None = None,
    *,
    faces: bool = True,
) -> Report:
    """Evaluate external predictions and write a report folder.

    Args:
        path: predictions file; see `external.read_predictions`. Threshold and temperature are
            fitted on val if the file covers val too; otherwise the threshold is 0.5.
        manifest: the manifest that the faces belong to.
        split: "test", "val" or "train".
        folder: report folder; None for one next to the file, named after it.
        faces: show faces of the most confident errors; False for a report to be shared.

    Raises:
        TableError: an unknown split.
        ClassifyError: the file cannot be evaluated, or `folder` has other files than a report.
    """
    folder = folder or path.with_name(f"{path.stem}-report{'' if split == 'test' else f'-{split}'}")
    if has_foreign_files(folder, COMMAND) and not read_saved_report(folder):
        raise ClassifyError(f"{folder} contains other files than a report; choose another --out")
    if folder.resolve() == path.resolve().parent:
        raise ClassifyError(f"{folder} contains {path.name} itself; choose another --out")
    scores, validation = read_predictions(path, manifest, split)
    if validation:
        point = fit_operating_point(validation)
    elif split == "val":
        point = OperatingPoint("val is the split evaluated")
    else:
        point = OperatingPoint("the file does not cover all of val")
    first_line = provenance.of_file(path, manifest, split, point)
    report = _evaluated(
        Report(path.name, folder, split, first_line, point, manifest, scores, validation, None)
    )
    write_report(report, faces)
    return report


def _evaluated(report: Report) -> Report:
    """Return the report with evaluations and remarks, by the current identity groups."""
    audit = split_audit(report.manifest)
    report = replace(
        report,
        manifest=audit.manifest,
        leaks=audit.leaks,
        frames=audit.regrouped(report.frames),
        validation=audit.regrouped(report.validation) if report.validation else None,
    )
    rates = audit.manifest.info["audit"]["miss_rates"]
    evaluations = []
    if report.frames.unit == "frame":
        evaluations.append(evaluate_scores(report.frames, "frame", report.operating_point, rates))
    clips = report.frames.clips()
    if len(clips):
        evaluations.append(evaluate_scores(clips, "clip", report.operating_point, rates))
    probes = tuple(shortcuts.read(report.manifest))
    remarks = provenance.remarks(evaluations, audit.manifest, probes, report.operating_point)
    if report.run is None:
        remarks = [*provenance.of_foreign_scores(evaluations), *remarks]
    stale = provenance.stale_shortcuts(audit) if probes else ""
    return replace(
        report,
        evaluations=tuple(evaluations),
        remarks=(*remarks, stale) if stale else tuple(remarks),
        shortcuts=probes,
    )


def _folder_for(base: Path, manifest: Manifest) -> Path:
    """Return the base folder, or the first numbered one without a report on another manifest."""
    wanted = manifest.sha256
    folder, number = base, 2
    while read_saved_report(folder).get("manifest_sha256", wanted) != wanted:
        folder, number = base.with_name(f"{base.name}-{number}"), number + 1
    return folder
