"""How much of a dataset each source of edges covers. A missing edge can hide a leak."""

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
    """The number of clips or stills of a category that a source of edges covers."""

    source: str  # a key of `SENTENCES`
    category: str
    known: int  # number covered
    of: int  # total number
    example: str = ""  # an item that is not covered

    @property
    def unknown(self) -> int:
        """The number of items that are not covered."""
        return self.of - self.known


def coverage(tables: Dataset, samples: pd.DataFrame | None = None) -> list[Coverage]:
    """Compute the coverage of a manifest, or of the whole dataset, by every source.

    Args:
        tables: the dataset.
        samples: the manifest's samples, with columns category and clip; None for the whole dataset.
    """
    frames = tables.frames
    selected = frames[frames["status"] == "ok"]
    if samples is not None:
        selected = frames[nodes(frames).isin(nodes(samples).unique())]
    units = as_text(selected.drop_duplicates(["category", "clip"]))
    units = units.assign(node=nodes(units))
    clips, stills = units[units["compression"] != STILL], units[units["compression"] == STILL]
    return [
        *_originals(clips, tables),
        *_videos(clips, tables.videos),
        *_identities(stills[stills["label"] == "real"], tables.people or {}),
        *_command("ffpp-clean", units, tables, tables.duplicates),
        *_command("ffpp-identify", units[units["label"] == "real"], tables, tables.identities),
        *_frames(selected[selected["compression"] != STILL], tables.duplicates),
    ]


def coverage_gaps(coverages: Sequence[Coverage]) -> list[str]:
    """Describe what is unknown, the most serious first; one text for each incomplete source."""
    texts = []
    for source, describe in SENTENCES.items():
        if incomplete := [c for c in coverages if c.source == source and c.unknown]:
            texts += describe(incomplete)
    return texts


def _originals(clips: pd.DataFrame, tables: Dataset) -> Iterator[Coverage]:
    """Yield how many fakes have their target and source among the dataset's clips.

    The clips are found by name, or by equal frames according to `ffpp-clean`.
    """
    all_clips = tables.frames[tables.frames["compression"] != STILL]
    all_clips = as_text(all_clips.drop_duplicates(["category", "clip"]))
    all_clips = all_clips.assign(node=nodes(all_clips), person=person_nodes(all_clips, "target_id"))
    real = all_clips[all_clips["label"] == "real"]
    fakes = all_clips[all_clips["label"] == "fake"]
    # A fake shows its target's frames, so that a real clip with the same frames shows the target.
    content = tables.edges[tables.edges["reason"].isin(SAME_CONTENT)][["a", "b"]]
    persons = all_clips[["node", "person"]].set_axis(["a", "b"], axis=1)
    named = pd.concat([fakes["person"], person_nodes(fakes[fakes["source_id"] != ""], "source_id")])
    graph = Graph.of(pd.concat([content, persons]), pd.concat([real["node"], named]))
    of_real, of_named = np.split(graph.query_components, [len(real)])
    known = set(named[np.isin(of_named, of_real)])
    # Categories with real clips that no fake names.
    unreferenced = set(real["category"][~real["person"].isin(set(named))])
    fakes = clips[(clips["label"] == "fake") & clips["category"].isin(ORIGINAL_CATEGORY)]
    for category, rows in fakes.groupby("category"):
        n, original = len(rows), ORIGINAL_CATEGORY[str(category)]
        target, source = person_nodes(rows, "target_id"), person_nodes(rows, "source_id")
        unnamed = rows["category"].str.startswith("DFDC") & (rows["target_id"] == rows["clip"])
        missing = {
            "unnamed original": rows["node"][unnamed & ~target.isin(known)],
            "original": target[~unnamed & ~target.isin(known)],
            "source": source[(rows["source_id"] != "") & ~source.isin(known)],
        }
        if original not in set(clips["category"]) & unreferenced:
            missing = {"unnamed original": missing["unnamed original"]}
        for key, names in missing.items():
            example = str(names.min()) if len(names) else ""
            yield Coverage(key, str(category), n - len(names), n, example)


def _videos(clips: pd.DataFrame, videos: Mapping[str, str] | None) -> Iterator[Coverage]:
    """Yield of how many Youtube clips, and sources of fakes, the YouTube video is known."""
    youtube = clips[clips["category"].isin(FFPP_YOUTUBE)]
    names = pd.concat([youtube["target_id"], youtube["source_id"]])
    names = names[names != ""].drop_duplicates()
    if len(names):
        missing = names[~names.isin(videos or {})]
        source = "no video list" if videos is None else "video"
        example = str(missing.min()) if len(missing) else ""
        yield Coverage(source, "Youtube", len(names) - len(missing), len(names), example)


def _identities(stills: pd.DataFrame, people: Mapping[str, str]) -> Iterator[Coverage]:
    """Yield how many photographs of each category have an identity label."""
    identities = still_identities(stills, people)
    for category, rows in stills.groupby("category"):
        unlabelled = rows["node"][identities[rows.index] == ""]
        example = str(unlabelled.min()) if len(unlabelled) else ""
        yield Coverage("person", str(category), len(rows) - len(unlabelled), len(rows), example)


