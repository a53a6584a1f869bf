"""Every command from the command line: help, the default workflow and errors."""

import json

import pytest

from data_manifests import modes
from tests.helpers.project import COMMANDS


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_help_shows_usage_and_an_example(command, words):
    done = command(words[0], *words[1:], "--help")
    assert done.returncode == 0
    assert "Usage" in done.stdout
    if words != ("classify",):
        assert f"Example: {' '.join(words)}" in " ".join(done.stdout.split())


def test_the_default_commands_lead_from_data_to_report(command, world, tmp_path):
    """The commands as a new user types them, without output paths."""
    run = command(
        "ffpp-extract", "--every", 10, "--workers", 2, FFPP_DATA=str(world / "FaceForensics++")
    )
    assert run.returncode == 0, run.stderr
    assert "Deepfakes" in run.stdout
    for category in ("CelebA", "CelebA-HQ"):
        assert command("ffpp-stills", world / category, "--category", category).returncode == 0
    run = command("ffpp-split", "--mode", "multiclass", "--ratios", "50/25/25")
    assert run.returncode == 0, run.stderr
    assert (tmp_path / "dataset/frames.parquet").is_file()
    assert (tmp_path / "data_manifests/multiclass/manifest.json").is_file()
    for folder in ("sepconv-multiclass", "sepconv-multiclass-2"):
        run = command(
            "classify",
            "train",
            "--arch",
            "sepconv",
            "--size",
            32,
            "--epochs",
            1,
            "--batch-size",
            16,
        )
        assert run.returncode == 0, run.stderr
        assert f"run: runs/{folder}" in run.stdout
        assert "cuda" not in run.stderr.lower()  # TensorFlow's start-up messages are suppressed
    run = command("classify", "report", "runs/sepconv-multiclass")
    assert run.returncode == 0, run.stderr
    assert "Split: grouped. No identity group is known to be in two splits" in run.stdout
    assert "per clip" in run.stdout
    assert "report: runs/sepconv-multiclass/report/report.html" in run.stdout
    report = json.loads((tmp_path / "runs/sepconv-multiclass/report/report.json").read_text())
    assert list(report["units"]["frame"]["confusion"]) == list(modes()["multiclass"].classes)
    assert {r["category"] for r in report["units"]["clip"]["reals"]} == {"Youtube"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["ffpp-extract"], "data/FaceForensics++"),
        (["ffpp-extract", "nowhere"], "ffpp-demo"),
        (["ffpp-extract", "--category", "Deepfake"], "Deepfakes"),
        (["ffpp-extract", "--every", 25, "--frames-per-clip", 10], "exactly one of"),
        (["ffpp-stills", "nowhere", "--category", "CelebA"], "nowhere does not exist"),
        (["ffpp-split"], "ffpp-extract"),
        (["ffpp-split", "--mode", "seven"], "multiclass"),
        (["ffpp-export", "nowhere", "--format", "imagefolder", "--out", "e"], "ffpp-split"),
        (["classify", "train"], "ffpp-split"),
        (["classify", "report", "runs/none"], "classify train"),
        (["classify", "report"], "name a run folder"),
        (["classify", "report", "--predictions", "x.csv"], "needs --manifest"),
        (["classify", "predict", "runs/none", "x.mp4"], "classify train"),
        (["classify", "explain", "runs/none"], "classify train"),
        (["classify", "compare", "runs/none", "runs/one"], "classify train"),
        (["classify", "export", "runs/none"], "classify train"),
        (["classify", "tune"], "ffpp-split"),
        (["classify", "tune", "--resume", "nowhere"], "not a search"),
        (["classify", "tune", "--resume", "t", "--arch", "vgg16"], "takes no other options"),
        (["classify", "tune", "--vary", "epochs"], "learning_rate"),
        (["classify", "gan", "train"], "--images"),
        (["classify", "gan", "train", "--images", "nowhere"], "ffpp-stills"),
        (["classify", "gan", "train", "--resume", "nowhere"], "classify gan train"),
        (["classify", "gan", "train", "--resume", "r", "--size", 32], "--epochs only"),
        (["classify", "gan", "generate", "nowhere"], "classify gan train"),
        (["classify", "gan", "report", "nowhere"], "classify gan train"),
        (["classify", "study", "backbones", "--manifest", "nowhere"], "ffpp-split"),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, list) else "",
)
def test_errors_are_one_line_with_a_remedy_and_status_1(
    typed, tmp_path, monkeypatch, words, message
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FFPP_DATA", "")
    status, _, err = typed(*words)
    assert status == 1
    assert err.startswith("error: ")
    assert message in err
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "words",
    [
        ["ffpp-demo", "--out", "file"],
        ["ffpp-split", "--out", "file"],
        ["classify", "train", "--out", "file"],
    ],
    ids=" ".join,
)
def test_a_file_at_the_output_path_is_an_error_and_is_kept(command, tmp_path, words):
    (tmp_path / "file").write_text("mine")
    done = command(*words)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert (tmp_path / "file").read_text() == "mine"
