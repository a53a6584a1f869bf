"""Provenance of a report's metrics, its first line, and remarks on their reliability."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import pandas as pd

from classify.errors import ClassifyError
from classify.evaluation.confidence_intervals import FEW_GROUPS
from classify.evaluation.evaluate import Evaluation
from classify.evaluation.metrics import temperature_at_limit
from classify.evaluation.overlap import identity_overlap
from classify.evaluation.predict import tta_remark
from classify.evaluation.split_audit import SplitAudit, split_audit
from classify.evaluation.thresholds import OperatingPoint
from classify.reporting.formatting import decimals, number
from classify.reporting.saved_report import read_saved_report
from classify.training.runs import Run, faces_of
from ffpp_tools.console import counted
from ffpp_tools.errors import FfppError
from ffpp_tools.splits.audit import SEVERAL_SPLITS
from ffpp_tools.splits.manifest import Manifest
from ffpp_tools.splits.shortcuts import ProbeResult
from ffpp_tools.store.checksum import is_intact

CHOSEN = {
    "test": "The checkpoint was selected by {monitor}; test was not used for selection.",
    "val": "The checkpoint was selected by {monitor} on this split: these metrics are optimistic.",
    "train": "The network was trained on this split: these metrics include memorisation.",
}
CHOSEN_OF_REFIT = {
    "test": (
        "The network was trained on train and val for a fixed number of epochs; nothing was "
        "selected."
    ),
    "val": CHOSEN["train"],
    "train": CHOSEN["train"],
}
MONITORED = {
    "val_log_loss": "validation log loss",
    "val_loss": "validation loss (including the regularisation of the head)",
}
NEARLY_NONE = 0.02  # a label given to at most this share of the samples is remarked upon
GIVES_AWAY = 0.8  # an AUC of low-level features, at the network's scale, that warrants a remark
UPSIDE_DOWN = 0.3  # a lower AUC, if it has no interval, suggests that the scores are P(real)
NEVER_MORE = 0.02  # a detector whose scores have a smaller range does not discriminate


def of_run(run: Run, manifest: Manifest, split: str, operating_point: OperatingPoint) -> str:
    """Return the provenance of a report on a split of the run's own manifest."""
    templates = CHOSEN_OF_REFIT if run.settings.refit else CHOSEN
    selection = templates[split].format(monitor=MONITORED[run.settings.monitor])
    sentences = [
        f"{_split(manifest, split)} {selection} {_threshold(operating_point)}",
        tta_remark(run),
        run.borrowed,
    ]
    return " ".join(sentence for sentence in sentences if sentence)


def of_run_elsewhere(run: Run, other: Manifest, split: str, operating_point: OperatingPoint) -> str:
    """Return the provenance of a report on another manifest than the run was trained on."""
    selection = f"selected by {MONITORED[run.settings.monitor]}"
    if run.settings.refit:
        selection = "trained for a fixed number of epochs"
    sentences = [
        f"Evaluated on another manifest than it was trained on, {other.folder.resolve().name}.",
        str(identity_overlap(run, other, split)),
        _crop_differences(run, other),
        f"{_split(other, split)} The checkpoint was {selection} on the run's own manifest.",
        _threshold(operating_point),
        tta_remark(run),
        run.borrowed,
    ]
    return " ".join(sentence for sentence in sentences if sentence)


def _crop_differences(run: Run, other: Manifest) -> str:
    """Return a sentence on differences in face detection or cropping, or "" if there are none."""
    own, others = run.faces, faces_of(other)
    differences = [
        f"{name} {own[section].get(name)} in training, {value} here"
        for section in ("crop", "find")
        for name, value in others[section].items()
        if own[section].get(name) != value
    ]
    if not differences:
        return ""
    return f"FACES WERE DETECTED OR CROPPED DIFFERENTLY ({', '.join(differences)})."


def of_file(path: Path, manifest: Manifest, split: str, operating_point: OperatingPoint) -> str:
    """Return the provenance of a report on external predictions."""
    source = f"Predictions of {path.name}; the training data of the detector are unknown."
    return f"{source} {_split(manifest, split)} {_threshold(operating_point)}"


def of_verdicts(run: Run, operating_point: OperatingPoint, files: Sequence[Path]) -> str:
    """Return the provenance of a run's verdicts on image and video files."""
    sentences = [
        f"Verdicts of run {run.folder.resolve().name} (network {run.settings.arch}), trained to "
        f"distinguish {', '.join(run.classes)}. {_test_performance(run)} On other manipulations, "
        f"or on video unlike its training data, verdicts are unreliable.",
        _training_file_names(run, files),
        _threshold(operating_point, "threshold was"),
        tta_remark(run),
        run.borrowed,
    ]
    return " ".join(sentence for sentence in sentences if sentence)


