"""Model card of a run, after Mitchell et al., Model Cards for Model Reporting (2019)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from classify.errors import RunError
from classify.evaluation.confidence_intervals import FEW_GROUPS, LEVEL
from classify.models import ARCHITECTURES
from classify.reporting import formatting
from classify.training.runs import trained_classes
from data_manifests import labels
from ffpp_tools.console import counted
from ffpp_tools.errors import TableError
from ffpp_tools.splits.audit import ALL_REASONS
from ffpp_tools.splits.manifest import Manifest
from ffpp_tools.store.schema import SPLITS, STILL

if TYPE_CHECKING:
    from jinja2 import Environment

    from classify.reporting.report_data import Report
    from classify.training.runs import Run

FILE = "model-card.md"
UNKNOWN, NOTHING = "not recorded", "–"
SPECIAL = re.compile(r"[\\`*_\[\]<>|~&#!$]")
LINE_START = re.compile(r"^(\d*)([-+=]|[.)](?=\s|$))")
ADDRESS = re.compile(r"(?<=[A-Za-z])(://)|\b(www)\.")


class Markdown(str):
    """Text that is already Markdown and is not escaped."""

    __slots__ = ()


@dataclass(frozen=True)
class Terms:
    """Terms of use of a dataset; docs/data.md has details."""

    dataset: str
    categories: tuple[str, ...]
    text: Markdown


TERMS = (
    Terms(
        "FaceForensics++",
        (
            *("Youtube", "Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures"),
            *("FaceShifter", "DeepFakeDetection", "Actors"),
        ),
        Markdown(
            "the FaceForensics Terms of Use, to which everyone who requests the data must agree "
            "(<https://github.com/ondyari/FaceForensics>)"
        ),
    ),
    Terms(
        "CelebA, and CelebA-HQ, which is derived from it",
        ("CelebA", "CelebA-HQ"),
        Markdown(
            "non-commercial research only; no portion of the dataset may be copied further, "
            "published or distributed (<https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html>)"
        ),
    ),
    Terms(
        "Celeb-DF",
        ("Celeb-real", "YouTube-real", "Celeb-synthesis"),
        Markdown(
            "the Terms to Use Celeb-DF, which come with its request form "
            "(<https://github.com/yuezunli/celeb-deepfakeforensics>)"
        ),
    ),
    Terms(
        "the Deepfake Detection Challenge",
        ("DFDC-real", "DFDC-fake"),
        Markdown("the terms accepted on download (<https://ai.facebook.com/datasets/dfdc>)"),
    ),
    Terms(
        "140k real and fake faces",
        ("140k-real", "140k-fake"),
        Markdown(
            "FFHQ, its real faces, is CC BY-NC-SA 4.0 (<https://github.com/NVlabs/ffhq-dataset>); "
            "StyleGAN, which generated its fakes, is CC BY-NC 4.0 "
            "(<https://github.com/NVlabs/stylegan>); its own page may have further terms"
        ),
    ),
)


@dataclass(frozen=True)
class Source:
    """Crops and clips of one category at one compression."""

    category: str
    compression: str
    label: str
    crops: dict[str, int]  # number by split; without splits whose CSV file is missing
    clips: dict[str, int]  # likewise

    def in_split(self, split: str) -> str:
        """Return the number of crops in a split and, in brackets, of their clips.

        >>> Source("Youtube", "c40", "real", {"val": 37, "test": 0}, {"val": 2}).in_split("val")
        '37 (2)'
        """
        crops = self.crops.get(split)
        if crops and self.compression != STILL:
            return f"{crops} ({self.clips[split]})"
        return NOTHING if crops is None else str(crops)


def has_card(report: Report) -> bool:
    """Return whether a report is of a run on its own test split, as a model card requires."""
    return bool(report.run and report.split == "test" and report.run.is_of(report.manifest))


def model_card(report: Report) -> str:
    """Return the model card of a run, in Markdown, from its report on its own test split."""
    run = report.run
    if run is None:
        raise ValueError("a model card needs the report of a run")
    info, rows = report.manifest.info, sources(report.manifest)
    label = {**labels(), **{s.category: s.label for s in rows}}
    fakes = {
        split: [name for name in info["categories"][split] if label.get(name) == "fake"]
        for split in ("train", "test")
    }
    categories = list(dict.fromkeys(s.category for s in rows))
    known = {name for terms in TERMS for name in terms.categories}
    return (
        _environment()
        .get_template(FILE)
        .render(
            report=report,
            run=run,
            settings=run.settings,
            classes=trained_classes(report.manifest, run.settings),
            facts=facts(run),
            best=run.kept_epoch,
            selected=run.kept_row,
            info=info,
            splits=SPLITS,
            sources=rows,
            trained_on=fakes["train"],
            tested_on=fakes["test"],
            unseen=[name for name in fakes["test"] if name not in fakes["train"]],
            compressions=sorted({s.compression for s in rows if s.crops.get("test")}),
            reasons=ALL_REASONS,
            terms=[t for t in TERMS if set(t.categories) & set(categories)],
            unknown_terms=[name for name in categories if name not in known],
            level=LEVEL,
            few=FEW_GROUPS,
        )
    )


def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("classify"),
        autoescape=False,
        finalize=escaped,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    environment.globals.update(
        counted=counted,
        number=formatting.number,
        percent=formatting.percent,
        named=named,
        title=formatting.title,
        with_interval=lambda estimate: Markdown(formatting.with_interval(estimate)),
    )
    return environment


def escaped(value: Any) -> str:
    r"""Escape a value as one line of plain text in Markdown.

    >>> print(escaped("a|b <i>\n# [x](http://y)"))
    a\|b \<i\> \# \[x\](http\://y)
    """
    if isinstance(value, Markdown):
        return value
    text = "".join(c if c.isprintable() else " " for c in str(value))
    text = SPECIAL.sub(r"\\\g<0>", text)
    text = ADDRESS.sub(lambda match: r"\://" if match[1] else r"www\.", text)
    return LINE_START.sub(r"\1\\\2", text)


def named(names: Sequence[str], nothing: str = "none") -> str:
    """Join names for a sentence.

    >>> named(["Deepfakes", "FaceSwap"]), named([])
    ('Deepfakes, FaceSwap', 'none')
    """
    return ", ".join(names) or nothing


def sources(manifest: Manifest) -> list[Source]:
    """Return the sources of a manifest's samples; splits whose CSV file is missing are skipped."""
    rows = {}
    for split in SPLITS:
        try:
            rows[split] = manifest.samples(split)
        except TableError:  # only the split evaluated is required
            continue
    keys = ["category", "compression"]
    samples = pd.concat([table.assign(split=split) for split, table in rows.items()])
    return [
        Source(
            str(category),
            str(compression),
            str(group["label"].iloc[0]),
            {split: int((group["split"] == split).sum()) for split in rows},
            {split: int(group.loc[group["split"] == split, "clip"].nunique()) for split in rows},
        )
        for (category, compression), group in samples.groupby(keys)
    ]


