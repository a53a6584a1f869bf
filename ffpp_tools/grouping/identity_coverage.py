"""How much of a dataset each source of ties covers: what is not known could hide a leak."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ffpp_tools.grouping.groups import SAME_CONTENT, Graph, nodes, person_nodes, still_identities
from ffpp_tools.sources import official_lists
from ffpp_tools.sources.clip import FFPP_YOUTUBE, ORIGINAL_CATEGORY
from ffpp_tools.store.schema import STILL
from ffpp_tools.store.tables import as_text

if TYPE_CHECKING:
    from ffpp_tools.grouping.dataset import Dataset


@dataclass(frozen=True)
class Coverage:
    """Of how many clips or stills of a category a source tells what it can tell."""

    source: str  # a key of `SENTENCES`
    category: str
    known: int
    of: int
    example: str = ""  # something that is not known

    @property
    def unknown(self) -> int:
        """Of how many it does not tell."""
        return self.of - self.known


def coverage(tables: Dataset, samples: pd.DataFrame | None = None) -> list[Coverage]:
    """What every source covers of a manifest, or of the whole dataset.

    Args:
        tables: the dataset.
        samples: the manifest's; columns category and clip.
    """
    frames = tables.frames
    there = frames[frames["status"] == "ok"]
    if samples is not None:
        there = frames[nodes(frames).isin(nodes(samples).unique())]
    units = as_text(there.drop_duplicates(["category", "clip"]))
    units = units.assign(knot=nodes(units))
    clips, stills = units[units["compression"] != STILL], units[units["compression"] == STILL]
    return [
        *_originals(clips, tables),
        *_videos(clips, tables.videos),
        *_persons(stills[stills["label"] == "real"], tables.people or {}),
        *_run("ffpp-clean", units, tables, tables.duplicates),
        *_run("ffpp-identify", units[units["label"] == "real"], tables, tables.identities),
        *_content(there[there["compression"] != STILL], tables.duplicates),
    ]


def coverage_gaps(found: Sequence[Coverage]) -> list[str]:
    """What is not known, the gravest first; one sentence for each source that is incomplete."""
    told = []
    for source, sentence in SENTENCES.items():
        if own := [c for c in found if c.source == source and c.unknown]:
            told += sentence(own)
    return told


def _originals(clips: pd.DataFrame, tables: Dataset) -> Iterator[Coverage]:
    """Whether a fake's people are clips of the dataset, by name or by what `ffpp-clean` found."""
    every = tables.frames[tables.frames["compression"] != STILL]
    every = as_text(every.drop_duplicates(["category", "clip"]))
    every = every.assign(knot=nodes(every), hub=person_nodes(every, "target_id"))
    real = every[every["label"] == "real"]
    fakes = every[every["label"] == "fake"]
    # A fake shows its target's frames, so a real clip with the same frames is as good as a name.
    content = tables.ties[tables.ties["reason"].isin(SAME_CONTENT)][["a", "b"]]
    shown = every[["knot", "hub"]].set_axis(["a", "b"], axis=1)
    named = pd.concat([fakes["hub"], person_nodes(fakes[fakes["source_id"] != ""], "source_id")])
    graph = Graph.of(pd.concat([content, shown]), pd.concat([real["knot"], named]))
    of_real, of_named = np.split(graph.asked, [len(real)])
    known = set(named[np.isin(of_named, of_real)])
    orphans = set(real["category"][~real["hub"].isin(set(named))])  # have clips no fake names
    own = clips[(clips["label"] == "fake") & clips["category"].isin(ORIGINAL_CATEGORY)]
    for category, rows in own.groupby("category"):
        n, original = len(rows), ORIGINAL_CATEGORY[str(category)]
        target, source = person_nodes(rows, "target_id"), person_nodes(rows, "source_id")
        unnamed = rows["category"].str.startswith("DFDC") & (rows["target_id"] == rows["clip"])
        lost = {
            "unnamed original": rows["knot"][unnamed & ~target.isin(known)],
            "original": target[~unnamed & ~target.isin(known)],
            "source": source[(rows["source_id"] != "") & ~source.isin(known)],
        }
        if original not in set(clips["category"]) & orphans:
            lost = {"unnamed original": lost["unnamed original"]}
        for kind, names in lost.items():
            example = str(names.min()) if len(names) else ""
            yield Coverage(kind, str(category), n - len(names), n, example)


def _videos(clips: pd.DataFrame, videos: Mapping[str, str] | None) -> Iterator[Coverage]:
    """Whether the YouTube video of every clip of Youtube, or that a fake is made of, is known."""
    own = clips[clips["category"].isin(FFPP_YOUTUBE)]
    shown = pd.concat([own["target_id"], own["source_id"]])
    shown = shown[shown != ""].drop_duplicates()
    if len(shown):
        lost = shown[~shown.isin(videos or {})]
        source = "no video list" if videos is None else "video"
        example = str(lost.min()) if len(lost) else ""
        yield Coverage(source, "Youtube", len(shown) - len(lost), len(shown), example)


