import numpy as np
import pandas as pd
import pytest

from ffpp_tools.errors import TableError
from ffpp_tools.splits.build import SplitSettings, make_manifest
from ffpp_tools.splits.manifest import Manifest
from ffpp_tools.splits.shortcuts import (
    PROPERTIES,
    SCALE_DEPENDENT,
    ProbeResult,
    _comparisons,
    _cross_validated,
    _probe,
    measure_shortcuts,
    properties,
    read,
    write,
)
from ffpp_tools.store.schema import SPLITS
from ffpp_tools.store.tables import read_faces

ROW = {"box_x": 40, "box_y": 40, "box_w": 80, "box_h": 80, "crop_x": 8, "crop_y": 16}


def seen(image, **changed):
    row = {**ROW, "crop_size": max(image.shape[:2]), **changed}
    return dict(zip(PROPERTIES, properties(image, row), strict=True))


@pytest.fixture(scope="module")
def noise():
    return np.random.default_rng(0).integers(0, 256, (160, 160, 3), dtype=np.uint8)


def test_noise_is_sharper_and_noisier_than_a_plain_wall(noise):
    wall = np.full_like(noise, 128)
    loud, quiet = seen(noise), seen(wall)
    for name in ("sharpness", "sharpness_128", "noise", "noise_128", "contrast"):
        assert loud[name] > quiet[name] + 1
    assert quiet["saturation"] == 0
    assert (quiet["red"], quiet["green"], quiet["blue"]) == (128, 128, 128)


@pytest.mark.parametrize("left", range(0, 8, 3))
def test_blocks_are_seen_where_the_frame_has_them(left):
    """A picture of 8 × 8 pixel blocks, cut out at any place."""
    blocks = np.random.default_rng(1).integers(0, 256, (30, 30, 1), dtype=np.uint8)
    frame = np.repeat(np.repeat(np.repeat(blocks, 8, 0), 8, 1), 3, 2)
    crop = np.ascontiguousarray(frame[16:176, 8 + left : 168 + left])
    assert seen(crop, crop_x=8 + left)["blockiness_8"] > 3
    assert seen(crop, crop_x=9 + left, crop_y=17)["blockiness_8"] < 0


def test_the_box_is_seen_in_shares_of_the_crop(noise):
    found = seen(noise)
    assert found["log_size"] == pytest.approx(np.log(160))
    assert found["face_share"] == 0.5
    assert found["face_x"] == pytest.approx((40 - 8 + 40) / 160)
    assert found["face_y"] == pytest.approx((40 - 16 + 40) / 160)


def test_width_is_told_from_height():
    row = {"box_x": 20, "box_y": 30, "box_w": 40, "box_h": 80, "crop_x": 0, "crop_y": 0}
    found = seen(np.zeros((200, 100, 3), np.uint8), **row, shape="box")
    assert found["aspect"] == 1 / 2
    assert found["face_aspect"] == pytest.approx(40 / 80)
    assert found["log_size"] == pytest.approx(np.log(200))


def test_blocks_of_four_are_told_from_blocks_of_eight():
    blocks = np.random.default_rng(1).integers(0, 256, (40, 40, 1), dtype=np.uint8)
    image = np.repeat(np.repeat(np.repeat(blocks, 4, 0), 4, 1), 3, 2)
    found = seen(image, crop_x=0, crop_y=0)
    assert found["blockiness_4"] > 3 > 2 > found["blockiness_8"]


def told(**values):
    """What is answered of two categories that differ in these properties: (one's, other's).

    Twelve identity groups of five crops, every second group in one category.
    """
    group = np.repeat(np.arange(12), 5)
    one = group % 2 == 0
    rng = np.random.default_rng(0)
    properties = rng.normal(0, 0.1, (60, len(PROPERTIES))).astype(np.float32)
    for name, (own, others) in values.items():
        properties[:, PROPERTIES.index(name)] += np.where(one, own, others)
    rows = pd.DataFrame({"group": [f"{g:02d}" for g in group]})
    return _probe("?", "real against real", rows, properties, pd.Series(one), pd.Series(~one))


@pytest.mark.parametrize("values", [(1, 0), (0, 1)])
def test_what_is_lost_in_scaling_tells_nothing_once_all_are_scaled(values):
    lost, stays = told(log_size=values), told(red=values)
    assert (lost.auc, lost.telling, stays.telling) == (1.0, "log_size", "red")
    assert lost.auc_scaled < 0.9 < stays.auc_scaled == 1.0
    assert "log_size" in SCALE_DEPENDENT
    assert "red" not in SCALE_DEPENDENT
    assert (lost.groups, lost.samples) == (6, 60)


