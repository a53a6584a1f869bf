import shutil

import numpy as np
import pandas as pd
import pytest

from ffpp_tools.embed import embedding
from ffpp_tools.errors import SettingsError, TableError
from ffpp_tools.identity import UNKNOWN, _chosen, _people, identify, rates
from ffpp_tools.run import extract_still_dataset
from ffpp_tools.stills import find_stills
from ffpp_tools.tables import read_faces, read_identities


def on_a_line(*places):
    """Embeddings at such places of a line."""
    vectors = np.zeros((len(places), 128), np.float32)
    vectors[:, 0] = places
    return vectors


def nobody_known(n):
    return np.full(n, UNKNOWN)


def test_people_are_chains_of_faces_that_are_near_enough():
    units = [f"Flickr/{c}" for c in "abcdef"]
    places = on_a_line(0, 9, 0.3, 0.55, 9.2, 5)
    people, partners, distances = _people(units, places, nobody_known(6), 0.4)
    assert people == [units[i] for i in (0, 1, 0, 0, 1, 5)]
    assert partners == ["", "", units[0], units[2], units[1], ""]
    assert distances[2:5] == pytest.approx([0.3, 0.25, 0.2], abs=1e-3)
    assert np.isnan([distances[i] for i in (0, 1, 5)]).all()


def test_an_identity_file_is_believed_that_two_of_its_people_are_two():
    units = ["CelebA/1", "CelebA/2", "Youtube/000", "Mine/1"]
    people, _, _ = _people(units, on_a_line(0, 0.1, 5, 0.1), np.array([0, 0, UNKNOWN, 1]), 0.05)
    assert people == ["CelebA/1", "CelebA/2", "Youtube/000", "CelebA/2"]
    for series, expected in (([0, 0], units[:2]), ([0, 1], units[:1] * 2)):
        people, _, _ = _people(units[:2], on_a_line(0, 0.1), np.array(series), 0.2)
        assert people == expected
    alike, partners, distances = _people(units[:2], on_a_line(3, 3), nobody_known(2), 0.2)
    assert (alike, partners) == (["CelebA/1"] * 2, ["", "CelebA/1"])
    assert distances[1] == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("n", [1, 255, 256, 600])
def test_people_are_found_across_blocks(n):
    rng = np.random.default_rng(n)
    vectors = rng.normal(size=(n, 128)).astype(np.float32)
    vectors[-1] = vectors[0] + 1e-4
    people, _, _ = _people([f"{i:03d}" for i in range(n)], vectors, nobody_known(n), 0.4)
    assert people[-1] == "000"
    assert len(set(people)) == max(n - 1, 1)


def test_rates_count_pairs_of_one_and_of_two_people():
    people, places = pd.Series(["A", "A", "", "B", "B", "C"]), on_a_line(0, 0.3, 0.1, 0.5, 2, 2.1)
    units, means = pd.Series(["A", "B", "C", ""]), on_a_line(0.15, 0.5, 2.1, 2.1)
    found = rates(units, means, people, places, 0.4)
    assert (found.same, found.split) == (2, 1)  # B's two photographs are 1.5 apart
    assert (found.different, found.merged) == (3, 1)  # A and B at 0.35
    nobody = rates(pd.Series([""]), on_a_line(0), pd.Series(["", ""]), on_a_line(0, 1), 0.4)
    assert (nobody.same, nobody.different) == (0, 0)


def faces_of(*clips):
    """Tables of frames and faces: (category, label, compression, clip, person, tracks)."""
    frames, faces = [], []
    for category, label, compression, clip, person, tracks in clips:
        known = {"category": category, "label": label, "compression": compression, "clip": clip}
        for frame, track in enumerate(tracks):
            name = f"{category}/{compression}/{clip}/{frame:06d}"
            own = {"frame_id": name, "status": "ok", "frame": frame, "photo": ""}
            frames.append({**known, **own, "target_id": person})
            faces.append({"face_id": name, "frame_id": name, "track": track, "detector": "hog"})
    return pd.DataFrame(frames), pd.DataFrame(faces)


def test_a_clip_is_known_by_five_faces_spread_over_it_of_whom_it_shows_most():
    frames, faces = faces_of(("Youtube", "real", "c40", "000", "000", [1] + [0] * 21))
    assert _chosen(frames, faces, {})["frame"].tolist() == [1, 6, 10, 14, 18]
    frames, faces = faces_of(("Youtube", "real", "c40", "000", "000", [0, 0, 0]))
    assert _chosen(frames, faces, {})["frame"].tolist() == [0, 1, 2]


