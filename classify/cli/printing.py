"""What the `classify` command prints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.table import Column, Table
from rich.text import Text

from ffpp_tools.console import counted, in_a_line, print_line, print_table

if TYPE_CHECKING:
    import pandas as pd

    from classify.evaluation.compare import Comparison, CrossManifestMatrix
    from classify.evaluation.evaluate import Evaluation
    from classify.inference.media import Verdict
    from classify.reporting.report_data import Report
    from classify.search.tune import SearchResult


def report(made: Report) -> None:
    """How well a detector performs, most important first."""
    from classify.reporting.formatting import number, percent, rounded

    print_line(made.provenance, style="bold")
    for remark in made.remarks:
        print_line(f"  {remark}", style="yellow")
    for a in made.shortcuts:
        alone = f"{number(a.auc)} ({number(a.auc_scaled)} at 128 pixels)"
        print_line(f"  shortcut features alone: AUC {alone}, {a.question}")
    for j in made.evaluations:
        _evaluation(j)
        shares = j.in_paper_order.map(rounded)
        _print("confusion matrix, in percent of each row", "actual ╲ predicted", shares)
        if len(j.confusion) == 2:
            shares = (f"{percent(v)} % of {name}" for name, v in j.per_class["recall"].items())
            print_line(f"correct: {', '.join(shares)}")
        _print("counts at the decision threshold", "actual ╲ classified", j.binary_confusion)
        per_class = j.per_class.astype(object)
        for name in ("precision", "recall", "f1", "auc"):
            per_class[name] = j.per_class[name].map(number)
        _print("per class; AUC of each class against the rest", "class", per_class)
    if made.robustness:
        losses = made.robustness.losses.map(number)
        _print("loss of AUC against originals", "corruption", losses)
    print_line(f"report: {made.folder / 'report.html'}")


def verdicts(made: Sequence[Verdict], said: str) -> None:
    """The verdict on each person in some files."""
    from classify.reporting.formatting import number, percent

    print_line(said, style="bold")
    above = sorted({f"{number(v.threshold)} ({v.kind}s)" for v in made})
    title = f"classified as fake above {', '.join(above)}"
    columns = ("P(fake)", "80 % of frames", "frames above, %", "frames")
    table = _table(title, "file", "person", "verdict", *columns)
    for v in made:
        for p in v.people:
            note = "" if v.status == "ok" else f" ({v.status})"
            between = f"{number(p.p_fake_q10)} to {number(p.p_fake_q90)}"
            shown = (number(p.p_fake), between, percent(p.frames_above), p.frames)
            _row(table, v.path, p.person, p.verdict + note, *shown)
        if not v.people:
            _row(table, v.path, "", v.status, "", "", "", f"0 of {v.frames_searched}")
    print_table(table)


def comparison(found: Comparison) -> None:
    """Runs, ordered by validation."""
    from classify.reporting.formatting import decimals, number, percent, with_interval

    for note in found.notes:
        print_line(note, style="yellow")
    measures = ("validation AUC", "test accuracy, %", "test recall of fakes, %", "test AUC")
    columns = (*measures, "parameters", "images/s", "MB")
    title = f"per {found.unit}, ordered by AUC on {found.ordered_by}"
    table = _table(title, "run", "architecture", "weights", *columns)
    for r in found.table.itertuples():
        on_test = (percent(r.accuracy), percent(r.recall_of_fakes), number(r.auc))
        shares = (number(r.val_auc), *on_test)
        cost = (f"{r.parameters:,}", decimals(r.images_per_second, 0), decimals(r.megabytes, 1))
        _row(table, r.run, r.arch, r.weights, *shares, *cost)
    print_table(table)
    if found.differences:
        gains = ", ".join(
            f"{name.replace('auc', 'AUC')} {with_interval(gain)}"
            for name, gain in found.differences.items()
        )
        first, second = found.table["run"][:2]
        print_line(f"{first} minus {second} on test, on the same people: {gains}")


def tuned(found: SearchResult) -> None:
    """The best trials of a search."""
    from classify.search.tune import BEST, SHOWN, TRIALS

    names = [c for c in found.trials.columns if c != "seconds"]
    table = _table("best trials, by log loss on validation", *names)
    for row in found.trials.head(SHOWN).to_dict("records"):
        cells = (row[name] for name in names)
        _row(table, *(f"{c:.4g}" if isinstance(c, float) else c for c in cells))
    print_table(table)
    print_line(
        f"{counted(len(found.trials), 'trial')}: {found.folder / TRIALS}. The best validation "
        f"loss of several trials is optimistic; `classify report` measures on the test split."
    )
    print_line(f"train with the best settings: classify train --config {found.folder / BEST}")


def matrix(found: CrossManifestMatrix) -> None:
    """Runs by manifests."""
    from classify.reporting.compare_files import MARKS, cells

    for note in found.notes:
        print_line(note, style="yellow")
    title = "AUC per frame, fakes against their originals (all reals if there are none)"
    _print(title, "trained ╲ tested on", cells(found))
    values = found.leaks.to_numpy()
    if (values == "yes").any():
        print_line(
            f"{MARKS['yes']} trained or validated on people in that split: too optimistic", "yellow"
        )
    if (values == "unknown").any():
        print_line(
            f"{MARKS['unknown']} unknown whether it was: a dataset folder is missing", "yellow"
        )


def _evaluation(j: Evaluation) -> None:
    from classify.reporting.formatting import percent, title, with_interval

    behind = counted(j.groups, "identity group")
    print_line("")
    print_line(f"per {j.unit}: {counted(j.samples, j.unit)} from {behind}", style="bold")
    for name in ("accuracy", "auc_against_originals", "auc"):
        print_line(f"  {title(name)}: {with_interval(j.measures[name])}")
    if j.manipulations:
        columns = (
            "manipulation",
            "",
            f"{j.unit}s",
            "classified as fake",
            "AUC",
            "EER",
            "AUC, all reals",
        )
        name = "each manipulation against its originals of the same compression"
        table = _table(name, *columns, "no usable face, %")
        for m in j.manipulations:
            estimates = (m.detected, m.auc, m.eer, m.auc_against_all)
            shown = (m.category, m.compression, m.samples, *map(with_interval, estimates))
            _row(table, *shown, percent(m.missed))
        print_table(table)
    if j.reals:
        table = _table(
            "each kind of real",
            "source",
            "",
            f"{j.unit}s",
            "classified as real",
            "no usable face, %",
        )
        for r in j.reals:
            shown = (r.category, r.compression, r.samples, with_interval(r.called_real))
            _row(table, *shown, percent(r.missed))
        print_table(table)


def _table(title: str, *columns: str) -> Table:
    return Table(*(Column(Text(name), overflow="fold") for name in columns), title=Text(title))


def _row(table: Table, *cells: object) -> None:
    """A row of plain text: names may look like markup."""
    table.add_row(*(Text(in_a_line(cell)) for cell in cells))


def _print(title: str, corner: str, cells: pd.DataFrame) -> None:
    table = _table(title, corner, *(str(c).replace("_", " ") for c in cells.columns))
    for name, row in cells.iterrows():
        _row(table, name, *row)
    print_table(table)