def _command(
    command: str, units: pd.DataFrame, tables: Dataset, table: pd.DataFrame | None
) -> Iterator[Coverage]:
    """Yield how many clips and stills a command has processed in their current state."""
    if table is None:
        for category, rows in units.groupby("category"):
            yield Coverage(f"{command} not run", str(category), 0, len(rows))
        return
    is_current = table.attrs.get("faces") == tables.table_hashes.get("faces.parquet", "")
    processed = table.attrs.get("covered", {})
    current = tables.covered if processed and not is_current else {}
    for category, rows in units.groupby("category"):
        n = known = len(rows)
        if not is_current:
            before, after = processed.get(str(category), {}), current.get(str(category), {})
            has_grown = before.get("units", 0) < after.get("units", 0)
            known = min(before.get("units", 0), n) if has_grown else 0
            known = n if before and before == after else known
        yield Coverage(command, str(category), known, n)


def _frames(frames: pd.DataFrame, duplicates: pd.DataFrame | None) -> Iterator[Coverage]:
    """Yield how many clips were compared with all others by their frames."""
    if duplicates is None:
        return  # `_command` reports it
    compared = duplicates.attrs.get("recorded", {})
    hashes = frames["source_sha256"] if "source_sha256" in frames else pd.Series("", frames.index)
    recorded = (hashes != "").groupby([frames["category"], frames["clip"]]).any()
    for category, clips in recorded.groupby(level=0):
        known = int(clips.sum()) if str(category) in compared else 0
        yield Coverage("frames", str(category), known, len(clips))


# The following functions describe what an incomplete source leaves unknown. Their texts are noun
# phrases, which are shown after "not known:".


def _counts(coverages: Sequence[Coverage]) -> str:
    return ", ".join(f"{c.unknown} of {c.of} {c.category}" for c in coverages)


def _unnamed_originals(coverages: Sequence[Coverage]) -> list[str]:
    return [
        f"the original of {_counts(coverages)} clips (not in metadata.json): such a fake, for "
        f"example {coverages[0].example}, and its original may be in different splits"
    ]


def _missing_clips(role: str) -> Callable[[Sequence[Coverage]], list[str]]:
    def describe(coverages: Sequence[Coverage]) -> list[str]:
        return [
            f"{role} {c.unknown} of {c.of} {c.category} clips: no clip of the dataset is named "
            f"{c.example.split('/')[-1]}, although it contains {ORIGINAL_CATEGORY[c.category]} "
            f"clips that no fake refers to"
            for c in coverages
        ]

    return describe


def _missing_videos(coverages: Sequence[Coverage]) -> list[str]:
    (c,) = coverages
    return [
        f"the YouTube video of {c.unknown} of {c.of} Youtube clips, such as {c.example}, which are "
        f"not in {official_lists.CONVERSION}"
    ]


def _unlabelled_stills(coverages: Sequence[Coverage]) -> list[str]:
    return [
        f"the identity of the person in {c.unknown} of {c.of} photographs of {c.category}"
        for c in coverages
    ]


def _no_video_list(_: Sequence[Coverage]) -> list[str]:
    return [
        f"which clips are from the same YouTube video: {official_lists.CONVERSION} is missing "
        f"({official_lists.WHERE_FROM})"
    ]


def _not_run(unknown: str, command: str) -> Callable[[Sequence[Coverage]], list[str]]:
    return lambda _: [f"{unknown} ({command} was not run)"]


def _stale(unknown: str, command: str) -> Callable[[Sequence[Coverage]], list[str]]:
    return lambda coverages: [
        f"{unknown}, for {_counts(coverages)} clips or stills: their crops were created since "
        f"{command} was run"
    ]


def _uncompared_frames(coverages: Sequence[Coverage]) -> list[str]:
    return [
        f"the same video under another name, for {_counts(coverages)} clips: their frames were not "
        f"compared (run `ffpp-extract --overwrite`, which records them, then ffpp-clean again)"
    ]


DUPLICATES = "duplicates of the same photograph or video"
SAME_PERSON = "the same person in several clips or stills"
# Source → description of what it leaves unknown if it is incomplete, the most serious first.
SENTENCES: dict[str, Callable[[Sequence[Coverage]], list[str]]] = {
    "unnamed original": _unnamed_originals,
    "original": _missing_clips("the original of"),
    "source": _missing_clips("the source of"),
    "no video list": _no_video_list,
    "video": _missing_videos,
    "person": _unlabelled_stills,
    "ffpp-clean not run": _not_run(DUPLICATES, "ffpp-clean"),
    "ffpp-clean": _stale(DUPLICATES, "ffpp-clean"),
    "frames": _uncompared_frames,
    "ffpp-identify not run": _not_run(SAME_PERSON, "ffpp-identify"),
    "ffpp-identify": _stale(SAME_PERSON, "ffpp-identify"),
}
