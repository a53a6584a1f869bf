"""Verdicts as JSON and CSV, and a page for every video, each written as soon as it is known."""

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
LONGEST_STEM = 60  # characters of a video's name that its page bears
PERSON_COLUMNS = (
    *("person", "verdict", "p_fake", "frames_above", "p_fake_q10", "p_fake_q90"),
    *("frames", "first_s", "last_s"),
)


class VerdictFiles:
    """verdicts.jsonl, verdicts.csv, frames.csv; `videos/<name>.html` for every video with a face.

    A line of verdicts.jsonl is a file, of verdicts.csv a person, of frames.csv a face. Whatever
    ends the work, what was judged before stands there.
    """

    def __init__(
        self, folder: Path, classifier: Classifier, said: str, *, faces: bool = True
    ) -> None:
        """Start the files; the pages of verdicts that were written there before go.

        Args:
            folder: where to.
            classifier: that judges.
            said: what it and its threshold rest on; the first line of every page.
            faces: whether the pages show the faces that were judged.
        """
        self._folder, self._said, self._faces = folder, said, faces
        self._pages: set[str] = set()
        probabilities = [f"{PREFIX}{name}" for name in classifier.classes]
        people = dict.fromkeys((*FILE_COLUMNS, *PERSON_COLUMNS, *probabilities, "error"))
        rows = dict.fromkeys(("path", *FRAME_COLUMNS, "p_fake", *probabilities))
        self._columns = {"verdicts.csv": list(people), "frames.csv": list(rows)}
        with wrap_write_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        if (folder / "verdicts.csv").exists():  # which is there before the first page is
            for before in (folder / "verdicts.jsonl", *(folder / "videos").glob("*.html")):
                before.unlink(missing_ok=True)
        for name, columns in self._columns.items():
            with _opened(folder / name, "w") as file:
                csv.writer(file, lineterminator="\n").writerow(columns)

    def add(self, verdict: Verdict) -> None:
        """Write what there is to say of one more file."""
        said = {"about": self._said, "page": "", **as_dict(verdict)}
        values = format_versions.with_format(format_versions.REPORT, said)
        if verdict.kind == "video" and verdict.people:
            values["page"] = f"videos/{self._free(verdict.path.stem[:LONGEST_STEM])}.html"
            write_atomically(self._folder / values["page"], self._page(verdict).encode())
        with _opened(self._folder / "verdicts.jsonl", "a") as file:
            file.write(json.dumps(values, ensure_ascii=False) + "\n")
        faces = verdict.frames.assign(path=str(verdict.path)).to_dict("records")
        self._append("verdicts.csv", _people(values))
        self._append("frames.csv", faces)

    def _append(self, name: str, rows: list[dict[str, Any]]) -> None:
        with _opened(self._folder / name, "a") as file:
            csv.DictWriter(file, self._columns[name], lineterminator="\n").writerows(rows)

    def _free(self, stem: str) -> str:
        """The name of a page: two videos may bear one name in two folders."""
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
            said=self._said,
            timeline=curves.image(figures.timeline(frames, verdict.threshold), "svg"),
            faces=[(frames.iloc[i], face) for i, face in verdict.faces] if self._faces else [],
            left_out=not self._faces,
        )


@contextmanager
def _opened(path: Path, mode: str) -> Iterator[IO[str]]:
    with wrap_write_errors(path), path.open(mode, encoding="utf-8", newline="") as file:
        yield file


def as_dict(verdict: Verdict) -> dict[str, Any]:
    """A verdict as plain values; nan becomes null."""
    people = [
        {name: getattr(p, name) for name in PERSON_COLUMNS} | {"probabilities": p.probabilities}
        for p in verdict.people
    ]
    values = {
        "path": str(verdict.path),
        "kind": verdict.kind,
        "status": verdict.status,
        "error": verdict.error,
        "frames_looked_at": verdict.looked,
        "threshold": verdict.threshold,
        "people": people,
    }
    return dict(jsonable(values))


def _people(values: dict[str, Any]) -> list[dict[str, Any]]:
    """A row per person; of a file without anybody one row."""
    file = {key: values[key] for key in (*FILE_COLUMNS, "error")}
    rows = []
    for person in values["people"]:
        probabilities = {f"{PREFIX}{k}": v for k, v in person["probabilities"].items()}
        rows.append({**{k: v for k, v in person.items() if k != "probabilities"}, **probabilities})
    return [{**file, **row} for row in rows or [{}]]