def _test_performance(run: Run) -> str:
    """Return a sentence on the AUC in the run's saved report on its own test split."""
    report = read_saved_report(run.report_folder("test"))
    try:
        unit = "clip" if "clip" in report["units"] else "frame"
        evaluation = report["units"][unit]
        value = evaluation["auc_against_originals"]["value"]
        auc = math.nan if value is None else float(value)
        groups = counted(int(evaluation["groups"]), "identity group")
        same_checkpoint = report["checkpoint"] == run.checkpoint_sha256
        # Reports of older versions have no key `leaks`.
        leaks = bool(report.get("leaks", "PEOPLE APPEAR" in report["provenance"]))
    except (KeyError, TypeError, ValueError):
        same_checkpoint = False
    if not same_checkpoint:
        return "Its performance is unknown: run `classify report` first."
    if is_intact(report) is False:
        return (
            "Its performance is unknown: report.json was changed after it was written; run "
            "`classify report` again."
        )
    if math.isnan(auc):
        return f"Its test split has no fakes with originals to compare ({groups})."
    chance = " - NO BETTER THAN CHANCE" if auc <= 0.5 else ""
    with suppress(ClassifyError, FfppError):  # without the data, the audit in the report counts
        leaks = split_audit(run.manifest).leaks or leaks
    inflated = f" {SEVERAL_SPLITS} of its manifest: this AUC is inflated." if leaks else ""
    return (
        f"On its own test split its AUC against originals was {number(auc)} per {unit} "
        f"({groups}){chance}.{inflated}"
    )


def _training_file_names(run: Run, files: Sequence[Path]) -> str:
    """Return a sentence on files named like clips the run was trained on, or "" if none is."""
    try:
        manifest = run.manifest
        seen = pd.concat([manifest.samples(split)["clip"] for split in ("train", "val")])
        names = {Path(name).name for name in seen.unique()}
    except (ClassifyError, FfppError):
        return ""
    known = [path.name for path in files if path.stem in names]
    if not known:
        return ""
    have = f"{len(known)} OF {counted(len(files), 'file')} {'has' if len(known) == 1 else 'have'}"
    return (
        f"{have.upper()} THE NAME OF A TRAINING CLIP "
        f"({', '.join(known[:3])}{', …' if len(known) > 3 else ''}): predictions for them may "
        f"reflect memorisation."
    )


def remarks(
    evaluations: Sequence[Evaluation],
    manifest: Manifest,
    shortcuts: Sequence[ProbeResult] = (),
    operating_point: OperatingPoint = OperatingPoint(""),  # noqa: B008 (frozen)
) -> list[str]:
    """Return caveats for readers of the metrics, most important first.

    Args:
        evaluations: per frame, per clip or both.
        manifest: the manifest evaluated on, with its current audit.
        shortcuts: results of the shortcut probe.
        operating_point: the threshold and temperature used.
    """
    texts = [
        *map(_chance_remark, evaluations),
        _shortcut_remark(shortcuts),
        _temperature_remark(operating_point),
    ]
    for evaluation in evaluations:
        category, groups = evaluation.fewest
        if groups < FEW_GROUPS:
            texts.append(
                f"The split has only {counted(groups, 'independent identity group')} of "
                f"{category}, the fewest of all categories. With fewer than {FEW_GROUPS}, "
                f"intervals are unreliable, and results on other people could be very different."
            )
        texts += _bias_remarks(evaluation)
    if limitations := manifest.info["audit"]["not_known"]:
        texts.append(
            f"Leak detection is limited, so identities may still be in several splits: "
            f"{'; '.join(limitations)}."
        )
    if manifest.info["audit"].get("misses_differ"):
        texts.append(
            "The rate of frames without a detected face differs between categories by more than "
            "chance (tested over targets and stills). These frames are not evaluated, which may "
            "bias the comparison."
        )
    return list(dict.fromkeys(text for text in texts if text))


def of_foreign_scores(evaluations: Sequence[Evaluation]) -> Iterator[str]:
    """Yield caveats on external scores: scores per clip only, and inverted scores."""
    if [evaluation.unit for evaluation in evaluations] == ["clip"]:
        yield (
            "EVALUATED PER CLIP ONLY: the file has one score per clip and none per frame, so there "
            "are no tables, errors or figures per frame, and stills are not evaluated."
        )
    for evaluation in evaluations:
        auc = evaluation.measures["auc"]
        if auc.value < 0.5 and (
            auc.high < 0.5 or (math.isnan(auc.high) and auc.value < UPSIDE_DOWN)
        ):
            yield (
                f"Per {evaluation.unit}, P(FAKE) IS HIGHER FOR REALS THAN FOR FAKES (AUC "
                f"{number(auc.value)}). If the column is P(real), 1 - p_fake has AUC "
                f"{number(1 - auc.value)}."
            )


