import dataclasses
import json
import math

import pytest

from classify.evaluation.confidence_intervals import Estimate
from classify.reporting.formatting import title, with_interval
from classify.reporting.model_card import FILE, model_card
from classify.reporting.report import make_report, report_on_file
from classify.training.settings import TrainSettings, read_config
from classify.training.train import train
from ffpp_tools.files import sha256
from ffpp_tools.splits.build import SplitSettings, make_manifest
from ffpp_tools.splits.manifest import Manifest
from ffpp_tools.splits.shortcuts import ProbeResult
from tests.helpers.markdown import HOSTILE, Rendered, table


@pytest.fixture(scope="module")
def report(videos_manifest, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "a|b <i>`c`"
    settings = TrainSettings(arch="sepconv", size=32, epochs=2, batch_size=16)
    return make_report(train(videos_manifest.folder, folder, settings))


@pytest.fixture(scope="module")
def card(report):
    return (report.folder / FILE).read_text()


def estimate(values):
    return Estimate(*(math.nan if v is None else v for v in values.values()))


def test_all_metrics_are_those_of_the_report(report, card):
    units = json.loads((report.folder / "report.json").read_text())["units"]
    for name, unit in units.items():
        measures = dict(table(card, f"Per {name}", "metric")[1:])
        assert measures["AUC against originals"] == with_interval(
            estimate(unit["auc_against_originals"])
        )
        assert measures["accuracy"] == with_interval(estimate(unit["accuracy"]))
        assert list(measures) == [title(m) for m in report.evaluations[0].measures]
        header, *rows = table(card, f"Per {name}", "manipulation")
        assert header[4:6] == ["classified as fake", "AUC"]
        assert [row[:6] for row in rows] == [
            [
                m["category"],
                m["compression"],
                str(m["samples"]),
                str(m["groups"]),
                with_interval(estimate(m["detected"])),
                with_interval(estimate(m["auc"])),
            ]
            for m in unit["manipulations"]
        ]
        (real,) = table(card, f"Per {name}", "source of reals")[1:]
        called = unit["reals"][0]["called_real"]
        assert (real[0], real[4]) == ("Youtube", with_interval(estimate(called)))


def test_the_data_are_counted_by_split_and_source(report, card, videos_manifest):
    info = videos_manifest.info
    for split, crops, clips, stills in table(card, "Data", "split")[1:]:
        assert int(crops) == len(videos_manifest.samples(split))
        assert (int(clips), int(stills)) == tuple(info["groups"][split].values())
    rows = {row[0]: row[3:] for row in table(card, "Data", "category")[1:]}
    test = videos_manifest.samples("test")
    own = test[test["category"] == "FaceSwap"]
    assert rows["FaceSwap"][2] == f"{len(own)} ({own['clip'].nunique()})"


def test_it_describes_the_network_and_how_to_reproduce_it(report, card, videos_manifest):
    run = report.run
    details = dict(table(card, "Model details", "property")[1:])
    assert details["checkpoint"] == f"best.keras, SHA-256 {sha256(run.checkpoint)}"
    assert details["input"] == "a face of 32 × 32 pixels, RGB"
    assert details["initial weights"] == "none: random initialisation"
    assert details["run"] == report.name
    settings = dict(table(card, "Model details", "setting")[1:])
    assert (settings["batch_size"], settings["refit"]) == ("16", "false")
    again = dict(table(card, "How to reproduce it", "property")[1:])
    assert again["manifest.json, SHA-256"] == run.manifest_sha256
    assert again["test.csv, SHA-256"] == videos_manifest.info["files"]["test.csv"]
    assert "    classify train --config config.toml --out ../again\n" in card
    assert read_config(run.folder / "config.toml")[0] == run.settings


def test_it_contains_the_reports_remarks(report, card):
    text = Rendered(card).text
    assert text.index(report.provenance) < text.index("Model details")
    assert report.remarks
    assert all(remark in text for remark in report.remarks)
    assert all(what in text for what in report.manifest.info["audit"]["not_known"])
    assert f"{report.operating_point.frame_threshold:.3f} for a frame" in text
    without_audit = Rendered(model_card(dataclasses.replace(report, shortcuts=()))).text
    assert "ffpp-audit was not run" in without_audit.replace("\n", " ")
    assert "the FaceForensics Terms of Use" in text
    assert "CelebA" not in text


def test_shortcuts_and_unseen_manipulations_are_known_limits(report):
    categories = {split: dict(n) for split, n in report.manifest.info["categories"].items()}
    del categories["train"]["FaceSwap"]
    info = {**report.manifest.info, "categories": categories}
    answer = ProbeResult("Youtube against FaceSwap", "", 0.912, 0.834, 3, 10, "red")
    changed = dataclasses.replace(
        report, manifest=dataclasses.replace(report.manifest, info=info), shortcuts=(answer,)
    )
    text = Rendered(model_card(changed)).text.replace("\n", " ")
    assert "It was not trained on FaceSwap:" in text
    assert "reach an AUC of 0.912 for Youtube against FaceSwap, and of 0.834 at 128 pixels;" in text
    assert "is unknown (ffpp-audit" not in text


def test_every_table_has_as_many_cells_in_each_row(card):
    tables = Rendered(card).tables
    assert len(tables) == 2 + 2 + 2 * 3 + 1
    for _, (header, *rows) in tables:
        assert rows
        assert {len(row) for row in rows} == {len(header)}


def test_names_are_escaped_in_the_card(report, card):
    plain = Rendered(card)
    assert plain.text.startswith("Model card: a|b <i>`c`\n")
    info = {**report.manifest.info, "about": HOSTILE, "summary": HOSTILE}
    changed = dataclasses.replace(
        report,
        name=HOSTILE,
        remarks=(HOSTILE,),
        manifest=dataclasses.replace(report.manifest, info=info),
    )
    found = Rendered(model_card(changed))
    assert found.tags == plain.tags
    assert found.links == plain.links
    assert [len(rows) for _, rows in found.tables] == [len(rows) for _, rows in plain.tables]
    assert found.text.count(HOSTILE.replace("\n", " ")) == 5
    assert dict(table(model_card(changed), "Model details", "property"))["run"] == HOSTILE.replace(
        "\n", " "
    )


def test_it_has_no_faces_no_absolute_paths_and_no_placeholders(report, card):
    assert "![" not in card
    assert "data:" not in card
    assert str(report.run.folder.parent) not in card
    assert str(report.manifest.root) not in card
    assert "TODO" not in card
    assert "not recorded" in dict(table(card, "Model details", "property"))["date"]
    asked = card[card.index("## To be filled in by the author") :].splitlines()
    assert len([line for line in asked if line.startswith("- ") and line.endswith(":")]) == 5


def test_only_a_report_on_the_runs_own_test_split_has_a_card(
    report, dataset, videos_manifest, tmp_path
):
    assert FILE in json.loads((report.folder / "report.json").read_text())["files"]
    other = make_manifest(dataset, tmp_path / "m", SplitSettings("videos", "paper", shrink=True))
    theirs = tmp_path / "theirs.csv"
    theirs.write_bytes((report.folder / "predictions.csv").read_bytes())
    for made in (
        make_report(report.run, "val"),
        make_report(report.run, "test", other),
        report_on_file(theirs, videos_manifest),
    ):
        assert (made.folder / "report.html").is_file()
        assert not (made.folder / FILE).exists()


def test_a_card_needs_no_more_splits_than_the_report(report, tmp_path):
    away = Manifest(tmp_path, report.manifest.info)
    for split in ("val", "test"):
        data = (report.manifest.folder / f"{split}.csv").read_bytes()
        (tmp_path / f"{split}.csv").write_bytes(data)
    run = dataclasses.replace(report.run, folder=tmp_path / "run")
    run.folder.mkdir()
    for name in ("best.keras", "log.csv"):  # of an older version: without faces.json
        (run.folder / name).write_bytes((report.run.folder / name).read_bytes())
    card = model_card(dataclasses.replace(report, manifest=away, run=run))
    assert dict(table(card, "Model details", "property"))["stills"] == "not recorded"
    assert {row[3] for row in table(card, "Data", "category")[1:]} == {"–"}
    assert "It was trained on every manipulation it was tested on" in card
