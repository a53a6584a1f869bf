"""Verdicts as JSON and CSV, and a page for every video."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from classify import figures, page
from classify.bootstrap import LEVEL
from classify.verdict import Verdict
from ffpp_tools.files import write_atomically


def write_verdicts(folder: Path, verdicts: Sequence[Verdict], said: str) -> None:
    """Write verdicts.json, verdicts.csv, frames.csv, and `videos/<name>.html` for every video.

    Args:
        folder: where to.
        verdicts: of all files.
        said: what the network and its threshold rest on; the first line of every page.
    """
    rows = [row for v in verdicts for row in _rows(v)]
    people = pd.DataFrame(rows).convert_dtypes()  # whole numbers stay whole beside nobody's row
    write_atomically(folder / "verdicts.csv", people.to_csv(index=False).encode())
    frames = pd.concat([v.frames.assign(path=str(v.path)) for v in verdicts], ignore_index=True)
    frames = frames[["path", *(c for c in frames if c != "path")]]
    write_atomically(folder / "frames.csv", frames.to_csv(index=False).encode())
    text = json.dumps({"about": said, "files": [as_dict(v) for v in verdicts]}, indent=2)
    write_atomically(folder / "verdicts.json", (text + "\n").encode())
    used: set[str] = set()
    for v in verdicts:
        if v.kind == "video" and v.people:
            name = _free(v.path.stem, used)
            write_atomically(folder / "videos" / f"{name}.html", _page(v, said).encode())


def as_dict(verdict: Verdict) -> dict[str, Any]:
    """A verdict as plain values; nan becomes null."""
    people = [
        {
            "person": p.person,
            "verdict": p.verdict,
            "p_fake": p.p_fake.value,
            "low": None if math.isnan(p.p_fake.low) else p.p_fake.low,
            "high": None if math.isnan(p.p_fake.high) else p.p_fake.high,
            "frames": p.frames,
            "first_s": p.first_s,
            "last_s": p.last_s,
            "probabilities": p.probabilities,
        }
        for p in verdict.people
    ]
    return {
        "path": str(verdict.path),
        "kind": verdict.kind,
        "status": verdict.status,
        "error": verdict.error,
        "frames_looked_at": verdict.looked,
        "threshold": verdict.threshold,
        "people": people,
    }


def _rows(verdict: Verdict) -> list[dict[str, Any]]:
    values = as_dict(verdict)
    file = {key: values[key] for key in ("path", "kind", "status", "frames_looked_at", "threshold")}
    rows = []
    for person in values["people"] or [{}]:
        probabilities = {f"p_{k}": v for k, v in person.pop("probabilities", {}).items()}
        rows.append({**file, **person, **probabilities, "error": verdict.error})
    return rows


def _free(stem: str, used: set[str]) -> str:
    """The name of a page: two videos may bear one name in two folders."""
    name, number = stem, 2
    while name.lower() in used:
        name, number = f"{stem}-{number}", number + 1
    used.add(name.lower())
    return name


def _page(verdict: Verdict, said: str) -> str:
    frames = verdict.frames
    return page.rendered(
        "verdict.html",
        verdict=verdict,
        said=said,
        level=LEVEL,
        timeline=figures.timeline(frames, verdict.threshold),
        faces=[(frames.iloc[i], face) for i, face in verdict.faces],
    )
