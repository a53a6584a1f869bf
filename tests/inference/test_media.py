import dataclasses
import json
import os
import shutil
from pathlib import Path

import cv2
import keras
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from classify.errors import ClassifyError, ModelError, RunError
from classify.evaluation.predict import score_split
from classify.evaluation.thresholds import FILE, operating_point
from classify.inference import media as module
from classify.inference.media import (
    FACES_KEPT,
    _FaceSampler,
    _person,
    classifier_of,
    classify_file,
    find_media,
)
from classify.inference.media_files import PERSON_COLUMNS, VerdictFiles
from classify.reporting.provenance import of_verdicts
from classify.reporting.report import make_report
from classify.training.runs import Run, faces_of
from classify.training.settings import TrainSettings
from classify.training.train import train
from ffpp_tools.errors import SettingsError, TableError
from ffpp_tools.extraction.any_media import (
    FaceCrop,
    FrameCrops,
)
from ffpp_tools.faces.detect import Box
from ffpp_tools.sources.faceforensics import find_clips
from ffpp_tools.splits.build import SplitSettings, make_manifest
from ffpp_tools.store.tables import read_faces
from tests.helpers.pages import Page, files_with_pictures, pictures_in
from tests.helpers.videos import full_decode, shortened_with_index_first, write


@pytest.fixture(scope="module")
def run(videos_manifest, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "r"
    settings = TrainSettings(arch="sepconv", size=48, epochs=2, batch_size=16)
    return train(videos_manifest.folder, folder, settings)


@pytest.fixture(scope="module")
def classifier(run):
    return classifier_of(run)


def side_by_side(*images):
    height = min(image.shape[0] for image in images)
    return np.concatenate([image[:height] for image in images], axis=1)


def test_a_video_is_processed_as_its_clip_was_extracted(dataset, clip, classifier):
    found = classify_file(clip, classifier)
    faces = read_faces(dataset)
    own = faces[faces["frame_id"].str.startswith(f"Youtube/{clip.parts[-3]}/{clip.stem}/")]
    assert found.frames["frame"].tolist() == list(range(0, 10 * len(own), 10))
    for name in ("box_x", "box_y", "box_w", "box_h"):
        assert found.frames[name].tolist() == own[name].tolist()
    assert (found.kind, found.status, len(found.people)) == ("video", "ok", 1)
    times = found.frames["time_s"]
    assert (found.people[0].first_s, found.people[0].last_s) == (times.min(), times.max())


def test_the_scores_of_a_video_are_those_of_its_extracted_crops(ffpp, run, classifier):
    table = score_split(run, "test").table
    table = table[table["category"] == "Youtube"]
    name, compression = table.iloc[0][["clip", "compression"]]
    clips = find_clips(ffpp, categories=["Youtube"], compressions=[compression])
    (path,) = (c.path for c in clips if c.name == name)
    found = classify_file(path, classifier).frames.set_index("frame")
    own = table[(table["clip"] == name) & (table["compression"] == compression)]
    for row in own.itertuples():
        assert found.loc[row.frame, "p_Youtube"] == pytest.approx(row.p_Youtube, abs=1e-5)


def test_the_scores_of_a_video_with_flips_are_those_of_its_extracted_crops(
    ffpp, run, classifier, tmp_path
):
    folder = shutil.copytree(run.folder, tmp_path / "r")
    for path in (*folder.glob("predictions-*"), folder / "operating.json"):
        path.unlink(missing_ok=True)
    text = (run.folder / "config.toml").read_text().replace('tta = "none"', 'tta = "flip"')
    text = text.replace(f'path = "{run.manifest_path}"', f'path = "{run.manifest.folder}"')
    (folder / "config.toml").write_text(text)
    flipping = Run.read(folder)
    table = score_split(flipping, "test").table
    table = table[table["category"] == "Youtube"]
    name, compression = table.iloc[0][["clip", "compression"]]
    clips = find_clips(ffpp, categories=["Youtube"], compressions=[compression])
    (path,) = (c.path for c in clips if c.name == name)
    found = classify_file(path, classifier_of(flipping)).frames.set_index("frame")
    plain = classify_file(path, classifier).frames.set_index("frame")
    assert (found["p_Youtube"] - plain["p_Youtube"]).abs().max() > 1e-5
    own = table[(table["clip"] == name) & (table["compression"] == compression)]
    for row in own.itertuples():
        assert found.loc[row.frame, "p_Youtube"] == pytest.approx(row.p_Youtube, abs=1e-5)


def test_a_detector_with_a_model_file_needs_the_same_file_again(run, tmp_path):
    folder = shutil.copytree(run.folder, tmp_path / "r")
    find = {"detector": "yunet", "detector_model": "2023mar", "detector_sha256": "5" * 64}
    (folder / "faces.json").write_text(json.dumps({"crop": {}, "find": find}))
    with pytest.raises(SettingsError, match=r"needs the model file 2023mar .*--detector-model"):
        classifier_of(Run.read(folder))
    (tmp_path / "other.onnx").write_bytes(b"")
    with pytest.raises(SettingsError, match=r"other\.onnx is another model file"):
        classifier_of(Run.read(folder), detector_model=tmp_path / "other.onnx")


def test_a_verdict_is_the_mean_against_the_threshold_for_clips(clip, classifier):
    mean = classify_file(clip, classifier).frames["p_fake"].mean()
    for threshold, called in ((mean - 0.01, "fake"), (mean + 0.01, "real")):
        moved = dataclasses.replace(classifier.operating, clip_threshold=threshold)
        at = dataclasses.replace(classifier, operating=moved)
        (person,) = classify_file(clip, at).people
        assert person.p_fake == pytest.approx(mean)
        assert person.verdict == called
        assert sum(person.probabilities.values()) == pytest.approx(1)


def test_a_person_has_the_spread_of_the_frames_and_no_confidence_interval():
    """Eleven frames, 0.0 to 1.0; above 0.65 are four."""
    scores = np.linspace(0, 1, 11)
    rows = pd.DataFrame(
        {"time_s": scores, "p_fake": scores, "p_fakes": scores, "p_reals": 1 - scores}
    )
    person = _person(0, rows, {"fakes": "fake", "reals": "real"}, 0.65)
    assert (person.p_fake, person.verdict) == (pytest.approx(0.5), "real")
    assert person.frames_above == pytest.approx(4 / 11)
    assert (person.p_fake_q10, person.p_fake_q90) == pytest.approx((0.1, 0.9))
    # The same frames four times over are no more evidence: nothing becomes narrower.
    longer = _person(0, pd.concat([rows] * 4), {"fakes": "fake", "reals": "real"}, 0.65)
    assert longer.p_fake_q90 - longer.p_fake_q10 >= person.p_fake_q90 - person.p_fake_q10
    assert not {"low", "high"} & set(PERSON_COLUMNS)


def test_a_class_called_fake_is_what_p_fake_is_about(dataset, clip, tmp_path):
    settings = SplitSettings(mode="binary", ratios=(50, 25, 25), shrink=True)
    made = make_manifest(dataset, tmp_path / "binary", settings)
    run = train(made.folder, tmp_path / "run", TrainSettings(arch="sepconv", size=48, epochs=1))
    classifier = classifier_of(run)
    found = classify_file(clip, classifier)
    (person,) = found.people
    assert person.probabilities["fake"] == pytest.approx(person.p_fake)
    VerdictFiles(tmp_path / "out", classifier, "").add(found)
    written = pd.read_csv(tmp_path / "out/frames.csv")
    assert (written["p_fake"] + written["p_real"]).to_numpy() == pytest.approx(1)


def test_several_people_are_reported_separately(ffpp, classifier, tmp_path):
    clips = find_clips(ffpp, categories=["Youtube"])[:2]
    both = [side_by_side(a, b) for a, b in zip(*(full_decode(c.path) for c in clips), strict=False)]
    path = write(tmp_path / "two.mp4", both, crf="18")
    found = classify_file(path, classifier)
    assert len(found.people) == 2
    assert {p.frames for p in found.people} == {found.frames_searched}
    middles = found.frames.assign(x=found.frames["box_x"] + found.frames["box_w"] / 2)
    left, right = (middles[middles["person"] == p]["x"] for p in (0, 1))
    half = both[0].shape[1] / 2
    assert (left.max() < half < right.min()) or (right.max() < half < left.min())


def test_the_person_in_most_frames_comes_first_and_everyone_is_classified(classifier, monkeypatch):
    """One person in the first frame, another in all: 17 faces, one more than a batch."""
    image = np.zeros((60, 60, 3), np.uint8)

    def frame_crops(*_):
        for frame in range(16):
            people = (0, 1) if frame == 0 else (1,)
            faces = tuple(FaceCrop(person, Box(5, 5, 50, 50), image) for person in people)
            yield FrameCrops(frame, frame / 25, faces)

    monkeypatch.setattr(module, "_frame_crops", frame_crops)
    found = classify_file(Path("x.mp4"), classifier)
    assert [(p.person, p.frames) for p in found.people] == [(1, 16), (0, 1)]
    assert len(found.frames) == 17
    assert np.isfinite(found.frames["p_fake"]).all()


def test_images_are_classified_and_an_image_without_a_face_has_that_status(
    world, classifier, tmp_path
):
    photograph = sorted((world / "CelebA").rglob("*.jpg"))[0]
    found = classify_file(photograph, classifier)
    assert (found.kind, found.status, len(found.people)) == ("picture", "ok", 1)
    value = found.people[0].p_fake
    assert (found.people[0].p_fake_q10, found.people[0].p_fake_q90) == (value, value)
    for threshold, called in ((value - 0.01, "fake"), (value + 0.01, "real")):
        moved = dataclasses.replace(classifier.operating, frame_threshold=threshold)
        at = dataclasses.replace(classifier, operating=moved)
        assert classify_file(photograph, at).people[0].verdict == called
    cv2.imwrite(str(tmp_path / "wall.png"), np.full((200, 200, 3), 120, np.uint8))
    nobody = classify_file(tmp_path / "wall.png", classifier)
    assert (nobody.status, nobody.people, nobody.frames_searched) == ("no face found", (), 1)


def test_a_file_that_is_not_a_video_gives_a_verdict_with_an_error(classifier, tmp_path):
    (tmp_path / "x.mp4").write_bytes(b"not a video")
    found = classify_file(tmp_path / "x.mp4", classifier)
    assert found.status == "unreadable"
    assert "x.mp4: not a readable video" in found.error


def test_a_truncated_video_is_classified_by_its_readable_frames(clip, classifier, tmp_path):
    whole = classify_file(clip, classifier)
    path = tmp_path / "cut.mp4"
    path.write_bytes(shortened_with_index_first(clip, tmp_path))
    found = classify_file(path, classifier)
    assert found.status == "incomplete"
    there = len(found.frames)
    assert 0 < there < len(whole.frames)
    pd.testing.assert_frame_equal(found.frames, whole.frames[:there], atol=1e-5)
    assert f"cut.mp4: {len(whole.frames) - there} of {len(whole.frames)} frames" in found.error


def test_every_sets_the_distance_between_sampled_frames(run, clip):
    few = classify_file(clip, classifier_of(run, every=20))
    assert few.frames["frame"].tolist() == list(range(0, 20 * len(few.frames), 20))


def test_a_run_predicts_away_from_its_data(run, clip, classifier, tmp_path):
    away = shutil.copytree(run.folder, tmp_path / "far" / "away")
    found = classifier_of(Run.read(away))
    assert found.operating == classifier.operating  # operating.json came along
    (away / FILE).unlink()
    without = classifier_of(Run.read(away))
    assert without.operating.clip_threshold == 0.5
    assert "cannot be evaluated here" in without.operating.why_fixed
    pd.testing.assert_frame_equal(
        classify_file(clip, without).frames, classify_file(clip, classifier).frames
    )


def test_a_run_folder_without_its_faces_is_refused(run, tmp_path):
    away = shutil.copytree(run.folder, tmp_path / "away")
    (away / "faces.json").unlink()
    with pytest.raises(TableError, match=r"faces\.json: cannot be read"):
        classifier_of(Run.read(away))
    (away / "faces.json").write_text('{"crop": {}, "find": {"detector": "hog"}}')
    with pytest.raises(RunError, match="train again"):
        classifier_of(Run.read(away))


def test_media_are_found_in_folders_and_missing_files_are_refused(world, clip, tmp_path):
    found = find_media([clip, clip.parent])
    assert found[0] == clip
    assert len(found) == len(set(found)) == len(list(clip.parent.glob("*.mp4")))
    with pytest.raises(ClassifyError, match="no such file"):
        find_media([tmp_path / "nowhere.mp4"])
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(ClassifyError, match=r"contains no images or videos: .*notes\.txt.*Pass a"):
        find_media([tmp_path])
    os.mkfifo(tmp_path / "fifo.mp4")
    with pytest.raises(ClassifyError, match="a FIFO, not a file"):
        find_media([tmp_path / "fifo.mp4"])


def test_the_content_of_a_file_decides_how_it_is_processed(world, clip, classifier, tmp_path):
    photograph = sorted((world / "CelebA").rglob("*.jpg"))[0]
    folder = tmp_path / "mixed"
    folder.mkdir()
    for source, name in ((photograph, "a.jfif"), (photograph, "b.ts"), (clip, "c.jpg")):
        shutil.copy(source, folder / name)
    (folder / "linked").symlink_to(photograph.parent)
    (folder / "z.png").symlink_to("/dev/zero")
    (folder / "notes.txt").write_text("hello")
    remarks = []
    found = find_media([folder], remarks.append)
    assert [path.name for path in found[:3]] == ["a.jfif", "b.ts", "c.jpg"]
    assert len(found) == 3 + len(list(photograph.parent.glob("*.jpg")))
    assert remarks == [
        f"{folder}: skipped 1 (neither image nor video): notes.txt",
        f"{folder}: skipped 1 (a device, not a file): z.png",
    ]
    looked = [classify_file(path, classifier) for path in found[:3]]
    assert [(v.kind, v.status) for v in looked] == [
        ("picture", "ok"),
        ("picture", "ok"),
        ("video", "ok"),
    ]
    named = classify_file(folder / "notes.txt", classifier)
    assert (named.status, named.error) == (
        "unreadable",
        f"{folder / 'notes.txt'}: neither image nor video",
    )


def test_an_animated_image_is_processed_as_a_video(world, classifier, tmp_path):
    frames = [Image.open(p) for p in sorted((world / "CelebA").rglob("*.jpg"))[:1]] * 3
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=[f.rotate(3) for f in frames])
    found = classify_file(tmp_path / "a.gif", classifier)
    assert (found.kind, found.status, found.frames_searched) == ("video", "ok", 1)