def _persons(stills: pd.DataFrame, people: Mapping[str, str]) -> Iterator[Coverage]:
    """Whether an identity file says who is on a photograph."""
    who = still_identities(stills, people)
    for category, own in stills.groupby("category"):
        lost = own["knot"][who[own.index] == ""]
        example = str(lost.min()) if len(lost) else ""
        yield Coverage("person", str(category), len(own) - len(lost), len(own), example)


def _run(
    command: str, units: pd.DataFrame, tables: Dataset, table: pd.DataFrame | None
) -> Iterator[Coverage]:
    """Whether a command has looked at the crops that are there now."""
    if table is None:
        for category, own in units.groupby("category"):
            yield Coverage(f"{command} not run", str(category), 0, len(own))
        return
    current = table.attrs.get("faces") == tables.fingerprints.get("faces.parquet", "")
    then = table.attrs.get("covered", {})
    now = tables.covered if then and not current else {}
    for category, own in units.groupby("category"):
        n = known = len(own)
        if not current:
            was, is_now = then.get(str(category), {}), now.get(str(category), {})
            grown = was.get("units", 0) < is_now.get("units", 0)
            known = min(was.get("units", 0), n) if grown else 0
            known = n if was and was == is_now else known
        yield Coverage(command, str(category), known, n)


def _content(frames: pd.DataFrame, duplicates: pd.DataFrame | None) -> Iterator[Coverage]:
    """Whether clips were compared with all others by their frames, whatever they are called."""
    if duplicates is None:
        return  # said by `_run`
    compared = duplicates.attrs.get("recorded", {})
    hashes = frames["source_sha256"] if "source_sha256" in frames else pd.Series("", frames.index)
    recorded = (hashes != "").groupby([frames["category"], frames["clip"]]).any()
    for category, own in recorded.groupby(level=0):
        known = int(own.sum()) if str(category) in compared else 0
        yield Coverage("frames", str(category), known, len(own))


def _each(found: Sequence[Coverage]) -> str:
    return ", ".join(f"{c.unknown} of {c.of} {c.category}" for c in found)


def _unnamed(found: Sequence[Coverage]) -> list[str]:
    return [
        f"the original of {_each(found)} clips (metadata.json names none): nothing keeps such a "
        f"fake, such as {found[0].example}, and its original in one split"
    ]


def _absent(what: str) -> Callable[[Sequence[Coverage]], list[str]]:
    def told(found: Sequence[Coverage]) -> list[str]:
        return [
            f"{what} {c.unknown} of {c.of} {c.category} clips: no clip of the dataset is called "
            f"{c.example.split('/')[-1]}, though it holds {ORIGINAL_CATEGORY[c.category]} clips "
            f"that no fake names"
            for c in found
        ]

    return told


def _unlisted(found: Sequence[Coverage]) -> list[str]:
    (c,) = found
    return [
        f"the YouTube video of {c.unknown} of {c.of} Youtube clips, such as {c.example}, which "
        f"{official_lists.CONVERSION} does not name"
    ]


def _nobody(found: Sequence[Coverage]) -> list[str]:
    return [f"who is on {c.unknown} of {c.of} photographs of {c.category}" for c in found]


def _no_list(_: Sequence[Coverage]) -> list[str]:
    return [
        f"several clips from one YouTube video, for want of {official_lists.CONVERSION} "
        f"({official_lists.WHERE_FROM})"
    ]


def _not_run(what: str, command: str) -> Callable[[Sequence[Coverage]], list[str]]:
    return lambda _: [f"{what} ({command} was not run)"]


def _stale(what: str, command: str) -> Callable[[Sequence[Coverage]], list[str]]:
    return lambda found: [
        f"{what}, of crops that were made since {command} was run: {_each(found)} clips or stills"
    ]


def _unrecorded(found: Sequence[Coverage]) -> list[str]:
    return [
        f"the same video under another name, for {_each(found)} clips: their frames were not "
        f"compared (`ffpp-extract --overwrite` records them, then run ffpp-clean again)"
    ]


TWICE = "the same photograph or video twice"
SAME_PERSON = "the same person in several clips or stills"
# What a source that is incomplete leaves unknown, the gravest first.
SENTENCES: dict[str, Callable[[Sequence[Coverage]], list[str]]] = {
    "unnamed original": _unnamed,
    "original": _absent("the original of"),
    "source": _absent("the other person in"),
    "no video list": _no_list,
    "video": _unlisted,
    "person": _nobody,
    "ffpp-clean not run": _not_run(TWICE, "ffpp-clean"),
    "ffpp-clean": _stale(TWICE, "ffpp-clean"),
    "frames": _unrecorded,
    "ffpp-identify not run": _not_run(SAME_PERSON, "ffpp-identify"),
    "ffpp-identify": _stale(SAME_PERSON, "ffpp-identify"),
}
