"""Decision thresholds and temperature, fitted on validation, never on the split evaluated."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from classify.data.pack import ProgressFactory
from classify.errors import ChangedError, ClassifyError, RunError
from classify.evaluation.metrics import best_temperature, best_threshold
from classify.evaluation.predict import OPERATING as FILE
from classify.evaluation.predict import chosen_tta, chosen_tta_or_none, score_split
from classify.evaluation.scores import Scores
from classify.training.runs import Run
from ffpp_tools.console import print_line
from ffpp_tools.errors import FfppError, FormatError
from ffpp_tools.files import read_json, write_atomically
from ffpp_tools.store import format_versions
from ffpp_tools.store.checksum import KEY, is_intact, with_digest


@dataclass(frozen=True)
class OperatingPoint:
    """Decision thresholds of P(fake), and the temperature for calibrated probabilities."""

    why_fixed: str  # why the defaults are used; empty if fitted on validation
    frame_threshold: float = 0.5  # a frame or still is classified as fake above this P(fake)
    clip_threshold: float = 0.5  # the same for a clip, by the mean over its frames
    temperature: float = 1.0  # divides the logits
    no_better: tuple[str, ...] = ()  # "frame", "clip": no threshold was better than chance
    tta: str = "none"  # of the probabilities, or "flip": the mean of a crop and its mirror image

    def threshold(self, unit: str) -> float:
        """Return the threshold for a unit, "frame" or "clip"."""
        return self.clip_threshold if unit == "clip" else self.frame_threshold


def fit_operating_point(validation: Scores) -> OperatingPoint:
    """Fit the thresholds of the highest balanced accuracy and the temperature of the lowest loss.

    A threshold is 0.5 if none is better than chance.
    """
    clips = validation.clips()
    units = {"frame": validation, "clip": clips if len(clips) else validation}
    if validation.unit == "clip":  # external predictions with one score per clip
        del units["frame"]
    best = {unit: best_threshold(s.is_fake, s.p_fake) for unit, s in units.items()}
    frame, clip = (0.5 if (t := best.get(unit)) is None else t for unit in ("frame", "clip"))
    temperature = best_temperature(validation.actual, validation.probabilities)
    no_better = tuple(unit for unit, value in best.items() if value is None)
    return OperatingPoint("", frame, clip, temperature, no_better if len(clips) else no_better[:1])


def operating_point(run: Run, progress: ProgressFactory | None = None) -> OperatingPoint:
    """Return the run's operating point, fitted on its validation split and saved as operating.json.

    It is fitted again on every call, which is quick, as long as predictions of the validation split
    exist or can be computed. The file, checked by its digest, is used only if the run was moved
    away from its data. A refit was trained on its validation split, so it gets the defaults. The
    test-time augmentation of the setting "auto" is recorded in the file and chosen only once.

    Args:
        run: the run.
        progress: progress bar factory; see `pack.ProgressFactory`.

    Raises:
        ChangedError: the file was changed after it was written, and fitting again is impossible.
        RunError: no epoch was finished, or the file is damaged.
        ClassifyError, FfppError: fitting is impossible, and there is no file for this checkpoint.
    """
    if run.settings.refit:
        return OperatingPoint("the run was also trained on val", tta=chosen_tta(run))
    path, checkpoint = run.folder / FILE, run.checkpoint_sha256
    saved = _read_saved(run, checkpoint)
    try:
        fitted = fit_operating_point(score_split(run, "val", progress=progress))
        fitted = replace(fitted, tta=chosen_tta(run, progress))
    except FormatError:
        raise
    except (ClassifyError, FfppError) as error:
        if not saved:
            raise
        if is_intact(saved) is False:
            raise ChangedError(
                f"{path} was changed after it was written, and the thresholds cannot be fitted "
                f"again ({error}): put the run's dataset back, or restore the file"
            ) from error
        if is_intact(saved) is None:
            print_line(
                f"{path} is used unchecked: an older version wrote it, without a digest", "yellow"
            )
        try:
            return _parse(saved)
        except (KeyError, TypeError, ValueError) as damage:
            raise RunError(f"{path}: damaged ({damage!r}), and {error}") from damage
    values = {"checkpoint": checkpoint, "manifest": run.manifest_sha256, **asdict(fitted)}
    values = with_digest(format_versions.with_format(format_versions.OPERATING, values))
    if not (is_intact(saved) and _agree(saved, values)):
        if saved and is_intact(saved) is not None:
            print_line(f"{path} was rewritten: it differed from the fit on validation", "yellow")
        write_atomically(path, (json.dumps(values, indent=2) + "\n").encode())
    return fitted


def _read_saved(run: Run, checkpoint: str) -> dict[str, Any]:
    """Read operating.json; empty if missing, damaged, or of another checkpoint or manifest.

    Raises:
        FormatError: a newer release wrote it.
    """
    path = run.folder / FILE
    try:
        saved = dict(read_json(path))
        format_versions.checked_format(format_versions.OPERATING, path, saved)
    except (OSError, ValueError, TypeError):
        return {}  # missing or damaged
    if saved.get("checkpoint") != checkpoint:
        return {}
    same_manifest = saved.get("manifest", run.manifest_sha256) == run.manifest_sha256
    return saved if same_manifest else {}


def _agree(saved: Mapping[str, Any], values: Mapping[str, Any]) -> bool:
    """Return whether two operating points agree up to rounding differences between machines."""
    saved = {"tta": "none", **saved}  # in older files
    return all(
        math.isclose(saved[name], value, rel_tol=1e-4)
        if isinstance(value, float)
        else saved.get(name) == json.loads(json.dumps(value))
        for name, value in values.items()
        if name not in (KEY, format_versions.KEY)
    )


def _parse(saved: Mapping[str, Any]) -> OperatingPoint:
    """Return the operating point of a file; older files have no `no_better` or `tta`."""
    names = ("frame_threshold", "clip_threshold", "temperature")
    values = {name: float(saved[name]) for name in names}
    return OperatingPoint(
        str(saved["why_fixed"]),
        **values,
        no_better=tuple(map(str, saved.get("no_better", ()))),
        tta=str(saved.get("tta", "none")),
    )


def operating_point_or_default(run: Run, progress: ProgressFactory | None = None) -> OperatingPoint:
    """Return the run's operating point, or the defaults if it cannot be fitted.

    Fitting is impossible for a run that was moved away from its data before it was ever fitted.

    Raises:
        ChangedError: as `operating_point`.
        FormatError: a newer release wrote a file that is needed.
    """
    try:
        return operating_point(run, progress)
    except (ChangedError, FormatError):
        raise
    except (ClassifyError, FfppError) as error:
        return OperatingPoint(
            f"its validation split cannot be evaluated here ({error})",
            tta=chosen_tta_or_none(run, progress),
        )
