import shutil

import numpy as np
import pandas as pd
import pytest

from ffpp_tools.errors import SettingsError, TableError
from ffpp_tools.extraction.pipeline import extract_still_dataset
from ffpp_tools.grouping.dataset import Dataset
from ffpp_tools.grouping.embedding import SFACE_CACHE
from ffpp_tools.grouping.identity import (
    UNLABELLED,
    _faces_to_compare,
    _matches,
    identify,
    rates,
)
from ffpp_tools.grouping.match_rates import (
    matching_limitation,
    read_matching,
)
from ffpp_tools.grouping.similarity import NormalisedEmbeddings, normalised, unit_vectors
from ffpp_tools.sources.stills import find_stills
from ffpp_tools.store.tables import read_faces, read_identities
from tests.helpers.faces import directions
from tests.helpers.tables import not_known


def at(*distances):
    """Embeddings in one plane at given distances from the first axis, without normalisation."""
    angles = np.sign(distances) * np.arccos(1 - np.abs(distances))
    vectors = np.zeros((len(angles), 128), np.float32)
    vectors[:, 0], vectors[:, 1] = np.cos(angles), np.sin(angles)
    half = np.full(len(angles), 0.5, np.float32)
    return NormalisedEmbeddings(vectors, half, 0 * half)


def unlabelled(n):
    return np.full(n, UNLABELLED)


def test_people_are_connected_components_of_matching_faces():
    units = [f"Flickr/{c}" for c in "abcdef"]
    faces = at(0, -1.2, 0.3, 1.05, -1.6, 1.9)
    people, partners, distances = _matches(units, faces, unlabelled(6), 0.4)
    assert people == [units[i] for i in (0, 1, 0, 0, 1, 5)]
    assert partners == ["", "", units[0], units[2], units[1], ""]
    _, b, c, d, e = np.arccos([1, -0.2, 0.7, -0.05, -0.6])  # the angles
    assert distances[2:5] == pytest.approx(1 - np.cos([c, d - c, e - b]), abs=1e-3)
    assert np.isnan([distances[i] for i in (0, 1, 5)]).all()


def test_items_of_one_labelled_set_are_never_matched():
    units = ["CelebA/1", "CelebA/2", "Youtube/000", "Mine/1"]
    people, _, _ = _matches(units, at(0, 0.1, 2, 0.1), np.array([0, 0, UNLABELLED, 1]), 0.05)
    assert people == ["CelebA/1", "CelebA/2", "Youtube/000", "CelebA/2"]
    for namespaces, expected in (([0, 0], units[:2]), ([0, 1], units[:1] * 2)):
        people, _, _ = _matches(units[:2], at(0, 0.1), np.array(namespaces), 0.2)
        assert people == expected
    same, partners, distances = _matches(units[:2], at(1, 1), unlabelled(2), 0.2)
    assert (same, partners) == (["CelebA/1"] * 2, ["", "CelebA/1"])
    assert distances[1] == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("n", [1, 255, 256, 600])
def test_people_are_matched_across_blocks(n):
    vectors = directions(n, n)
    vectors[-1] = unit_vectors(vectors[0] + 1e-3)
    own = np.r_[np.arange(n - 1), 0]
    faces = normalised(vectors, vectors[: max(n - 1, 1)], own)
    people, _, _ = _matches([f"{i:03d}" for i in range(n)], faces, unlabelled(n), 0.4)
    assert people[-1] == "000"
    assert len(set(people)) == max(n - 1, 1)


def test_rates_count_pairs_of_the_same_and_of_different_people():
    people = pd.Series(["A", "A", "", "B", "B", "C"])
    units = pd.Series(["A", "B", "C", ""])
    found = rates(units, at(0, 0.35, 1.5, 1.5), people, at(0, 0.3, 0.1, -0.5, 1, 1.9), 0.4)
    assert (found.several, found.same, found.split) == (2, 2, 1)  # B's two photographs do not match
    assert (found.people, found.different, found.merged) == (3, 3, 1)  # A and B
    none = rates(pd.Series([""]), at(0), pd.Series(["", ""]), at(0, 1), 0.4)
    assert (none.people, none.same, none.different) == (0, 0, 0)
    assert none.split_interval is None and np.isnan(none.merged_interval).all()


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


