import json
from dataclasses import replace

import numpy as np
import pytest

from classify.errors import ClassifyError, ModelError
from classify.evaluation.predict import score_split
from classify.inference.export import BOUND, KINDS, export
from classify.training.settings import TrainSettings
from classify.training.train import train
from tests.helpers.runs import train_tiny


@pytest.fixture(scope="module")
def run(videos_manifest, tmp_path_factory):
    return train_tiny(videos_manifest.folder, tmp_path_factory.mktemp("runs") / "r", epochs=2)


def crops(run, count=5):
    from classify.data.pack import pack

    data = pack(run.manifest, "test", run.settings.size)
    return np.asarray(data.images[:count])


def check(run, kind, folder):
    difference = export(run, kind, folder)
    assert difference <= BOUND
    written = {"saved-model": folder / "model", "litert": folder / "model.tflite"}[kind]
    found = KINDS[kind][1](written)(crops(run).astype(np.float32))
    expected = score_split(run, "test").probabilities[:5]
    np.testing.assert_allclose(found, expected[:, : found.shape[1]], atol=BOUND)


@pytest.mark.parametrize("kind", list(KINDS))
def test_the_exported_file_predicts_as_the_network_in_its_own_runtime(run, kind, tmp_path):
    check(run, kind, tmp_path / "e")
    about = json.loads((tmp_path / "e/about.json").read_text())
    assert about["format"] == kind
    assert about["output"] == list(run.manifest.classes)
    assert about["input"].startswith("float32 (n, 48, 48, 3), RGB from 0 to 255")
    assert about["faces"]["crop"]["margin"] == 1.3
    assert about["why_fixed"] == ""


def test_a_network_of_half_precision_is_exported_in_single_precision(videos_manifest, tmp_path):
    run = train_tiny(videos_manifest.folder, tmp_path / "r", epochs=1, mixed_precision=True)
    export(run, "litert", tmp_path / "e")
    found = KINDS["litert"][1](tmp_path / "e/model.tflite")(crops(run).astype(np.float32))
    np.testing.assert_allclose(found, score_split(run, "test").probabilities[:5], atol=0.01)


def test_flips_are_not_exported_and_the_file_says_so(run, tmp_path):
    export(run, "litert", tmp_path / "plain")
    assert json.loads((tmp_path / "plain/about.json").read_text())["tta"] == "none"
    flipping = replace(run, settings=replace(run.settings, tta="flip"))
    export(flipping, "litert", tmp_path / "flip")
    about = json.loads((tmp_path / "flip/about.json").read_text())
    assert "The exported network itself does not flip" in about["tta"]
    without_validation = replace(run, settings=replace(run.settings, tta="auto", refit=True))
    export(without_validation, "litert", tmp_path / "auto")
    about = json.loads((tmp_path / "auto/about.json").read_text())
    assert about["tta"] == "none, because --tta auto had no validation split to decide on"
    files = [(tmp_path / name / "model.tflite").read_bytes() for name in ("plain", "flip")]
    assert files[0] == files[1]


@pytest.mark.slow
@pytest.mark.parametrize("kind", list(KINDS))
def test_efficientnetb0_is_exported_with_its_normalisation(videos_manifest, kind, tmp_path):
    settings = TrainSettings(arch="efficientnetb0", weights="none", size=64, epochs=1)
    check(train(videos_manifest.folder, tmp_path / "r", settings), kind, tmp_path / "e")


def test_an_export_with_different_predictions_is_deleted(run, monkeypatch, tmp_path):
    write, _ = KINDS["saved-model"]
    wrong = (write, lambda path: lambda images: np.zeros((len(images), 5), np.float32))
    monkeypatch.setitem(KINDS, "saved-model", wrong)
    with pytest.raises(ModelError, match=r"predicts up to .* off"):
        export(run, "saved-model", tmp_path / "e")
    assert not (tmp_path / "e").exists()


def test_an_unknown_format_or_used_folder_is_refused(run, tmp_path):
    with pytest.raises(ClassifyError, match="unknown format 'onnx'; choose from saved-model"):
        export(run, "onnx", tmp_path / "e")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.tex").write_text("")
    with pytest.raises(ClassifyError, match="not empty"):
        export(run, "litert", tmp_path / "mine")
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["thesis.tex"]