def test_people_that_a_model_has_seen_are_no_test_of_it():
    """By three properties every group is known by name, and so its category; no other group is."""
    rng = np.random.default_rng(1)
    group = np.repeat(np.arange(12), 5)
    own = np.eye(12)[group] * 3  # a property for each group, and none for its category
    values = rng.normal(0, 0.1, (60, len(PROPERTIES)))
    values[:, :12] += own
    rows = pd.DataFrame({"group": [f"{g:02d}" for g in group]})
    one = pd.Series(group % 2 == 0)
    found = _probe("?", "real against real", rows, values.astype(np.float32), one, ~one)
    assert found.auc < 0.9


def test_a_method_is_asked_about_beside_its_own_originals_alone():
    rows = pd.DataFrame(
        {
            "category": ["DeepFakeDetection", "Actors", "Youtube", "CelebA", "FaceSwap"],
            "label": ["fake", "real", "real", "real", "fake"],
        }
    )
    asked = {q: (one.tolist(), other.tolist()) for q, _, one, other in _comparisons(rows)}
    first, second, third, fourth, fifth = np.eye(5, dtype=bool).tolist()
    assert asked["FaceSwap against its originals"] == (fifth, third)
    assert asked["DeepFakeDetection against its originals"] == (first, second)
    assert asked["CelebA against Youtube"] == (fourth, third)
    fake = rows["label"] == "fake"
    assert asked["fake against real"] == (fake.tolist(), (~fake).tolist())


@pytest.fixture(scope="module")
def answers(dataset, tmp_path_factory):
    settings = SplitSettings("binary", ratios=(50, 25, 25))
    manifest = make_manifest(dataset, tmp_path_factory.mktemp("m"), settings)
    samples = pd.concat([manifest.samples(s).assign(split=s) for s in SPLITS])
    return {a.question: a for a in measure_shortcuts(dataset, read_faces(dataset), samples, 2)}


def test_every_question_is_asked(answers):
    methods = ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures")
    assert set(answers) == {
        "CelebA against CelebA-HQ",
        "CelebA against Youtube",
        "CelebA-HQ against Youtube",
        "fake against real",
        *(f"{m} against its originals" for m in methods),
    }


def test_stills_are_told_from_clips_by_their_size(answers):
    """The demo's CelebA-HQ is drawn three times as large as its clips."""
    answer = answers["CelebA-HQ against Youtube"]
    assert answer.auc > 0.95
    assert answer.groups == 4
    assert answer.kind == "real against real"


def test_a_source_against_itself_is_a_coin_flip(dataset, tmp_path):
    """Half of Youtube's people under another name."""
    faces = read_faces(dataset)
    youtube = faces[faces["face_id"].str.startswith("Youtube")].copy()
    clip = youtube["face_id"].str.split("/").str[2]
    samples = pd.DataFrame(
        {
            "face_id": youtube["face_id"],
            "path": youtube["path"],
            "label": "real",
            "category": np.where(clip.astype(int) % 2, "One", "Other"),
            "group": clip,
        }
    )
    (answer,) = measure_shortcuts(dataset, faces, samples, 1)
    assert answer.groups == 4
    assert answer.auc < 0.9


def test_too_few_groups_give_no_figure(dataset):
    faces = read_faces(dataset)
    some = faces[faces["face_id"].str.startswith(("Youtube/c23/000", "CelebA/"))]
    samples = pd.DataFrame(
        {
            "face_id": some["face_id"],
            "path": some["path"],
            "label": "real",
            "category": some["face_id"].str.split("/").str[0],
            "group": some["face_id"].str.split("/").str[2],
        }
    )
    (answer,) = measure_shortcuts(dataset, faces, samples, 1)
    assert np.isnan(answer.auc)


def test_the_answers_are_kept_for_reports_on_this_manifest_alone(videos_manifest, tmp_path):
    manifest = Manifest(tmp_path, videos_manifest.info)
    answers = [ProbeResult("A against B", "real against real", 0.75, float("nan"), 4, 100, "noise")]
    write(manifest, answers)
    (found,) = read(manifest)
    assert (found.question, found.auc, np.isnan(found.auc_scaled)) == ("A against B", 0.75, True)
    assert read(Manifest(tmp_path, {**manifest.info, "files": {}})) == []
    (tmp_path / "probe.json").write_text("{")
    with pytest.raises(TableError, match=r"probe\.json"):
        read(manifest)


def test_the_scarcer_source_counts_as_much_as_the_other():
    """Twenty crops of the one for each of the other, an eighth of them at the far end of the first.

    The second property separates most crops; the first separates both sources.
    """
    rng = np.random.default_rng(3)
    many, few = rng.normal(0, 0.5, (960, 2)), rng.normal((2.2, 1), 1, (48, 2))
    many[:120, 0] += 4.5
    values, is_one = np.vstack([many, few]), np.repeat([False, True], [960, 48])
    _, weights = _cross_validated(
        values.astype(np.float32), is_one, np.arange(1008).astype(object), 0
    )
    assert weights[0] > 1.3 * weights[1] > 0
