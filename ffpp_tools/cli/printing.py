"""What the ffpp-* commands print: tables and sentences."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from ffpp_tools.console import counted, in_a_line, print_line, print_table
from ffpp_tools.store.schema import SPLITS

if TYPE_CHECKING:
    import pandas as pd

    from ffpp_tools.doctor.machine import Finding
    from ffpp_tools.extraction.pipeline import Summary
    from ffpp_tools.extraction.recorded_boxes import Comparison
    from ffpp_tools.grouping.dataset import Dataset
    from ffpp_tools.grouping.identity import Identities
    from ffpp_tools.splits.audit import Audit
    from ffpp_tools.splits.manifest import Manifest
    from ffpp_tools.splits.shortcuts import ProbeResult
    from ffpp_tools.store.missing_crops import MissingCrops

SHOWN = 20  # rows printed of a longer table
FAR_OFF = 0.05  # deviation of a split's share of all samples that is reported


def _add(table: Table, *cells: object) -> None:
    """A row of plain text: names of files may look like markup."""
    table.add_row(*(Text(in_a_line(cell)) for cell in cells))


def duplicates(found: pd.DataFrame, dataset: Path) -> None:
    """How many of each kind, with an example, and what is named or labelled wrongly."""
    from ffpp_tools.grouping.dedupe import MOST_LISTED
    from ffpp_tools.grouping.duplicate_clips import mislabelled_pairs
    from ffpp_tools.store.missing_crops import find_missing_crops
    from ffpp_tools.store.tables import read_faces, read_frames

    table = Table("found", "count", "for example", "same as")
    for kind, rows in found.groupby("kind"):
        first = rows.iloc[0]
        _add(table, str(kind), str(len(rows)), first["item"], first["partner"])
    if len(found):
        print_table(table)
    if more := found.attrs.get("not_listed"):
        print_line(
            f"  {more:,} more pairs of near-identical stills are not listed: the table has the "
            f"{MOST_LISTED} nearest to each still, and the pairs needed to connect its group"
        )
    wrong = mislabelled_pairs(found, read_frames(dataset))
    for row in wrong.head(SHOWN).itertuples():
        print_line(
            f"  {row.item} shows the same frames as {row.partner}: one of them has the wrong name "
            f"or label",
            "yellow",
        )
    if len(wrong) > SHOWN:
        print_line(f"  and {len(wrong) - SHOWN} more such pairs", "yellow")
    if lost := find_missing_crops(dataset, read_faces(dataset)["path"]):
        print_line(f"  {lost}; manifests made now leave these crops out", "yellow")
    what = "all duplicates" if len(found) else "no duplicates"
    print_line(f"{what}: {dataset}/duplicates.parquet")


def identities(found: Identities, dataset: Path) -> None:
    """Identity matches, and their error rates."""
    from ffpp_tools.grouping.match_rates import (
        expected_false_matches_text,
        false_match_rate_text,
        miss_rate_text,
    )

    matches = found.table[found.table["partner"] != ""].sort_values("distance")
    table = Table("found", "looks like", "distance")
    for row in matches.head(SHOWN).itertuples():
        _add(table, row.item, row.partner, f"{row.distance:.3f}")
    if len(matches):
        print_table(table)
    total = f"{len(found.table)} items (clips, labelled people, stills)"
    print_line(f"{len(matches)} of {total} match another item")
    for said in (miss_rate_text, false_match_rate_text, expected_false_matches_text):
        print_line(f"  {said(found.matching)}")
    print_line(f"full table: {dataset}/identities.parquet")


def manifest(made: Manifest) -> None:
    """How many samples and identity groups each split has, and what was left out."""
    info = made.info
    table = Table("class", "label", *info["counts"], "available")
    for name, label in made.classes.items():
        counts = [str(split.get(name, 0)) for split in info["counts"].values()]
        _add(table, name, label, *counts, str(info.get("available", {}).get(name, "")))
    for kind in ("clips", "stills"):
        counts = [str(groups[kind]) for groups in info["groups"].values()]
        _add(table, f"identity groups of {kind}", "", *counts, "")
    if counts_of_pairs := info.get("pairs"):  # absent in manifests of earlier releases
        paired = [f"{n['paired']} of {n['fakes']}" for n in counts_of_pairs.values()]
        _add(table, "fakes with their original", "", *paired, "")
    print_table(table)
    _ratios(info)
    if unused := info.get("unused"):
        listed = ", ".join(f"{name} ({counted(n, 'frame')})" for name, n in unused.items())
        print_line(f"  in the dataset but not in this mode: {listed}; --include adds them")
    _compressions(info)
    if (untested := info.get("untested")) and untested["groups"]:
        some = ", ".join((untested["with_clips"] + untested["of_stills"])[:3])
        print_line(
            f"  {untested['groups']} identity groups are in no fold's test split, because "
            f"the smallest class limits the size of every class: {some}"
            f"{', …' * (untested['groups'] > 3)}",
            "yellow",
        )
        if only_others := untested["without_test_samples"]:
            print_line(
                f"  {only_others} of them appear only in fakes of methods other than "
                f"{info['settings']['leave_out']}, which are in no test split",
                "yellow",
            )
    for gone in info["removed"][:SHOWN]:
        print_line(
            f"  {gone['who']} was left out of {gone['side']} ({gone['samples']} samples): "
            f"{gone['reason']}, {gone['because_of']} is in {gone['kept']}"
        )
    if len(info["removed"]) > SHOWN:
        print_line(f"  and {len(info['removed']) - SHOWN} more: manifest.json lists them")
    if info.get("unlisted"):
        print_line(
            f"  {info['unlisted']} samples were left out: their clips are in no official list",
            "yellow",
        )
    doubtful = info["audit"]["leaks"] or info["audit"].get("confounded")
    print_line(info["summary"], "yellow" if doubtful else None)
    for what in info["audit"]["not_known"]:
        print_line(f"  not known: {what}", "yellow")
    print_line(f"manifest: {made.folder}")


def _compressions(info: dict[str, Any]) -> None:
    """How much of each compression each class has, and what equal shares of it cost."""
    found = info["audit"].get("compression")
    for split, classes in (found["counts"] if found else {}).items():
        same = len({tuple(counts.items()) for counts in classes.values()}) == 1
        named = {"each class of clips": next(iter(classes.values()))} if same else classes
        each = "; ".join(
            f"{name} {', '.join(f'{n} at {c}' for c, n in counts.items())}"
            for name, counts in named.items()
        )
        print_line(f"  {split}: {each}")
    if (accuracy := info["audit"].get("still_accuracy", 0.5)) > 0.5:
        print_line(
            f"  telling photographs from video frames separates fake from real with up to "
            f"{accuracy:.0%} accuracy (in the worst split; chance: 50%)"
        )
    for compression, gone in info.get("unused_compressions", {}).items():
        print_line(
            f"  {compression} was left out ({counted(gone['samples'], 'sample')}): "
            f"{' and '.join(gone['lacking'])} has none of it, so it would reveal the class",
            "yellow",
        )
    if free := info.get("unbalanced"):
        counts = {split: min(n.values()) for split, n in info["counts"].items()}
        fewer = [split for split in SPLITS if counts[split] != free[split]]
        cost = ", ".join(f"{counts[split]} of {free[split]} in {split}" for split in fewer)
        print_line(
            f"  balancing the compressions leaves {cost} samples of each class; --compression "
            f"restricts the manifest to one",
            "yellow" if any(2 * counts[s] < free[s] for s in SPLITS) else None,
        )


def _ratios(info: dict[str, Any]) -> None:
    """Say where whole identity groups could not be split by the ratios."""
    settings, counts = info["settings"], info["counts"]
    asked = settings.get("ratios")
    whole = not (settings.get("leave_out") or settings.get("folds"))
    sizes = [sum(counts[split].values()) for split in SPLITS]
    if settings["rule"] != "grouped" or not (asked and whole and sum(sizes)):
        return
    shares = [size / sum(sizes) for size in sizes]
    if max(abs(share - wish) for share, wish in zip(shares, asked, strict=True)) > FAR_OFF:
        got, wanted = ("/".join(f"{100 * x:.0f}" for x in xs) for xs in (shares, asked))
        print_line(
            f"  split {got}, not {wanted}: identity groups stay whole, and there are few of them; "
            f"--folds N tests on every group in turn",
            "yellow",
        )


def audit(found: Audit, lost: MissingCrops) -> None:
    """Leaks between splits, and missing crops."""
    from ffpp_tools.splits.audit import ALL_REASONS

    if found.crossings:
        table = Table("in several splits", "count", "which", "for example")
        for c in found.crossings:
            splits = ", ".join(f"{n} {where}" for where, n in c.sides.items())
            _add(table, ALL_REASONS[c.reason], str(c.count), splits, " and ".join(c.example))
        print_table(table)
    for split in found.unequal:
        print_line(f"  {split}: its classes differ in size", "yellow")
    if lost:
        print_line(f"  {lost}", "yellow")
    rates = ", ".join(f"{name} {rate:.1%}" for name, rate in found.miss_rates.items())
    print_line(f"frames without a usable face: {rates}")


def shortcut_table(answers: list[ProbeResult]) -> None:
    """How well low-level features alone predict the class."""
    headings = ("low-level features alone predict", "AUC", "AUC at 128 px", "groups", "samples")
    table = Table(*headings, "strongest feature")
    for a in answers:
        aucs = [f"{v:.2f}" if v == v else "too few groups" for v in (a.auc, a.auc_scaled)]
        _add(table, a.question, *aucs, str(a.groups), str(a.samples), a.telling)
    print_table(table)
    print_line("a network whose AUC is not well above these may use only these features")


def identity_path(
    tables: Dataset, edges: pd.DataFrame, a: str, b: str
) -> list[tuple[str, str, str, str]]:
    """The chain of edges between two samples, clips or stills, by a manifest's own edges.

    Returns:
        The path, as `groups.shortest_path` returns it; empty if none is in the manifest.
    """
    from ffpp_tools.grouping.groups import REASONS, resolve_node
    from ffpp_tools.grouping.groups import shortest_path as found_by

    one, other = (resolve_node(tables.frames, name) for name in (a, b))
    chain = found_by(edges, one, other)
    outside = [] if chain else found_by(tables.edges, one, other)
    if one == other:
        print_line(f"{a} and {b} both belong to {one}")
    elif not chain:
        print_line(f"no known link between {one} and {other} in this manifest")
    if outside:
        print_line("in the dataset, linked by fakes that are not in the manifest:")
    for start, end, reason, detail in chain or outside:
        print_line(f"{start} - {end}: {REASONS[reason]}{f' ({detail})' if detail else ''}")
    return chain


def findings(found: Sequence[Finding]) -> None:
    """Each finding, and below it how to fix it."""
    styles = {"ok": "green", "note": "yellow", "problem": "bold red"}
    table = Table("", "what", "found", show_header=False, box=None)
    for f in found:
        table.add_row(Text(f.state, style=styles[f.state]), Text(f.what), Text(in_a_line(f.found)))
        if f.remedy:
            table.add_row("", "", Text(f"→ {f.remedy}", style="dim"))
    print_table(table)


def extraction(summary: Summary) -> None:
    """What the folder holds: planned frames by outcome, and every failure."""
    from ffpp_tools.grouping.groups import nodes
    from ffpp_tools.store.ledger import miss_rate_warning, status_counts

    counts = status_counts(summary.frames)
    table = Table("category", "compression", *(str(c).replace("_", " ") for c in counts.columns))
    for (category, compression), row in counts.iterrows():
        *numbers, rate = row
        cells = [str(int(n)) for n in numbers]
        _add(table, category, compression, *cells, "" if rate != rate else f"{rate:.1%}")
    print_table(table)
    failed = summary.frames[summary.frames["error"] != ""]
    for error in failed["error"].unique()[:10]:
        print_line(f"  {error}", style="yellow")
    if len(failed):
        what = "could not be read, or lack their original or mask"
        frames = counted(len(failed), "frame")
        print_line(f"  {frames} {what}; `--retry failed` retries them", "yellow")
    unchanged = summary.frames[summary.frames["status"] == "unchanged_fake"]
    for by, rows in unchanged.groupby("unchanged_by"):
        why = {
            "mask": "their masks are empty or cover another person",
            "pixels": "their faces differ from their originals' by no more than compression noise",
        }.get(str(by), "found by an older version")
        clips = nodes(rows).value_counts()
        some = ", ".join(f"{name} ({n})" for name, n in clips.head(3).items())
        print_line(
            f"  {counted(len(rows), 'frame')} labelled fake left out as not manipulated: {why}: "
            f"{some}{', …' * (len(clips) > 3)}"
        )
    if warning := miss_rate_warning(summary.frames):
        print_line(f"  {warning}", style="yellow")
    print_line(
        f"{counted(len(summary.faces), 'crop')} in {summary.dataset}/faces; "
        f"{summary.dataset}/frames.parquet lists every planned frame and its outcome"
    )


def comparison(compared: Comparison) -> None:
    """How many crops are those of a table of boxes, and which clips could not be extracted."""
    total = counted(compared.equal + compared.differing + compared.missing, "crop")
    print_line(f"{compared.equal} of {total} in the table of boxes were made again, byte for byte")
    if compared.differing:
        print_line(
            f"  {counted(compared.differing, 'crop')} of the same videos and boxes have other "
            f"bytes: another version of OpenCV or FFmpeg decodes or encodes images differently",
            "yellow",
        )
    for name, error in list(compared.failed.items())[:SHOWN]:
        print_line(f"  {name}: {error}", "yellow")
    if len(compared.failed) > SHOWN:
        more = counted(len(compared.failed) - SHOWN, "more clip")
        print_line(f"  and {more}: frames.parquet has the reasons", "yellow")
