"""What a report's figures may be trusted for: its first line, and what to know beside it."""

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
    "test": "The checkpoint was chosen by {monitor}; test chose nothing.",
    "val": "The checkpoint was chosen by {monitor}, on this very split: these figures flatter.",
    "train": "The network was trained on this very split: these figures say what it memorised.",
}
CHOSEN_OF_REFIT = {
    "test": "The network was trained on train and val for a fixed time; nothing was chosen.",
    "val": CHOSEN["train"],
    "train": CHOSEN["train"],
}
MONITORED = {
    "val_log_loss": "validation log loss",
    "val_loss": "validation loss (with the penalties of the head)",
}
NEARLY_NONE = 0.02  # a class that so few of the samples are called is as good as never called
GIVES_AWAY = 0.8  # AUC of cheap properties, at the network's scale, that a reader must know of
UPSIDE_DOWN = 0.3  # AUC without an interval, below which scores are taken to be of reals
NEVER_MORE = 0.02  # a detector whose scores differ by less decides nothing


def of_run(run: Run, manifest: Manifest, split: str, operating: OperatingPoint) -> str:
    """Of a run on a split of its own manifest."""
    chosen = CHOSEN_OF_REFIT if run.settings.refit else CHOSEN
    how = chosen[split].format(monitor=MONITORED[run.settings.monitor])
    said = f"{_split(manifest, split)} {how} {_threshold(operating)}"
    return f"{said} {run.borrowed}".strip()


def of_run_elsewhere(run: Run, other: Manifest, split: str, operating: OperatingPoint) -> str:
    """Of a run on another manifest than it was trained on."""
    chosen = f"chosen by {MONITORED[run.settings.monitor]}"
    if run.settings.refit:
        chosen = "trained for a fixed time"
    said = [
        f"Judged on another manifest than it was trained on, {other.folder.resolve().name}.",
        str(identity_overlap(run, other, split)),
        _other_crops(run, other),
        f"{_split(other, split)} The checkpoint was {chosen} on the run's own manifest.",
        _threshold(operating),
        run.borrowed,
    ]
    return " ".join(part for part in said if part)


def _other_crops(run: Run, other: Manifest) -> str:
    """A sentence on faces that were found or cropped in another way than the run's, or ""."""
    own, theirs = run.faces, faces_of(other)
    differ = [
        f"{name} {own[section].get(name)} there, {value} here"
        for section in ("crop", "find")
        for name, value in theirs[section].items()
        if own[section].get(name) != value
    ]
    return (
        f"ITS FACES WERE CROPPED OTHERWISE than those it was trained on ({', '.join(differ)})."
        if differ
        else ""
    )


def of_file(path: Path, manifest: Manifest, split: str, operating: OperatingPoint) -> str:
    """Of somebody's predictions."""
    said = f"Predictions of {path.name}: whom their detector was trained on is not known here."
    return f"{said} {_split(manifest, split)} {_threshold(operating)}"


def of_verdicts(run: Run, operating: OperatingPoint, files: Sequence[Path]) -> str:
    """Of what a run says of pictures and videos of anybody's."""
    said = [
        f"Verdicts of run {run.folder.resolve().name} (network {run.settings.arch}), trained to "
        f"tell {', '.join(run.classes)} apart. {_worth(run)} On other manipulations, or on video "
        f"unlike what it was trained on, a verdict is a guess.",
        _learnt(run, files),
        _threshold(operating, "threshold was"),
        run.borrowed,
    ]
    return " ".join(part for part in said if part)


