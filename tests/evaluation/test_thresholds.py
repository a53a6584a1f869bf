"""Thresholds and temperature: what validation chooses, and what is made of the file they lie in."""

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
    """Deepfakes and Youtube with these P(fake), so many frames a clip."""
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
    """A run with a checkpoint, whose validation is what `said` holds: scores, or an error."""
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


def test_a_threshold_lies_where_most_fakes_and_reals_are_told_apart():
    """Above .6 are three of four fakes and no real; above .2 all fakes and two of four reals."""
    assert fit_operating_point(scores(*GOOD)).frame_threshold == pytest.approx(0.675)


def test_frames_and_clips_have_thresholds_of_their_own():
    """Clip means: fakes .85 and .525, reals .52 and .15."""
    found = fit_operating_point(scores(GOOD[0], (0.6, 0.44, 0.2, 0.1), frames=2))
    assert found.frame_threshold == pytest.approx(0.675)
    assert found.clip_threshold == pytest.approx((0.525 + 0.52) / 2)
    assert found.threshold("frame") == found.frame_threshold
    assert found.threshold("clip") == found.clip_threshold
    assert found.why_fixed == ""
    assert found.no_better == ()


def test_where_there_are_no_clips_theirs_is_that_of_the_stills():
    found = fit_operating_point(scores(*GOOD, compression="still"))
    assert found.clip_threshold == found.frame_threshold == pytest.approx(0.675)
    worse = fit_operating_point(scores(*GOOD[::-1], compression="still"))
    assert (worse.frame_threshold, worse.clip_threshold) == (0.5, 0.5)
    assert worse.no_better == ("frame",)


def test_no_threshold_is_chosen_that_is_worse_than_calling_everything_the_same():
    found = fit_operating_point(scores(*GOOD[::-1]))
    assert (found.frame_threshold, found.clip_threshold) == (0.5, 0.5)
    assert found.no_better == ("frame", "clip")
    assert found.why_fixed == ""  # the temperature was chosen


def test_one_unit_alone_may_have_no_threshold():
    """Frames: one fake of four above both reals. Clips: both means at .5."""
    found = fit_operating_point(scores((0.9, 0.1), (0.6, 0.4), frames=2))
    assert found.no_better == ("clip",)
    assert found.frame_threshold == pytest.approx(0.75)
    assert found.clip_threshold == 0.5


def test_the_temperature_is_that_of_the_frames():
    sure = scores([0.99] * 3 + [0.01], [0.01] * 3 + [0.99])
    assert fit_operating_point(sure).temperature == pytest.approx(np.log(99) / np.log(3), rel=1e-3)


def test_of_a_refit_nothing_is_chosen_and_nothing_is_written(run):
    run.settings = dataclasses.replace(run.settings, refit=True)
    assert operating_point(run) == OperatingPoint(
        "the run was trained on val too", 0.5, 0.5, 1.0, ()
    )
    assert not (run.folder / FILE).exists()


def test_what_was_chosen_is_written_once_with_what_it_is_of(run, capsys):
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
def test_a_changed_file_gives_way_to_validation(run, capsys, change, with_new_digest):
    found = operating_point(run)
    values = written(run) | change
    write(run, **(with_digest(values) if with_new_digest else values))
    assert operating_point(run) == found
    assert "was written anew: it was not what validation gives" in capsys.readouterr().out
    assert {name: written(run)[name] for name in change} != change


def test_what_another_machine_rounds_otherwise_is_no_change(run, capsys):
    operating_point(run)
    values = written(run)
    write(run, **with_digest(values | {"temperature": values["temperature"] * (1 + 1e-6)}))
    operating_point(run)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("text", ["{", "[]", "3", '{"temperature": 2}'])
def test_a_damaged_file_is_no_hindrance(run, capsys, text):
    (run.folder / FILE).write_text(text)
    assert operating_point(run) == fit_operating_point(run.said["val"])
    assert capsys.readouterr().out == ""


def test_a_file_of_another_checkpoint_or_manifest_is_written_over_without_a_word(run, capsys):
    operating_point(run)
    for of in ("checkpoint", "manifest"):
        write(run, **with_digest(written(run) | {of: "0" * 64, "frame_threshold": 0.9}))
        assert operating_point(run).frame_threshold == pytest.approx(0.675)
    assert capsys.readouterr().out == ""


def test_a_file_of_before_the_digest_is_written_anew_without_a_word(run, capsys):
    operating_point(run)
    older = written(run)
    for name in ("digest", "manifest", "no_better"):
        del older[name]
    write(run, **older | {"frame_threshold": 0.9})
    assert operating_point(run).frame_threshold == pytest.approx(0.675)
    assert "digest" in written(run)
    assert capsys.readouterr().out == ""


GONE = TableError("no manifest at nowhere")


def test_away_from_the_data_the_file_is_taken_if_it_is_intact(run, capsys):
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


def test_away_from_the_data_a_file_of_before_the_digest_is_taken_and_that_is_said(run, capsys):
    run.said["val"] = GONE
    kept = {"why_fixed": "", "frame_threshold": 0.3, "clip_threshold": 0.4, "temperature": 2}
    write(run, checkpoint=sha256(run.checkpoint), **kept)
    assert operating_point(run) == OperatingPoint("", 0.3, 0.4, 2.0, ())
    assert "an older version wrote it" in capsys.readouterr().out
    write(run, checkpoint=sha256(run.checkpoint), why_fixed="", temperature=2)
    with pytest.raises(RunError, match=r"operating\.json: damaged"):
        operating_point(run)


def test_away_from_the_data_and_without_the_file_nothing_is_known(run):
    run.said["val"] = GONE
    with pytest.raises(TableError, match="nowhere"):
        operating_point(run)
    found = operating_point_or_default(run)
    assert found.why_fixed == (
        "its validation split cannot be judged here (no manifest at nowhere)"
    )
    assert (found.frame_threshold, found.clip_threshold, found.temperature) == (0.5, 0.5, 1.0)
    operating_file_of_another = with_digest({"checkpoint": "0" * 64, "temperature": 9.0})
    write(run, **operating_file_of_another)
    assert operating_point_or_default(run) == found