def facts(run: Run) -> dict[str, str]:
    """Return facts from the run's own files, besides its settings."""
    environment, faces = run.environment, _faces(run)
    packages = environment.get("packages", {})
    backend = environment.get("backend", UNKNOWN)
    package, python = packages.get("ffpp-tools", UNKNOWN), environment.get("python", UNKNOWN)
    version = packages.get("keras", UNKNOWN)
    arch = ARCHITECTURES.get(run.settings.arch)
    return {
        "origin": arch.origin if arch else "no known study",
        "weights": _weights(run),
        "checkpoint": run.checkpoint_sha256,
        "package": f"ffpp-tools {package}, Python {python}",
        "backend": f"Keras {version}, {backend} {packages.get(backend, '')}".strip(),
        "devices": named(environment.get("devices", ()), UNKNOWN),
        "find": _listed(faces.get("find", {})),
        "crop": _listed(faces.get("crop", {})),
        "plan": _listed(faces.get("clips", {}).get("plan", {})),
        "stills": _stills(faces) if faces else UNKNOWN,
    }


def _faces(run: Run) -> dict[str, Any]:
    try:
        return run.faces
    except RunError:  # evaluation does not need them
        return {}


def _weights(run: Run) -> str:
    weights = run.settings.weights or "none"
    known = {
        "none": "none: random initialisation",
        "imagenet": "ImageNet, from keras.applications",
        "noisy-student": "noisy student (Xie et al., 2020), from the efficientnet package",
    }
    if weights in known:
        return known[weights]
    digest = run.environment.get("weights_sha256", UNKNOWN)
    return f"the file {Path(weights).name}, SHA-256 {digest}"


def _stills(faces: Mapping[str, Any]) -> str:
    stills = faces.get("stills")
    if stills is None:
        return "none"
    if stills.get("whole"):
        return "whole images"
    return (
        "matched to the clips" if stills.get("harmonise") else "cropped, not matched to the clips"
    )


def _listed(values: Mapping[str, Any]) -> str:
    """Join the settings in use, such as "margin 1.3, shape square"."""
    used = {name: value for name, value in values.items() if value not in (None, "", False)}
    return named([f"{name} {value}" for name, value in used.items()], UNKNOWN)