def test_verdicts_give_the_test_performance_and_files_that_may_be_memorised(run, clip):
    at = operating_point(run)
    assert "Its performance is unknown: run `classify report`" in of_verdicts(run, at, [clip])
    made = make_report(run)
    auc = made.evaluations[-1].measures["auc_against_originals"].value
    learnt = [Path(f"{name}.mp4") for name in run.manifest.samples("train")["clip"].unique()]
    said = of_verdicts(run, at, [*learnt[:5], Path("party.mp4")])
    assert f"AUC against originals was {auc:.3f} per clip" in said
    assert ("NO BETTER THAN CHANCE" in said) is (auc <= 0.5)
    assert f"5 OF 6 FILES HAVE THE NAME OF A TRAINING CLIP ({learnt[0].name}, " in said
    assert "1 OF 1 FILE HAS THE NAME OF" in of_verdicts(run, at, learnt[:1])
    assert "THE NAME OF A TRAINING CLIP" not in of_verdicts(run, at, [Path("party.mp4")])


def test_verdicts_are_written_for_people_and_for_programs(clip, world, classifier, tmp_path):
    (tmp_path / "x.mp4").write_bytes(b"")
    (tmp_path / "other").mkdir()
    same_name = shutil.copy(clip, tmp_path / "other" / clip.name)
    files = (clip, same_name, tmp_path / "x.mp4", sorted((world / "CelebA").rglob("*.jpg"))[0])
    made = [classify_file(path, classifier) for path in map(type(clip), files)]
    written = VerdictFiles(tmp_path / "out", classifier, "By <r>.")
    for one in made:
        written.add(one)
    table = pd.read_csv(tmp_path / "out/verdicts.csv")
    assert table["status"].tolist() == ["ok", "ok", "unreadable", "ok"]
    assert table["p_fake"].tolist()[0] == made[0].people[0].p_fake
    assert (tmp_path / "out/verdicts.csv").read_text().splitlines()[1].split(",")[6] == "0"
    frames = pd.read_csv(tmp_path / "out/frames.csv")
    assert len(frames) == sum(len(v.frames) for v in made)
    lines = (tmp_path / "out/verdicts.jsonl").read_text().splitlines()
    files = [json.loads(line) for line in lines]
    (person,) = files[0]["people"]
    assert person["frames"] == len(made[0].frames)
    assert set(person) == {*PERSON_COLUMNS, "probabilities"}
    above = made[0].frames["p_fake"] > made[0].threshold
    assert person["frames_above"] == table["frames_above"][0] == pytest.approx(above.mean())
    assert files[2]["people"] == []
    pages = sorted(p.name for p in (tmp_path / "out/videos").iterdir())
    assert pages == [f"{clip.stem}-2.html", f"{clip.stem}.html"]
    page = Page()
    html = (tmp_path / "out/videos" / pages[1]).read_text()
    page.feed(html)
    assert "By &lt;r&gt;." in html
    assert all(address.startswith("data:") for address in page.fetched)
    assert len(page.alts) == 1 + len(made[0].frames)
    assert all(page.alts)