def test_a_clip_is_represented_by_five_evenly_spaced_faces_of_its_main_track():
    frames, faces = faces_of(("Youtube", "real", "c40", "000", "000", [1] + [0] * 21))
    assert _faces_to_compare(frames, faces, {})["frame"].tolist() == [1, 6, 10, 14, 18]
    frames, faces = faces_of(("Youtube", "real", "c40", "000", "000", [0, 0, 0]))
    assert _faces_to_compare(frames, faces, {})["frame"].tolist() == [0, 1, 2]


def test_only_the_best_compression_is_compared_and_no_fakes_or_whole_stills():
    frames, faces = faces_of(
        ("Youtube", "real", "c40", "000", "000", [0]),
        ("Youtube", "real", "c23", "000", "000", [0]),
        ("FaceSwap", "fake", "c23", "000_001", "000", [0]),
        ("Portraits", "real", "still", "a", "", [0]),
        ("Portraits", "real", "still", "b", "", [0]),
    )
    faces.loc[faces["face_id"].str.contains("/b/"), "detector"] = "none"
    found = _faces_to_compare(frames, faces, {})
    assert found["face_id"].tolist() == ["Youtube/c23/000/000000", "Portraits/still/a/000000"]


def test_identities_come_from_clip_names_and_identity_files():
    frames, faces = faces_of(
        ("Actors", "real", "c40", "01__kitchen", "01", [0]),
        ("Youtube", "real", "c40", "000", "000", [0]),
        *(("CelebA", "real", "still", f"00000{i}", "7", [0]) for i in range(5)),
        ("CelebA", "real", "still", "000009", "", [0]),
    )
    found = _faces_to_compare(frames, faces, {})
    assert dict(zip(found["item"], found["identity"], strict=True)) == {
        "Actors/01__kitchen": "Actors/01",
        "Youtube/000": "",
        "CelebA/000000": "CelebA/7",
        "CelebA/000009": "",
    }
    assert (found["item"] == "CelebA/000000").sum() == 3  # of five photographs


def test_clips_labelled_people_and_unlabelled_stills_are_compared_but_not_fakes(dataset):
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
    assert found.matching.compared == n_compared(found.table)
    assert np.linalg.norm(np.stack(table["embedding"]), axis=1) == pytest.approx(1, abs=1e-5)
    read = Dataset.read(dataset)
    assert read_matching(read.identities) == found.matching
    assert matching_limitation(read.identities) in not_known(read)
    (dataset / "identities.parquet").unlink()  # the dataset is shared between tests


def n_compared(table):
    """The number of pairs that may match: all except those within CelebA's identity file."""
    n, celebrities = len(table), table["item"].str.startswith("CelebA/").sum()
    return n * (n - 1) // 2 - celebrities * (celebrities - 1) // 2


def test_matches_do_not_depend_on_row_order_or_on_other_cached_embeddings(dataset, tmp_path):
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


def test_a_dataset_without_its_crops_is_an_error(dataset, tmp_path):
    for name in ("frames", "faces"):
        shutil.copy(dataset / f"{name}.parquet", tmp_path)
    with pytest.raises(TableError, match="none of its crops can be read"):
        identify(tmp_path)


def test_no_faces_and_invalid_distances_are_errors(world, tmp_path):
    extract_still_dataset(find_stills(world / "CelebA-HQ", "GAN", "fake"), tmp_path)
    with pytest.raises(TableError, match="no real clip or still"):
        identify(tmp_path)
    for distance in (0, 1.5, float("nan")):
        with pytest.raises(SettingsError, match="distance"):
            identify(tmp_path, max_distance=distance)
    assert read_identities(tmp_path) is None


def test_false_matches_are_rare_on_real_photographs(real_data, tmp_path):
    """Measured with CelebA's identity file; docs/manifests.md has the rates."""
    root = real_data / "data/CelebA"
    extract_still_dataset(find_stills(root, "CelebA", limit=200), tmp_path)
    found = identify(tmp_path, workers=2).matching.rates
    assert found.different > 2_000
    assert found.merged <= 1
    assert found.split < 0.35 * found.same  # dlib's embeddings missed 90 %
