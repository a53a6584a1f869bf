"""Bad input gives one error line with a remedy and status 1, and changes no existing file."""

import hashlib
import json
import os
import random
import shutil
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest

from classify.backend import on_gpu
from classify.errors import RunError
from classify.training.runs import load_model
from classify.training.settings import TrainSettings
from classify.training.train import train
from ffpp_tools.console import console
from tests.helpers.files import hashes, without_privileges
from tests.helpers.pages import OBEYED


@pytest.fixture(scope="module")
def originals(dataset, videos_manifest, tmp_path_factory):
    """A folder with a dataset, a manifest and a trained run."""
    folder = tmp_path_factory.mktemp("made") / "whole"
    shutil.copytree(dataset, folder / "dataset")
    shutil.copytree(videos_manifest.folder, folder / "manifests/videos")
    settings = TrainSettings(arch="sepconv", size=32, epochs=1, augment="none")
    train(folder / "manifests/videos", folder / "run", settings)
    return folder


@pytest.fixture
def place(originals, tmp_path, monkeypatch):
    """A copy of these files in the current folder, whose name has characters that need quoting."""
    folder = tmp_path / 'Gesichter äöü 顔 "it\'s" $HOME & <b>'
    shutil.copytree(originals, folder)
    monkeypatch.chdir(folder)
    monkeypatch.delenv("FFPP_DATA", raising=False)
    return folder


def cut(path, length=0):
    Path(path).write_bytes(Path(path).read_bytes()[:length])


def edit_json(path, change):
    """Change the values of a JSON file."""
    values = json.loads(Path(path).read_text())
    change(values)
    Path(path).write_text(json.dumps(values))


def record_checksum(folder, name):
    """Update the checksum of a file in its manifest."""
    content = hashlib.sha256((Path(folder) / name).read_bytes()).hexdigest()
    edit_json(
        Path(folder) / "manifest.json", lambda values: values["files"].update({name: content})
    )


def without_column(name):
    path = Path("manifests/videos/test.csv")
    pd.read_csv(path, dtype=str, na_filter=False).drop(columns=name).to_csv(path, index=False)
    record_checksum(path.parent, path.name)


def leading_out():
    path = Path("manifests/videos/train.csv")
    table = pd.read_csv(path, dtype=str, na_filter=False)
    table.loc[0, "path"] = "../../../etc/passwd"
    table.to_csv(path, index=False)
    record_checksum(path.parent, path.name)


def write_predictions(change=lambda table: table):
    """Write external predictions for the test split."""
    table = pd.read_csv("manifests/videos/test.csv", dtype=str, na_filter=False)[["face_id"]]
    change(table.assign(p_fake=0.5)).to_csv("theirs.csv", index=False)


def write_bomb(path, side=20_000):
    """Write a PNG file of 48 kB that decodes to 400 megapixels."""

    def chunk(kind, data):
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    pixels = zlib.compress(bytes((side // 8 + 1) * side), 9)
    chunks = ((b"IHDR", header), (b"IDAT", pixels), (b"IEND", b""))
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*c) for c in chunks))


TRAIN = ("classify", "train", "--manifest", "manifests/videos", "--arch", "sepconv")
REPORT = ("classify", "report", "run")
THEIRS = ("classify", "report", "--predictions", "theirs.csv", "--manifest", "manifests/videos")
SPLIT = ("ffpp-split", "dataset", "--mode", "videos")