def stale_shortcuts(audit: SplitAudit) -> str:
    """Return a caveat on shortcut probes over outdated identity groups, or "" if none changed."""
    if not audit.changed:
        return ""
    return (
        "The identity groups have changed since the manifest was created, so the shortcut probe "
        "may be based on outdated groups. Run `ffpp-audit` again."
    )


def _chance_remark(evaluation: Evaluation) -> str:
    """Return a caveat on an AUC against originals no better than chance, or ""."""
    auc = evaluation.measures["auc_against_originals"]
    if math.isnan(auc.value) or min(auc.value, auc.low) > 0.5:  # nan low: decided by the value
        return ""
    text = f"Per {evaluation.unit}, AUC against originals is {number(auc.value)}"
    if auc.value <= 0.5:
        return f"{text}: NO BETTER THAN CHANCE."
    return f"{text}, and its interval contains 0.5: perhaps no better than chance."


def _bias_remarks(evaluation: Evaluation) -> Iterator[str]:
    """Yield caveats on a detector that classifies all samples, or all stills, as the same."""
    scores, counts = evaluation.scores.p_fake, evaluation.binary_confusion.sum()
    if (counts == 0).any() and scores.max() - scores.min() < NEVER_MORE:
        yield (
            f"Per {evaluation.unit}, all samples have nearly the same P(fake), "
            f"{decimals(scores.min(), 2)} to {decimals(scores.max(), 2)}: the detector does not "
            f"discriminate."
        )
    for label, other in (("fake", "real"), ("real", "fake")):
        if counts[other] <= NEARLY_NONE * counts.sum():
            share = "Every" if counts[other] == 0 else "Nearly every"
            yield (
                f"{share} {evaluation.unit} is classified as {label}, so recall of {label} is "
                f"uninformative."
            )
    stills = [r for r in evaluation.reals if r.compression == "still"]
    clips = [r for r in evaluation.reals if r.compression != "still"]
    worst = min((r.called_real.value for r in clips), default=1.0)
    if stills and worst < 0.5 < min(r.called_real.value for r in stills):
        yield (
            f"Per {evaluation.unit}, most stills are classified as real, but "
            f"{decimals(100 * (1 - worst), 0)} % of real video is not: the detector may be "
            f"separating stills from video rather than real from fake."
        )


def _shortcut_remark(probes: Sequence[ProbeResult]) -> str:
    """Return a caveat on low-level features that detect fakes, or on a probe that was not run."""
    fakes = [p for p in probes if p.kind != "real against real" and not math.isnan(p.auc_scaled)]
    if not probes:
        return (
            "The AUC of low-level image features alone is unknown: `ffpp-audit` was not run on "
            "this manifest."
        )
    worst = max(fakes, key=lambda p: p.auc_scaled, default=None)
    if worst is None or worst.auc_scaled < GIVES_AWAY:
        return ""
    return (
        f"Low-level image features alone, most of all {worst.telling}, reach AUC "
        f"{decimals(worst.auc_scaled, 2)} for {worst.question}: the network may have learnt "
        f"nothing else."
    )


def _temperature_remark(operating_point: OperatingPoint) -> str:
    """Return a caveat on a temperature at the limit of its search range, or ""."""
    temperature = operating_point.temperature
    if not temperature_at_limit(temperature):
        return ""
    return (
        f"CALIBRATION FAILED: temperature scaling reached its limit ({temperature:.3g}) on "
        f"validation, so the probabilities are unreliable."
    )


def _split(manifest: Manifest, split: str) -> str:
    """Return the manifest's current summary and the identity groups of a split."""
    info = split_audit(manifest).manifest.info
    groups = [
        f"{counted(n, 'identity group')} of {kind}"
        for kind, n in info["groups"][split].items()
        if n
    ]
    return f"{info['summary']}. In {split}: {', '.join(groups)}."


def _threshold(
    operating_point: OperatingPoint, subject: str = "thresholds and temperature were"
) -> str:
    if operating_point.why_fixed:
        return f"The threshold is 0.5, because none could be fitted: {operating_point.why_fixed}."
    units = " and per ".join(operating_point.no_better)
    chance = f" Per {units}, NO THRESHOLD WAS BETTER THAN CHANCE, so it is 0.5." if units else ""
    return f"The {subject} fitted on validation.{chance}"