def _worth(run: Run) -> str:
    """A sentence on what its last report says of its own test split."""
    report = read_saved_report(run.report_folder("test"))
    try:
        unit = "clip" if "clip" in report["units"] else "frame"
        of_unit = report["units"][unit]
        found = of_unit["auc_against_originals"]["value"]
        auc = math.nan if found is None else float(found)
        people = counted(int(of_unit["groups"]), "group")
        of_this = report["checkpoint"] == run.checkpoint_sha256
        leaked = bool(report.get("leaks", "PEOPLE APPEAR" in report["provenance"]))
    except (KeyError, TypeError, ValueError):
        of_this = False
    if not of_this:
        return "What that is worth nobody has looked at: `classify report` does."
    if is_intact(report) is False:
        return (
            "What that is worth is not known: its report.json was changed after it was written; "
            "`classify report` makes it anew."
        )
    if math.isnan(auc):
        return f"Its test split held nothing to set fakes against ({people} of people)."
    worth = " - NO BETTER THAN GUESSING" if auc <= 0.5 else ""
    with suppress(ClassifyError, FfppError):  # away from its data, what the report knew counts
        leaked = split_audit(run.manifest).leaks or leaked
    inflated = f" {SEVERAL_SPLITS} of that split: the figure is inflated." if leaked else ""
    return (
        f"On its own test split its AUC against originals was {number(auc)} per {unit} ({people} "
        f"of people){worth}.{inflated}"
    )


def _learnt(run: Run, files: Sequence[Path]) -> str:
    """A sentence on files that are called like what the run was trained on, or ""."""
    try:
        own = run.manifest
        seen = pd.concat([own.samples(part)["clip"] for part in ("train", "val")])
        names = {Path(name).name for name in seen.unique()}
    except (ClassifyError, FfppError):
        return ""
    known = [path.name for path in files if path.stem in names]
    if not known:
        return ""
    of = f"{len(known)} OF {counted(len(files), 'file')} {'is' if len(known) == 1 else 'are'}"
    return (
        f"{of.upper()} CALLED LIKE WHAT IT WAS TRAINED ON "
        f"({', '.join(known[:3])}{', …' if len(known) > 3 else ''}): there it may only remember "
        f"the answer."
    )


def remarks(
    judgements: Sequence[Evaluation],
    manifest: Manifest,
    shortcuts: Sequence[ProbeResult] = (),
    operating: OperatingPoint = OperatingPoint(""),  # noqa: B008 (frozen)
) -> list[str]:
    """What a reader of the figures should know besides, most important first.

    Args:
        judgements: per frame, and perhaps per clip.
        manifest: that was judged on, with what is known now of who is on it.
        shortcuts: what cheap properties alone tell.
        operating: the threshold and temperature that were used.
    """
    found = [*map(_guessing, judgements), _shortcuts(shortcuts), _temperature(operating)]
    for j in judgements:
        category, few = j.fewest
        if few < FEW_GROUPS:
            found.append(
                f"{category} shows {counted(few, 'group')} of people (no category fewer): with "
                f"fewer than {FEW_GROUPS}, intervals are not to be trusted, and a test on other "
                f"people could give very different figures."
            )
        found += _one_sided(j)
    if unknown := manifest.info["audit"]["not_known"]:
        found.append(
            f"Not looked at, so that people may still be in several splits: {'; '.join(unknown)}."
        )
    if manifest.info["audit"].get("misses_differ"):
        found.append(
            "Categories differ in how often no face was found, by more than chance (tested over "
            "targets and photographs); what was not found is not judged."
        )
    return list(dict.fromkeys(text for text in found if text))


def of_foreign_scores(judgements: Sequence[Evaluation]) -> Iterator[str]:
    """What to know of somebody's scores besides: of what they are, and whether upside down."""
    if [j.unit for j in judgements] == ["clip"]:
        yield (
            "JUDGED PER CLIP ALONE: the file has one score for each clip and none of frames, so "
            "there are no tables, errors or figures per frame, and stills are not judged."
        )
    for j in judgements:
        auc = j.measures["auc"]
        if auc.value < 0.5 and (
            auc.high < 0.5 or (math.isnan(auc.high) and auc.value < UPSIDE_DOWN)
        ):
            yield (
                f"Per {j.unit} ITS P(FAKE) IS HIGHER FOR REALS THAN FOR FAKES (AUC "
                f"{number(auc.value)}): perhaps it is P(real), of which 1 - p_fake would have AUC "
                f"{number(1 - auc.value)}."
            )


