import dataclasses

import numpy as np
import pandas as pd
import pytest

from classify.data.pack import Share, pack
from classify.errors import ClassifyError, DownloadError, RunError
from classify.models import ARCHITECTURES, build
from classify.search.study import RECIPE, study_backbones, weight_files
from classify.training.runs import Run

SMALL = dataclasses.replace(RECIPE, size=32, batch_size=32, epochs=2, fraction=0.5)


def test_the_recipe_is_that_of_the_2022_study():
    assert dataclasses.asdict(RECIPE) | {
        "head": "flatten-758-512-256",
        "freeze": "all",
        "learning_rate": 0.0009,
        "patience": 3,
        "epochs": 10,
        "batch_size": 256,
        "size": 256,
        "augment": "rotate-shift",
        "fraction": 0.1,
    } == dataclasses.asdict(RECIPE)


@pytest.mark.slow
def test_backbones_are_trained_once_and_compared(videos_manifest, tmp_path, monkeypatch):
    (tmp_path / "weights").mkdir()
    known = build("mobilenetv2", 2, 32).get_layer("backbone")
    known.save_weights(tmp_path / "weights/mobilenet_v2_weights_notop.weights.h5")

    def study(*archs):
        return study_backbones(
            videos_manifest.folder, tmp_path / "s", archs, SMALL, tmp_path / "weights"
        )

    monkeypatch.setattr("classify.models.backbones.weight_files.downloading", _refused)
    one = study("mobilenetv2")
    assert one.comparison is None
    first = (one.folder / "mobilenetv2/best.keras").stat().st_mtime_ns
    found = study("mobilenetv2", "mobilenet")
    assert (one.folder / "mobilenetv2/best.keras").stat().st_mtime_ns == first
    assert found.untrained == ("mobilenet",)
    table = found.comparison.table.set_index("run")
    assert table["weights"].to_dict() == {
        "mobilenet": "none",
        "mobilenetv2": "mobilenet_v2_weights_notop.weights.h5",
    }
    assert any("mobilenet was not pretrained" in note for note in found.comparison.notes)
    comparison = pd.read_csv(tmp_path / "s/comparison/accuracy-recall.csv", index_col=0)
    assert list(comparison.index) == ["Accuracy", "Recall"]
    trained = Run.read(tmp_path / "s/mobilenetv2").best_model().get_layer("backbone")
    for mine, published in zip(trained.get_weights(), known.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, published)  # frozen
    with pytest.raises(RunError, match="other settings"):
        study_backbones(
            videos_manifest.folder,
            tmp_path / "s",
            ("mobilenet",),
            dataclasses.replace(SMALL, epochs=3),
        )
    # A backbone that cannot be trained does not stop the others.
    more = study("xception", "mobilenet")
    assert "71 pixels" in more.failed["xception"]
    assert [run.settings.arch for run in more.runs] == ["mobilenet"]
    with pytest.raises(ClassifyError, match="no backbone could be trained; xception"):
        study("xception")


def _refused(arch):
    raise DownloadError(arch)


def test_weights_files_are_recognised_by_their_keras_names(tmp_path):
    names = {
        "resnet50": "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "resnet50v2": "resnet50v2_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "mobilenet": "mobilenet_1_0_224_tf_no_top.h5",
        "mobilenetv2": "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5",
        "inceptionresnetv2": "inception_resnet_v2_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "inceptionv3": "inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "efficientnetb0": "efficientnetb0_notop.h5",
        "efficientnetv2b0": "efficientnetv2-b0_notop.h5",
        "densenet121": "densenet121_weights_tf_dim_ordering_tf_kernels_notop.h5",
    }
    others = ("readme.txt", "other.h5", "mobilenetv3_notop.h5", "vgg16_weights_tf_kernels.h5")
    for name in (*names.values(), *others):
        (tmp_path / name).touch()
    assert {arch: path.name for arch, path in weight_files(tmp_path).items()} == names
    (tmp_path / "resnet50.weights.h5").touch()
    with pytest.raises(ClassifyError, match="is also a file of resnet50"):
        weight_files(tmp_path)


def test_a_network_without_a_backbone_is_refused(videos_manifest, tmp_path):
    with pytest.raises(ClassifyError, match="sepconv is not a backbone"):
        study_backbones(videos_manifest.folder, tmp_path / "s", ("mobilenet", "sepconv"))
    assert not (tmp_path / "s").exists()
    assert sum(a.pretrained for a in ARCHITECTURES.values()) == 28


def test_a_share_is_drawn_from_every_class_and_has_its_own_array(videos_manifest):
    whole = pack(videos_manifest, "train", 32)
    part = pack(videos_manifest, "train", 32, share=Share(0.3, seed=1))
    counts, all_counts = (p.samples["class"].value_counts() for p in (part, whole))
    for name, count in all_counts.items():
        assert counts[name] == max(1, round(0.3 * count))
    rows = whole.samples.reset_index().set_index("face_id").loc[part.samples["face_id"], "index"]
    assert rows.is_monotonic_increasing
    np.testing.assert_array_equal(part.images, whole.images[rows])
    np.testing.assert_array_equal(part.labels, whole.labels[rows])
    other = pack(videos_manifest, "train", 32, share=Share(0.3, seed=2))
    assert list(other.samples["face_id"]) != list(part.samples["face_id"])
    assert len(list((videos_manifest.folder / "packed").glob("train-0.3-*-32-*.npy"))) == 2
    again = pack(videos_manifest, "train", 32)
    np.testing.assert_array_equal(again.images, whole.images)
