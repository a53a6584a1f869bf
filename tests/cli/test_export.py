"""ffpp-export on the command line."""

import json

import pytest
from typer.main import get_command

from ffpp_tools.cli import export_app
from ffpp_tools.exchange.export import NAMES


def test_the_offered_formats_are_the_existing_ones():
    option = next(p for p in get_command(export_app.app).params if p.name == "kind")
    assert [item.value for item in option.shell_complete(None, "")] == list(NAMES)


def test_an_export_states_what_it_wrote_and_the_terms_of_the_images(
    typed, videos_manifest, tmp_path
):
    out = tmp_path / "e"
    status, printed, _ = typed("ffpp-export", videos_manifest.folder, "--format", "imagefolder",
                               "--out", out)  # fmt: skip
    counts = {split: len(videos_manifest.samples(split)) for split in ("train", "val", "test")}
    assert status == 0
    assert f"exported {counts['train']} in train, {counts['val']} in val" in printed
    assert f"({sum(counts.values())} hard links): {out}/<split>/<class>/<name>" in printed
    assert "the terms of these datasets apply to the copies as well" in printed
    assert "hard links" in (out / "log.txt").read_text()


def test_a_description_states_what_it_wrote_and_warns_of_no_images(
    typed, videos_manifest, tmp_path
):
    out = tmp_path / "e"
    status, printed, _ = typed("ffpp-export", videos_manifest.folder, "--format", "croissant",
                               "--creator", "A lab", "--out", out)  # fmt: skip
    assert status == 0
    assert "described" in printed
    assert f"{out}/croissant.json and dataset-card.md, without images" in printed
    assert "images of people" not in printed
    assert json.loads((out / "croissant.json").read_text())["creator"]["name"] == "A lab"


def test_options_of_a_format_are_passed_to_it(typed, videos_manifest, tmp_path):
    config = tmp_path / "mine.toml"
    config.write_text('format = "webdataset"\nshard-size = 30\n')
    out = tmp_path / "e"
    words = (videos_manifest.folder, "--config", config, "--seed", 2, "--out", out, "--json")
    status, printed, _ = typed("ffpp-export", *words)
    output = json.loads(printed)
    assert status == 0
    assert (output["folder"], output["format"], output["linked"]) == (str(out), "webdataset", 0)
    assert len(list(out.glob("train-*.tar"))) == -(-output["samples"]["train"] // 30)
    assert json.loads((out / "about.json").read_text())["options"] == {"shard_size": 30, "seed": 2}


def test_boxes_of_a_dataset_are_written_to_a_file_or_a_folder(typed, dataset, tmp_path):
    out = tmp_path / "shared.parquet"
    status, printed, _ = typed("ffpp-export", dataset, "--format", "boxes", "--out", out, "--json")
    output = json.loads(printed)
    assert status == 0
    assert (output["file"], output["format"]) == (str(out), "boxes")
    assert 0 < output["crops"] <= output["frames"]
    _, printed, _ = typed("ffpp-export", dataset, "--format", "boxes", "--out", tmp_path / "e")
    assert f"of 40 clips, without images: {tmp_path}/e/boxes.parquet" in printed
    assert f"{output['stills_left_out']} stills left out: boxes are those of videos" in printed
    assert (tmp_path / "e/boxes.parquet").read_bytes() == out.read_bytes()


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (("--format", "boxes", "--seed", 1, "--out", "e"), 1, "--seed is an option of the format"),
        (("--format", "coco", "--out", "e"), 1, "imagefolder, webdataset"),
        (("--format", "webdataset", "--copy", "--out", "e"), 1, "option of the format imagefolder"),
        (("--format", "webdataset", "--shard-size", 0, "--out", "e"), 2, "shard-size"),
        (("--format", "webdataset"), 2, "--out"),
    ],
)
def test_errors_write_nothing(
    typed, videos_manifest, tmp_path, monkeypatch, words, status, message
):
    monkeypatch.chdir(tmp_path)
    found, printed, errors = typed("ffpp-export", videos_manifest.folder, *words)
    assert found == status
    assert message in errors
    assert not printed
    assert not list(tmp_path.iterdir())
