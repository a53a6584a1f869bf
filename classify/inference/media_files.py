"""Verdicts as JSON and CSV, and a page for every video, each written as soon as available."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from classify.evaluation.scores import PREFIX
from classify.inference.media import FRAME_COLUMNS, Classifier, Verdict
from classify.reporting import figures, formatting
from classify.training import curves
from ffpp_tools.console import jsonable
from ffpp_tools.files import wrap_write_errors, write_atomically
from ffpp_tools.store import format_versions

COMMAND = "classify predict"
WRITTEN = ("verdicts.jsonl", "verdicts.csv", "frames.csv", "videos")
FILE_COLUMNS = ("path", "kind", "status", "page", "frames_looked_at", "threshold")
LONGEST_STEM = 60  # characters of a video's name in the name of its page
PERSON_COLUMNS = (
    *("person", "verdict", "p_fake", "frames_above", "p_fake_q10", "p_fake_q90"),
    *("frames", "first_s", "last_s"),
)


class VerdictFiles:
    """verdicts.jsonl, verdicts.csv, frames.csv; `videos/<name>.html` for every video with a face.

    A line is a file in verdicts.jsonl, a person in verdicts.csv, and a face in frames.csv. If the
    command is interrupted, the verdicts so far are complete.
    """

    def __init__(
        self, folder: Path, classifier: Classifier, provenance: str, *, faces: bool = True
    ) -> None:
        """Start the files; pages of an earlier call are deleted.

        Args:
            folder: output folder.
            classifier: the classifier that gives the verdicts.
            provenance: the basis of the network and its threshold; the first line of every page.
            faces: whether the pages show the classified faces.
        """
        self._folder, self._provenance, self._faces = folder, provenance, faces
        self._pages: set[str] = set()
        probabilities = [f"{PREFIX}{name}" for name in classifier.classes]
        people = dict.fromkeys((*FILE_COLUMNS, *PERSON_COLUMNS, *probabilities, "error"))
        rows = dict.fromkeys(("path", *FRAME_COLUMNS, "p_fake", *probabilities))
        self._columns = {"verdicts.csv": list(people), "frames.csv": list(rows)}
        with wrap_write_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        if (folder / "verdicts.csv").exists():  # written before the first page
            for old in (folder / "verdicts.jsonl", *(folder / "videos").glob("*.html")):
                old.unlink(missing_ok=True)
        for name, columns in self._columns.items():
            with _open_for_rows(folder / name, "w") as file:
                csv.writer(file, lineterminator="\n").writerow(columns)

    def add(self, verdict: Verdict) -> None:
        """Append the verdict on one file."""
        fields = {"about": self._provenance, "page": "", **as_dict(verdict)}
        values = format_versions.with_format(format_versions.REPORT, fields)
        if verdict.kind == "video" and verdict.people:
            values["page"] = f"videos/{self._page_name(verdict.path.stem[:LONGEST_STEM])}.html"
            write_atomically(self._folder / values["page"], self._page(verdict).encode())
        with _open_for_rows(self._folder / "verdicts.jsonl", "a") as file:
            file.write(json.dumps(values, ensure_ascii=False) + "\n")
        faces = verdict.frames.assign(path=str(verdict.path)).to_dict("records")
        self._append("verdicts.csv", _people(values))
        self._append("frames.csv", faces)

    def _append(self, name: str, rows: list[dict[str, Any]]) -> None:
        with _open_for_rows(self._folder / name, "a") as file:
            csv.DictWriter(file, self._columns[name], lineterminator="\n").writerows(rows)

    def _page_name(self, stem: str) -> str:
        """Return a unique name for a page: videos in different folders may have the same name."""
        name, number = stem, 2
        while name.lower() in self._pages:
            name, number = f"{stem}-{number}", number + 1
        self._pages.add(name.lower())
        return name

    def _page(self, verdict: Verdict) -> str:
        frames = verdict.frames
        return formatting.rendered(
            "verdict.html",
            verdict=verdict,
            provenance=self._provenance,
            timeline=curves.image(figures.timeline(frames, verdict.threshold), "svg"),
            faces=[(frames.iloc[i], face) for i, face in verdict.faces] if self._faces else [],
            left_out=not self._faces,
        )


@contextmanager
def _open_for_rows(path: Path, mode: str) -> Iterator[IO[str]]:
    with wrap_write_errors(path), path.open(mode, encoding="utf-8", newline="") as file:
        yield file


def as_dict(verdict: Verdict) -> dict[str, Any]:
    """Return a verdict as plain values, with None for nan."""
    people = [
        {name: getattr(p, name) for name in PERSON_COLUMNS} | {"probabilities": p.probabilities}
        for p in verdict.people
    ]
    values = {
        "path": str(verdict.path),
        "kind": verdict.kind,
        "status": verdict.status,
        "error": verdict.error,
        "frames_looked_at": verdict.frames_searched,
        "threshold": verdict.threshold,
        "people": people,
    }
    return dict(jsonable(values))


def _people(values: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a row per person, or a single row for a file without people."""
    file = {key: values[key] for key in (*FILE_COLUMNS, "error")}
    rows = []
    for person in values["people"]:
        probabilities = {f"{PREFIX}{k}": v for k, v in person["probabilities"].items()}
        rows.append({**{k: v for k, v in person.items() if k != "probabilities"}, **probabilities})
    return [{**file, **row} for row in rows or [{}]]