CASES = {
    # missing or unexpected files
    "wrong folder": (None, ("ffpp-extract", "run"), ["run", "original_sequences"]),
    "no folder": (None, ("ffpp-extract", "nowhere"), ["nowhere"]),
    "empty folder": (lambda: Path("empty").mkdir(), ("ffpp-extract", "empty"), ["empty"]),
    "a file": (None, ("ffpp-extract", "run/best.keras"), ["run/best.keras"]),
    "no stills": (
        lambda: Path("empty").mkdir(),
        ("ffpp-stills", "empty", "--category", "CelebA"),
        ["empty", "no images"],
    ),
    "no dataset": (None, ("ffpp-split", "run"), ["run", "ffpp-extract"]),
    "no manifest": (None, ("ffpp-audit", "run"), ["run", "ffpp-split"]),
    "no run": (None, ("classify", "report", "dataset"), ["dataset", "classify train"]),
    "no video": (None, ("classify", "predict", "run", "gone.mp4"), ["gone.mp4"]),
    "folder with other files": (
        lambda: Path("mine").mkdir() or Path("mine/thesis.tmp").touch(),
        ("ffpp-stills", "dataset/faces/CelebA", "--category", "CelebA", "--out", "mine"),
        ["mine", "thesis.tmp", "--out"],
    ),
    # options and recipes
    "options not TOML": (
        lambda: Path("o.toml").write_text("every = ["),
        ("ffpp-extract", "x", "--config", "o.toml"),
        ["o.toml", "TOML"],
    ),
    "unknown option": (
        lambda: Path("o.toml").write_text("evry = 25"),
        ("ffpp-extract", "x", "--config", "o.toml"),
        ["o.toml", "evry", "every"],
    ),
    "recipe not TOML": (
        lambda: Path("mine.toml").write_text("mode = "),
        (*SPLIT, "--recipe", "mine.toml"),
        ["mine.toml", "TOML"],
    ),
    "recipe with an unknown class": (
        lambda: Path("mine.toml").write_text(
            'rule = "grouped"\nclasses = {Deepfake = ["Deepfake"]}'
        ),
        ("ffpp-split", "dataset", "--recipe", "mine.toml"),
        ["Deepfake", "mine.toml"],
    ),
    "training not TOML": (
        lambda: Path("mine.toml").write_text("[training"),
        (*TRAIN, "--config", "mine.toml"),
        ["mine.toml", "TOML"],
    ),
    "training without its table": (
        lambda: Path("mine.toml").write_text("epochs = 3"),
        (*TRAIN, "--config", "mine.toml"),
        ["mine.toml", "epochs", "[training]"],
    ),
    "training with an unknown setting": (
        lambda: Path("mine.toml").write_text("[training]\nlearning = 1"),
        (*TRAIN, "--config", "mine.toml"),
        ["mine.toml", "learning"],
    ),
    # datasets
    "settings damaged": (
        lambda: cut("dataset/settings.json", 40),
        ("ffpp-stills", "dataset/faces/CelebA", "--category", "CelebA", "--out", "dataset"),
        ["dataset/settings.json", "damaged"],
    ),
    "table of 0 bytes": (lambda: cut("dataset/faces.parquet"), SPLIT, ["faces.parquet"]),
    "table cut short": (lambda: cut("dataset/frames.parquet", 500), SPLIT, ["frames.parquet"]),
    "table without a column": (
        lambda: (
            pd.read_parquet("dataset/faces.parquet")
            .drop(columns="sha256")
            .to_parquet("dataset/faces.parquet")
        ),
        SPLIT,
        ["faces.parquet", "sha256"],
    ),
    # manifests
    "manifest of 0 bytes": (
        lambda: cut("manifests/videos/manifest.json"),
        ("ffpp-audit", "manifests/videos"),
        ["manifest.json", "ffpp-split"],
    ),
    "manifest with an unknown class": (
        lambda: edit_json(
            "manifests/videos/manifest.json", lambda values: values["classes"].update(Youtube="?")
        ),
        TRAIN,
        ["manifest.json", "neither real nor fake"],
    ),
    "manifest changed": (
        lambda: cut("manifests/videos/train.csv", 5000),
        TRAIN,
        ["train.csv", "changed"],
    ),
    "manifest without a column": (
        lambda: without_column("class_index"),
        ("ffpp-audit", "manifests/videos"),
        ["test.csv", "class_index"],
    ),
    "manifest that leads out": (leading_out, TRAIN, ["train.csv", "points outside"]),
    "crops moved": (
        lambda: Path("dataset").rename("elsewhere"),
        TRAIN,
        ["dataset"],
    ),
    "crop missing": (
        lambda: next(Path("dataset/faces/Deepfakes").rglob("*.png")).unlink(),
        TRAIN,
        [".png"],
    ),
    "crop damaged": (
        lambda: [cut(p, 100) for p in Path("dataset/faces/Deepfakes").rglob("*.png")],
        TRAIN,
        [".png"],
    ),
    # runs
    "run of another version": (
        lambda: Path("run/config.toml").write_text(
            Path("run/config.toml").read_text().replace("epochs =", "rounds =")
        ),
        REPORT,
        ["run/config.toml", "rounds", "unknown"],
    ),
    "config.toml of 0 bytes": (lambda: cut("run/config.toml"), REPORT, ["run/config.toml"]),
    "model of 0 bytes": (lambda: cut("run/best.keras"), REPORT, ["run/best.keras"]),
    "model cut short": (
        lambda: cut("run/best.keras", 5000),
        ("classify", "export", "run"),
        ["run/best.keras"],
    ),
    "model of another network": (
        lambda: keras.Sequential([keras.Input((8,)), keras.layers.Dense(5)]).save("run/best.keras"),
        ("classify", "export", "run"),
        ["run/best.keras", "not the network of this run", "(None, 8)", "32 × 32"],
    ),
    "no model": (
        lambda: Path("run/best.keras").unlink(),
        ("classify", "predict", "run", "dataset/faces/Youtube"),
        ["run/best.keras"],
    ),
    "faces.json damaged": (
        lambda: cut("run/faces.json", 20),
        ("classify", "predict", "run", "dataset/faces/Youtube"),
        ["run/faces.json"],
    ),
    "weights of 0 bytes": (
        lambda: Path("w.h5").touch(),
        (*TRAIN[:-1], "efficientnetb0", "--weights", "w.h5"),
        ["w.h5"],
    ),
    "run exists": (None, (*TRAIN, "--out", "run"), ["run", "--resume"]),
    # external predictions
    "predictions of 0 bytes": (lambda: Path("theirs.csv").touch(), THEIRS, ["theirs.csv"]),
    "predictions without a column": (
        lambda: write_predictions(lambda table: table.drop(columns="p_fake")),
        THEIRS,
        ["theirs.csv", "p_fake"],
    ),
    "predictions that are nan": (
        lambda: write_predictions(lambda table: table.assign(p_fake=np.nan)),
        THEIRS,
        ["theirs.csv", "p_fake"],
    ),
    "predictions above 1": (
        lambda: write_predictions(lambda table: table.assign(p_fake=1.5)),
        THEIRS,
        ["theirs.csv", "p_fake"],
    ),
    "predictions of unknown faces": (
        lambda: write_predictions(lambda table: table.assign(face_id="x")),
        THEIRS,
        ["theirs.csv"],
    ),
    "unknown split": (None, (*REPORT, "--split", "dev"), ["dev", "test"]),
    # training images of a GAN
    "no training faces": (
        lambda: Path("empty").mkdir(),
        ("classify", "gan", "train", "--images", "empty"),
        ["empty"],
    ),
}