def test_of_several_compressions_the_best_is_looked_at_and_fakes_and_whole_stills_are_not():
    frames, faces = faces_of(
        ("Youtube", "real", "c40", "000", "000", [0]),
        ("Youtube", "real", "c23", "000", "000", [0]),
        ("FaceSwap", "fake", "c23", "000_001", "000", [0]),
        ("Portraits", "real", "still", "a", "", [0]),
        ("Portraits", "real", "still", "b", "", [0]),
    )
    faces.loc[faces["face_id"].str.contains("/b/"), "detector"] = "none"
    found = _chosen(frames, faces, {})
    assert found["face_id"].tolist() == ["Youtube/c23/000/000000", "Portraits/still/a/000000"]


def test_people_that_names_and_files_tell_are_known():
    frames, faces = faces_of(
        ("Actors", "real", "c40", "01__kitchen", "01", [0]),
        ("Youtube", "real", "c40", "000", "000", [0]),
        *(("CelebA", "real", "still", f"00000{i}", "7", [0]) for i in range(5)),
        ("CelebA", "real", "still", "000009", "", [0]),
    )
    found = _chosen(frames, faces, {})
    assert dict(zip(found["unit"], found["person"], strict=True)) == {
        "Actors/01__kitchen": "Actors/01",
        "Youtube/000": "",
        "CelebA/000000": "CelebA/7",
        "CelebA/000009": "",
    }
    assert (found["unit"] == "CelebA/000000").sum() == 3  # of five photographs


def test_clips_people_and_unknown_stills_are_compared_and_fakes_are_not(dataset):
    found = identify(dataset, workers=2)
    table = found.table.set_index("item")
    categories = {item.split("/")[0] for item in table.index}
    assert categories == {"Youtube", "CelebA", "CelebA-HQ"}
    assert sum(item.startswith("Youtube/") for item in table.index) == 8
    assert table.loc["Youtube/000", "faces"] in (4, 5)
    assert table["embedding"].map(len).eq(128).all()
    faces = read_faces(dataset)
    photographs = faces["face_id"].str.startswith("CelebA/").sum()
    assert sum(item.startswith("CelebA/") for item in table.index) < photographs
    assert found.rates.same > 10
    (dataset / "identities.parquet").unlink()  # the dataset is shared between tests


def test_a_face_lies_as_near_to_itself_as_face_recognition_says(dataset):
    import cv2
    import face_recognition

    row = read_faces(dataset).query("path.str.startswith('faces/Youtube')").iloc[0]
    image = np.ascontiguousarray(cv2.imread(str(dataset / row["path"]))[..., ::-1])
    own = embedding(image, row)
    x, y = row["box_x"] - row["crop_x"], row["box_y"] - row["crop_y"]
    box = (y, x + row["box_w"], y + row["box_h"], x)  # top, right, bottom, left
    (theirs,) = face_recognition.face_encodings(image, [box], model="small")
    assert np.linalg.norm(own - theirs) < 1e-5


def test_a_dataset_without_its_crops_is_an_error(dataset, tmp_path):
    for name in ("frames", "faces"):
        shutil.copy(dataset / f"{name}.parquet", tmp_path)
    with pytest.raises(TableError, match="none of its crops can be read"):
        identify(tmp_path)


def test_nothing_to_compare_and_impossible_distances_are_errors(world, tmp_path):
    extract_still_dataset(find_stills(world / "CelebA-HQ", "GAN", "fake"), tmp_path)
    with pytest.raises(TableError, match="no real clip or still"):
        identify(tmp_path)
    for distance in (0, 1.5, float("nan")):
        with pytest.raises(SettingsError, match="distance"):
            identify(tmp_path, max_distance=distance)
    assert read_identities(tmp_path) is None


def test_on_real_photographs_different_people_are_hardly_ever_merged(real_data, tmp_path):
    """By CelebA's identity file; the rates stand in docs/manifests.md."""
    root = real_data / "data/CelebA"
    extract_still_dataset(find_stills(root, "CelebA", limit=200), tmp_path)
    found = identify(tmp_path, workers=2)
    assert found.rates.different > 2_000
    assert found.rates.merged <= 1
    assert 0 < found.rates.split < found.rates.same