def stale_shortcuts(audit: SplitAudit) -> str:
    """A word on cheap properties that were measured over other groups than those of now, or ""."""
    if not audit.changed:
        return ""
    return (
        "Who belongs together is known better than when the manifest was made: what cheap "
        "properties reach may have been measured over other groups. Run `ffpp-audit` again."
    )


def _guessing(judged: Evaluation) -> str:
    """A word on scores that tell fakes from their originals no better than a coin, or ""."""
    auc = judged.measures["auc_against_originals"]
    if math.isnan(auc.value) or min(auc.value, auc.low) > 0.5:  # without an interval, by the value
        return ""
    what = f"Per {judged.unit} its AUC against originals is {number(auc.value)}"
    if auc.value <= 0.5:
        return f"{what}: NO BETTER THAN GUESSING."
    return f"{what}, and its interval holds 0.5: perhaps no better than guessing."


def _one_sided(j: Evaluation) -> Iterator[str]:
    """Words on a detector that calls everything, or all of some kind, the same."""
    scores, called = j.scores.p_fake, j.detection.sum()
    if (called == 0).any() and scores.max() - scores.min() < NEVER_MORE:
        yield (
            f"Per {j.unit} every sample gets nearly the same P(fake), "
            f"{decimals(scores.min(), 2)} to {decimals(scores.max(), 2)}: this detector decides "
            f"nothing."
        )
    for name, other in (("fake", "real"), ("real", "fake")):
        if called[other] <= NEARLY_NONE * called.sum():
            share = "Every" if called[other] == 0 else "Nearly every"
            yield f"{share} {j.unit} is called {name}: finding all of {name} means nothing."
    stills = [r for r in j.reals if r.compression == "still"]
    clips = [r for r in j.reals if r.compression != "still"]
    worst = min((r.called_real.value for r in clips), default=1.0)
    if stills and worst < 0.5 < min(r.called_real.value for r in stills):
        yield (
            f"Per {j.unit} stills pass as real and {decimals(100 * (1 - worst), 0)} % of real "
            f"video does not: what looks like skill is telling stills from video."
        )


def _shortcuts(answers: Sequence[ProbeResult]) -> str:
    """A word on what gives fakes away without a look at the face."""
    fakes = [a for a in answers if a.kind != "real against real" and not math.isnan(a.auc_scaled)]
    if not answers:
        return (
            "What cheap properties of a crop alone would reach is not known: `ffpp-audit` of its "
            "manifest was not run."
        )
    worst = max(fakes, key=lambda a: a.auc_scaled, default=None)
    if worst is None or worst.auc_scaled < GIVES_AWAY:
        return ""
    return (
        f"Cheap properties alone ({worst.telling} above all), without a look at the face, reach "
        f"AUC {decimals(worst.auc_scaled, 2)} in {worst.question}: a network may have learnt "
        f"nothing else."
    )


def _temperature(operating: OperatingPoint) -> str:
    """A word on a temperature that went as far as it may, or ""."""
    if not temperature_at_limit(operating.temperature):
        return ""
    return (
        f"CALIBRATION FAILED: temperature scaling went to its limit ({operating.temperature:.3g}) "
        f"on validation, so that no probability is to be taken at its word."
    )


def _split(manifest: Manifest, split: str) -> str:
    """The split's summary, by what is known now of who is on it."""
    manifest = split_audit(manifest).manifest
    there = manifest.info["groups"][split]
    behind = [
        f"{counted(n, 'group')} of people behind its {kind}" for kind, n in there.items() if n
    ]
    return f"{manifest.info['summary']}. In {split}: {', '.join(behind)}."


def _threshold(operating: OperatingPoint, what: str = "thresholds and temperature were") -> str:
    if operating.why_fixed:
        return f"The threshold is 0.5, because none could be chosen: {operating.why_fixed}."
    none = " and per ".join(operating.no_better)
    chance = f" Per {none} NO THRESHOLD WAS BETTER THAN CHANCE there: it is 0.5." if none else ""
    return f"The {what} chosen on validation.{chance}"
