"""Model card of a run, after Mitchell et al., Model Cards for Model Reporting (2019)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from classify.errors import RunError
from classify.evaluation.confidence_intervals import FEW_GROUPS, LEVEL
from classify.models import ARCHITECTURES
from classify.reporting import formatting
from classify.training.runs import trained_classes
from data_manifests import labels
from ffpp_tools.exchange.description import sources
from ffpp_tools.extraction.settings_file import UNKNOWN, described
from ffpp_tools.markdown import Markdown, named, templates
from ffpp_tools.sources.terms import terms_of, without_terms
from ffpp_tools.splits.audit import ALL_REASONS
from ffpp_tools.store.schema import SPLITS

if TYPE_CHECKING:
    from jinja2 import Environment

    from classify.reporting.report_data import Report
    from classify.training.runs import Run

FILE = "model-card.md"


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
            terms=terms_of(categories),
            unknown_terms=without_terms(categories),
            level=LEVEL,
            few=FEW_GROUPS,
        )
    )


def _environment() -> Environment:
    made = templates("classify")
    made.globals.update(
        number=formatting.number,
        percent=formatting.percent,
        title=formatting.title,
        with_interval=lambda estimate: Markdown(formatting.with_interval(estimate)),
    )
    return made


def facts(run: Run) -> dict[str, str]:
    """Return facts from the run's own files, besides its settings."""
    environment = run.environment
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
        **described(_faces(run)),
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
