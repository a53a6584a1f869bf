"""Tests of fitting thresholds and temperature, and of operating.json."""

import dataclasses
import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from classify.errors import ChangedError, RunError
from classify.evaluation import thresholds as module
from classify.evaluation.scores import Scores
from classify.evaluation.thresholds import (
    FILE,
    OperatingPoint,
    fit_operating_point,
    operating_point,
    operating_point_or_default,
)
from classify.training.settings import TrainSettings
from ffpp_tools.errors import TableError
from ffpp_tools.files import sha256
from ffpp_tools.store.checksum import with_digest

CLASSES = {"Deepfakes": "fake", "Youtube": "real"}
GOOD = (0.9, 0.8, 0.75, 0.3), (0.6, 0.4, 0.2, 0.1)


def scores(fakes, reals, compression="c40", frames=1):
    """Return Deepfakes and Youtube with the given P(fake) and number of frames per clip."""
    rows = [("Deepfakes", 0, "fake", p) for p in fakes] + [("Youtube", 1, "real", p) for p in reals]
    table = pd.DataFrame(rows, columns=["category", "class_index", "label", "p_Deepfakes"])
    return Scores(
        table.assign(
            **{"class": table["category"], "p_Youtube": 1 - table["p_Deepfakes"]},
            compression=compression,
            clip=[f"{i // frames:03d}" for i in range(len(table))],
            group="g",
        ),
        CLASSES,
    )


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run with a checkpoint; `said` has its validation scores, or an error."""
    (tmp_path / "best.keras").write_bytes(b"weights")
    said = {"val": scores(*GOOD)}

    def score_split(_, split, progress=None):
        if isinstance(said[split], Exception):
            raise said[split]
        return said[split]

    monkeypatch.setattr(module, "score_split", score_split)
    return SimpleNamespace(
        folder=tmp_path,
        checkpoint=tmp_path / "best.keras",
        checkpoint_sha256=sha256(tmp_path / "best.keras"),
        manifest_sha256="m" * 64,
        settings=TrainSettings(),
        said=said,
    )


def written(run):
    return json.loads((run.folder / FILE).read_text())


def write(run, **values):
    (run.folder / FILE).write_text(json.dumps(values))


def test_the_threshold_has_the_highest_balanced_accuracy():
    """Three of four fakes and no real are above .6; all fakes and two of four reals above .2."""
    assert fit_operating_point(scores(*GOOD)).frame_threshold == pytest.approx(0.675)


def test_frames_and_clips_have_separate_thresholds():
    """Clip means: fakes .85 and .525, reals .52 and .15."""
    found = fit_operating_point(scores(GOOD[0], (0.6, 0.44, 0.2, 0.1), frames=2))
    assert found.frame_threshold == pytest.approx(0.675)
    assert found.clip_threshold == pytest.approx((0.525 + 0.52) / 2)
    assert found.threshold("frame") == found.frame_threshold
    assert found.threshold("clip") == found.clip_threshold
    assert found.why_fixed == ""
    assert found.no_better == ()


def test_without_clips_the_clip_threshold_is_that_of_stills():
    found = fit_operating_point(scores(*GOOD, compression="still"))
    assert found.clip_threshold == found.frame_threshold == pytest.approx(0.675)
    worse = fit_operating_point(scores(*GOOD[::-1], compression="still"))
    assert (worse.frame_threshold, worse.clip_threshold) == (0.5, 0.5)
    assert worse.no_better == ("frame",)


def test_no_threshold_worse_than_chance_is_fitted():
    found = fit_operating_point(scores(*GOOD[::-1]))
    assert (found.frame_threshold, found.clip_threshold) == (0.5, 0.5)
    assert found.no_better == ("frame", "clip")
    assert found.why_fixed == ""  # the temperature was chosen


def test_a_single_unit_may_have_no_threshold():
    """Frames: one fake of four above both reals. Clips: both means at .5."""
    found = fit_operating_point(scores((0.9, 0.1), (0.6, 0.4), frames=2))
    assert found.no_better == ("clip",)
    assert found.frame_threshold == pytest.approx(0.75)
    assert found.clip_threshold == 0.5


def test_the_temperature_is_that_of_the_frames():
    sure = scores([0.99] * 3 + [0.01], [0.01] * 3 + [0.99])
    assert fit_operating_point(sure).temperature == pytest.approx(np.log(99) / np.log(3), rel=1e-3)


def test_nothing_is_fitted_or_written_for_a_refit(run):
    run.settings = dataclasses.replace(run.settings, refit=True)
    assert operating_point(run) == OperatingPoint(
        "the run was also trained on val", 0.5, 0.5, 1.0, ()
    )
    assert not (run.folder / FILE).exists()


def test_the_fit_is_written_once_with_its_checkpoint_and_manifest(run, capsys):
    found = operating_point(run)
    assert FILE == "operating.json"  # older versions and other programs read it
    assert found == fit_operating_point(run.said["val"])
    assert written(run) == with_digest(
        {
            "format": 1,
            "checkpoint": sha256(run.checkpoint),
            "manifest": run.manifest_sha256,
            **dataclasses.asdict(found),
            "no_better": [],
        }
    )
    assert (run.folder / FILE).read_text().startswith('{\n  "format": 1,\n  "checkpoint"')
    before = (run.folder / FILE).stat().st_mtime_ns
    assert operating_point(run) == found
    assert (run.folder / FILE).stat().st_mtime_ns == before
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "change", [{"frame_threshold": 0.9}, {"temperature": 9.0}, {"no_better": ["clip"]}]
)
@pytest.mark.parametrize("with_new_digest", [False, True])
def test_a_changed_file_is_replaced_by_the_fit(run, capsys, change, with_new_digest):
    found = operating_point(run)
    values = written(run) | change
    write(run, **(with_digest(values) if with_new_digest else values))
    assert operating_point(run) == found
    assert "was rewritten: it differed from the fit on validation" in capsys.readouterr().out
    assert {name: written(run)[name] for name in change} != change


def test_rounding_differences_between_machines_are_no_change(run, capsys):
    operating_point(run)
    values = written(run)
    write(run, **with_digest(values | {"temperature": values["temperature"] * (1 + 1e-6)}))
    operating_point(run)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("text", ["{", "[]", "3", '{"temperature": 2}'])
def test_a_damaged_file_is_replaced(run, capsys, text):
    (run.folder / FILE).write_text(text)
    assert operating_point(run) == fit_operating_point(run.said["val"])
    assert capsys.readouterr().out == ""


def test_a_file_of_another_checkpoint_or_manifest_is_replaced_silently(run, capsys):
    operating_point(run)
    for of in ("checkpoint", "manifest"):
        write(run, **with_digest(written(run) | {of: "0" * 64, "frame_threshold": 0.9}))
        assert operating_point(run).frame_threshold == pytest.approx(0.675)
    assert capsys.readouterr().out == ""


def test_a_file_without_digest_is_rewritten_silently(run, capsys):
    operating_point(run)
    older = written(run)
    for name in ("digest", "manifest", "no_better"):
        del older[name]
    write(run, **older | {"frame_threshold": 0.9})
    assert operating_point(run).frame_threshold == pytest.approx(0.675)
    assert "digest" in written(run)
    assert capsys.readouterr().out == ""


GONE = TableError("no manifest at nowhere")


def test_without_the_data_an_intact_file_is_used(run, capsys):
    run.said["val"] = scores(*GOOD[::-1])
    found = operating_point(run)
    run.said["val"] = GONE
    assert operating_point(run) == operating_point_or_default(run) == found
    assert found.no_better == ("frame", "clip")
    assert capsys.readouterr().out == ""
    write(run, **written(run) | {"clip_threshold": 0.1})
    for function in (operating_point, operating_point_or_default):
        with pytest.raises(ChangedError, match=r"changed .* \(no manifest at nowhere\)"):
            function(run)


def test_without_the_data_a_file_without_digest_is_used_with_a_message(run, capsys):
    run.said["val"] = GONE
    kept = {"why_fixed": "", "frame_threshold": 0.3, "clip_threshold": 0.4, "temperature": 2}
    write(run, checkpoint=sha256(run.checkpoint), **kept)
    assert operating_point(run) == OperatingPoint("", 0.3, 0.4, 2.0, ())
    assert "an older version wrote it" in capsys.readouterr().out
    write(run, checkpoint=sha256(run.checkpoint), why_fixed="", temperature=2)
    with pytest.raises(RunError, match=r"operating\.json: damaged"):
        operating_point(run)


def test_without_the_data_and_the_file_the_default_is_used(run):
    run.said["val"] = GONE
    with pytest.raises(TableError, match="nowhere"):
        operating_point(run)
    found = operating_point_or_default(run)
    assert found.why_fixed == (
        "its validation split cannot be evaluated here (no manifest at nowhere)"
    )
    assert (found.frame_threshold, found.clip_threshold, found.temperature) == (0.5, 0.5, 1.0)
    operating_file_of_another = with_digest({"checkpoint": "0" * 64, "temperature": 9.0})
    write(run, **operating_file_of_another)
    assert operating_point_or_default(run) == found