@pytest.mark.parametrize(("damage", "words", "expected"), CASES.values(), ids=CASES)
def test_bad_input_is_named_in_one_error_line_and_no_file_is_changed(
    place, typed, damage, words, expected
):
    if damage:
        damage()
    before = hashes(place)
    status, out, err = typed(*words)
    assert status == 1, out + err
    assert err.startswith("error: ")
    assert err.count("\n") == 1, "one line"
    for text in expected:
        assert text in err
    assert before.items() <= hashes(place).items(), "only logs and caches may be added"


def test_commands_work_in_a_folder_of_any_name(place, typed):
    assert typed("ffpp-split", "dataset", "--mode", "videos", "--out", "m", "--shrink")[0] == 0
    assert typed("ffpp-audit", "m")[0] == 0
    assert typed(*REPORT)[0] == 0
    assert typed("classify", "predict", "run", "dataset/faces/Youtube", "--out", "it's")[0] == 0
    assert "Youtube" in (place / "it's/verdicts.csv").read_text()
    assert "HOME & <b>" not in (place / "run/report/report.html").read_text()


def test_images_above_the_pixel_limit_are_recorded_as_unreadable(place, typed):
    """OpenCV's own limit is a gigapixel, 3 GB as an array."""
    write_bomb("photographs/bomb.png")
    shutil.copy(next(Path("dataset/faces/CelebA").rglob("*.png")), "photographs/face.png")
    words = ("ffpp-stills", "photographs", "--category", "CelebA", "--crop", "none", "--out", "new")
    status, _, err = typed(*words)
    assert status == 0, err
    frames = pd.read_parquet("new/frames.parquet").set_index("clip")
    assert frames["status"].to_dict() == {"bomb": "unreadable", "face": "ok"}
    assert typed("classify", "predict", "run", "photographs", "--out", "p")[0] == 1
    verdicts = pd.read_csv("p/verdicts.csv").set_index("path")
    assert verdicts["status"].tolist() == ["unreadable", "ok"]
    assert "20000 × 20000 = 400,000,000 pixels" in verdicts.loc["photographs/bomb.png", "error"]
    words = ("classify", "predict", "run", "photographs/face.png", "--max-pixels", 99, "--out", "q")
    status, _, err = typed(*words)
    assert (status, "more than the limit of 99" in err) == (1, True)


def test_postscript_named_as_an_image_is_never_executed(place, typed, monkeypatch):
    """Pillow passes PostScript to Ghostscript, regardless of the file's suffix."""
    tools = place / "tools"
    tools.mkdir()
    (tools / "gs").write_text(f"#!/bin/sh\ntouch '{place.parent}/executed'\n")
    (tools / "gs").chmod(0o755)
    monkeypatch.setenv("PATH", str(tools), prepend=os.pathsep)
    Path("photographs").mkdir()
    script = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n%%EOF\n"
    Path("photographs/a.jpg").write_bytes(script)
    words = ("ffpp-stills", "photographs", "--category", "x", "--label", "real", "--out", "new")
    assert typed(*words)[0] == 1  # not a single crop
    assert list(pd.read_parquet("new/frames.parquet")["status"]) == ["unreadable"]
    assert not (place.parent / "executed").exists()