def test_verdicts_without_faces_replace_pages_with_faces(clip, classifier, tmp_path):
    made = classify_file(clip, classifier)
    html = tmp_path / f"videos/{clip.stem}.html"
    VerdictFiles(tmp_path, classifier, "By r.").add(made)
    (tmp_path / "videos/another.html").write_bytes(html.read_bytes())
    timeline, *faces = pictures_in(html)
    assert len(faces) == len(made.faces) > 0
    VerdictFiles(tmp_path, classifier, "By r.", faces=False).add(made)
    assert [p.name for p in (tmp_path / "videos").iterdir()] == [html.name]
    assert pictures_in(html) == [timeline]
    assert timeline.startswith(b"<?xml")
    assert files_with_pictures(tmp_path) == set()
    assert "Faces are omitted" in html.read_text()
    assert len((tmp_path / "verdicts.jsonl").read_text().splitlines()) == 1


def test_some_faces_of_each_person_are_kept_evenly_over_time_for_any_length():
    seen = _FaceSampler()
    face = np.zeros((8, 8, 3), np.uint8)
    for row in range(5000):
        seen.add(row % 2, row, face)
    seen.add(7, 5000, face)
    rows = {person: [r for r, _ in seen.faces if r % 2 == person and r < 5000] for person in (0, 1)}
    for kept in rows.values():
        assert FACES_KEPT / 2 <= len(kept) <= FACES_KEPT
        assert len(set(np.diff(kept))) == 1
    assert seen.faces[-1][0] == 5000


def test_settings_for_stills_are_saved_only_for_a_network_trained_on_stills(
    dataset, videos_manifest, tmp_path
):
    assert "stills" not in faces_of(videos_manifest)
    asked = SplitSettings("binary", ratios=(50, 25, 25), shrink=True)
    assert "stills" in faces_of(make_manifest(dataset, tmp_path / "m", asked))


def test_a_network_with_non_finite_outputs_gives_no_verdict(classifier, clip):
    broken = keras.models.clone_model(classifier.model)
    broken.set_weights([np.full_like(w, np.nan) for w in broken.get_weights()])
    with pytest.raises(ModelError, match=r"the output for image 1 of .* is not finite"):
        classify_file(clip, dataclasses.replace(classifier, model=broken))