def test_a_file_name_that_is_not_utf8_is_refused_before_any_work(place, typed):
    Path("photographs").mkdir()
    Path(os.fsdecode(b"photographs/caf\xe9.jpg")).touch()
    words = ("ffpp-stills", "photographs", "--category", "x", "--label", "real", "--out", "new")
    for command in (words, ("classify", "predict", "run", "photographs", "--out", "new")):
        status, _, err = typed(*command)
        assert status == 1
        assert "caf" in err
        assert "not UTF-8; rename the file" in err
        assert not Path("new").exists()


def test_control_characters_in_file_names_are_escaped_in_all_output(place, typed, monkeypatch):
    monkeypatch.setattr(console, "width", 200)  # names in a table are not wrapped
    face = next(Path("dataset/faces/CelebA").rglob("*.png"))
    Path("photographs").mkdir()
    shutil.copy(face, "photographs/a\x1b[31mred.png")
    cut(shutil.copy(face, "photographs/b\x9b\u202e.png"), 100)
    words = ("ffpp-stills", "photographs", "--category", "x\x1b]0;y\x07", "--label", "real")
    status, out, err = typed(*words, "--out", "new", "--crop", "none")
    assert status == 0, err
    shutil.copy(face, "=1+1.png")
    status, *printed = typed("classify", "predict", "run", "photographs", "=1+1.png", "--out", "p")
    assert status == 1
    paths = pd.read_csv("p/verdicts.csv")["path"]
    assert paths.iloc[-1] == "=1+1.png"  # tables keep names unchanged
    assert r"photographs/a\x1b[31mred.png" in printed[0]
    assert r"photographs/b\x9b\u202e.png: " in printed[1]
    logs = (Path("p/log.txt").read_text(), Path("new/log.txt").read_text())
    assert not OBEYED.search("".join([out, err, *printed, *logs]))


def test_a_model_file_with_a_flipped_bit_loads_or_is_refused_by_name(place):
    original = Path("run/best.keras").read_bytes()
    refused = 0
    for seed in range(25):
        data, draw = bytearray(original), random.Random(seed)
        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        Path("run/best.keras").write_bytes(data)
        try:
            load_model(Path("run/best.keras"))
        except RunError as error:
            refused += 1
            assert "run/best.keras" in str(error)
    assert refused > 10


def test_truncated_predictions_are_recomputed(place, typed):
    assert typed(*REPORT)[0] == 0
    for name in ("predictions-test.parquet", "predictions-val.parquet", "operating.json"):
        cut(f"run/{name}", 50)
    assert typed(*REPORT)[0] == 0


@pytest.mark.parametrize(
    ("words", "locked", "named"),
    [
        (("ffpp-split", "dataset", "--mode", "videos", "--out", "new/m"), ".", "new"),
        (("ffpp-split", "dataset", "--mode", "videos"), "dataset/faces.parquet", "faces.parquet"),
        (("ffpp-audit", "manifests/videos"), "manifests/videos/manifest.json", "manifest.json"),
        ((*TRAIN, "--out", "new"), ".", "new"),
        (REPORT, "run/config.toml", "config.toml"),
        (REPORT, "run/best.keras", "best.keras"),
        (("classify", "predict", "run", "dataset/faces/Youtube"), "run", "run"),
    ],
)
def test_the_error_for_a_missing_permission_names_the_file(place, words, locked, named):
    locked = place / locked
    mode = locked.stat().st_mode
    locked.chmod(0o555 if locked.is_dir() else 0)
    before = hashes(place)
    done = subprocess.run(
        [Path(sys.executable).parent / words[0], *words[1:]],
        preexec_fn=without_privileges,
        capture_output=True,
        text=True,
        check=False,
    )
    locked.chmod(mode)
    assert done.returncode == 1
    assert "Permission denied" in done.stderr
    assert named in done.stderr
    assert "Traceback" not in done.stderr
    assert before.items() <= hashes(place).items()


@pytest.mark.parametrize("named_by", ["variable", "keras.json"])
def test_a_backend_that_is_not_installed_is_a_one_line_error(
    command, videos_manifest, tmp_path, named_by
):
    (tmp_path / "keras.json").write_text('{"backend": "theano"}')
    environments = {
        "variable": {"KERAS_BACKEND": "theano"},
        "keras.json": {"KERAS_HOME": str(tmp_path)},
    }
    words = ("--manifest", videos_manifest.folder, "--arch", "sepconv", "--size", 32)
    done = command("classify", "train", *words, **environments[named_by])
    assert done.returncode == 1
    assert done.stderr.startswith("error: Keras's backend theano is not installed; set KERAS_BACK")
    assert done.stderr.count("\n") == 1


def test_mixed_precision_without_a_gpu_trains_with_a_warning(place, typed):
    options = ("--size", 32, "--epochs", 1, "--mixed-precision", "--out", "half")
    status, out, err = typed(*TRAIN, *options)
    assert status == 0, err
    assert on_gpu() or "mixed precision on a CPU is slower" in out
