import shutil
import tracemalloc

import cv2
import numpy as np
import pandas as pd
import pytest

from ffpp_tools.extraction.pipeline import extract_dataset, extract_still_dataset
from ffpp_tools.extraction.settings import StillSettings
from ffpp_tools.grouping import dedupe, hamming_pairs
from ffpp_tools.grouping.dataset import Dataset
from ffpp_tools.grouping.dedupe import find_duplicates
from ffpp_tools.grouping.phash import BITS
from ffpp_tools.sources.faceforensics import families, find_clips
from ffpp_tools.sources.stills import find_stills
from ffpp_tools.splits.build import SplitSettings, make_manifest
from ffpp_tools.store.schema import SPLITS
from ffpp_tools.store.tables import read_duplicates, read_faces, read_frames
from tests.helpers.tables import not_known
from tests.helpers.worlds import SETTINGS


def stills(folder, dataset, category="Portraits", settings=StillSettings()):  # noqa: B008
    found = find_stills(folder, category, "real")
    return extract_still_dataset(found, dataset, settings)


def as_pairs(table):
    return {(row.item, row.kind, row.partner) for row in table.itertuples()}


@pytest.fixture(scope="module")
def photographs(world, tmp_path_factory):
    """Drawn stills with copies: identical, smaller and brighter ones, and two damaged ones."""
    folder = tmp_path_factory.mktemp("photographs")
    for path in sorted((world / "CelebA/Img/img_align_celeba").glob("*.jpg"))[:12]:
        shutil.copy(path, folder)
    first, second, third, fourth = sorted(folder.glob("*.jpg"))[:4]
    shutil.copy(first, folder / "z-copy.jpg")
    image = cv2.imread(str(second))
    half = cv2.resize(image, None, fx=0.7, fy=0.7, interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(folder / "z-small.jpg"), half, (cv2.IMWRITE_JPEG_QUALITY, 40))
    brighter = cv2.convertScaleAbs(cv2.imread(str(third)), alpha=1.1, beta=10)
    cv2.imwrite(str(folder / "z-bright.png"), brighter)
    (folder / "z-broken.jpg").write_bytes(b"no image at all")
    data = fourth.read_bytes()
    (folder / "z-cut.jpg").write_bytes(data[: len(data) * 2 // 3])
    return folder, [p.stem for p in (first, second, third)]


def test_copies_are_listed_with_their_partner_and_nothing_is_deleted(photographs, tmp_path):
    folder, (first, second, third) = photographs
    summary = stills(folder, tmp_path)
    table = find_duplicates(tmp_path)
    assert as_pairs(table) == {
        ("Portraits/z-copy", "identical", f"Portraits/{first}"),
        ("Portraits/z-small", "near", f"Portraits/{second}"),
        ("Portraits/z-bright", "near", f"Portraits/{third}"),
        ("Portraits/z-broken", "unreadable", ""),
        ("Portraits/z-cut", "truncated", ""),
    }
    pd.testing.assert_frame_equal(read_frames(tmp_path), summary.frames)
    assert all((tmp_path / p).is_file() for p in summary.faces["path"])
    pd.testing.assert_frame_equal(read_duplicates(tmp_path), table)
    by_item = table.set_index("item")["path"]
    assert by_item["Portraits/z-broken"] == str(folder / "z-broken.jpg")


def test_crops_added_after_ffpp_clean_are_a_limitation(photographs, world, tmp_path):
    stills(photographs[0], tmp_path)
    assert any("ffpp-clean was not run" in text for text in not_known(Dataset.read(tmp_path)))
    find_duplicates(tmp_path)
    assert not any("clean" in text for text in not_known(Dataset.read(tmp_path)))
    stills(world / "CelebA-HQ", tmp_path, "CelebA-HQ")
    assert any(
        "created since ffpp-clean was run" in text for text in not_known(Dataset.read(tmp_path))
    )


def test_the_result_does_not_depend_on_workers_or_cached_features(photographs, tmp_path):
    stills(photographs[0], tmp_path)
    table = find_duplicates(tmp_path, workers=2)
    measured = {p: p.stat().st_mtime_ns for p in (tmp_path / "measured").rglob("*.npz")}
    assert measured
    pd.testing.assert_frame_equal(find_duplicates(tmp_path), table)
    assert {p: p.stat().st_mtime_ns for p in measured} == measured


def test_an_unreadable_crop_is_listed(photographs, tmp_path):
    faces = stills(photographs[0], tmp_path).faces
    (tmp_path / faces["path"][5]).write_bytes(b"spoilt")
    item = "/".join(faces["face_id"][5].split("/")[0:3:2])
    assert (item, "unreadable", "") in as_pairs(find_duplicates(tmp_path))


def test_an_unreadable_crop_is_in_no_manifest(world, dataset, tmp_path):
    folder = tmp_path / "dataset"
    shutil.copytree(dataset, folder)
    path = "faces/CelebA/still/000003.png"
    (folder / path).write_bytes(b"spoilt")
    find_duplicates(folder)
    settings = SplitSettings("multiclass", ratios=(50, 25, 25))
    manifest = make_manifest(folder, tmp_path / "m", settings)
    paths = {p for s in SPLITS for p in manifest.samples(s)["path"]}
    assert path in set(read_faces(folder)["path"])
    assert path not in paths


def test_whole_stills_are_compared_too(photographs, tmp_path):
    folder, (first, second, _) = photographs
    stills(folder, tmp_path, settings=StillSettings(whole=True))
    pairs = as_pairs(find_duplicates(tmp_path))
    assert ("Portraits/z-copy", "identical", f"Portraits/{first}") in pairs
    assert ("Portraits/z-small", "near", f"Portraits/{second}") in pairs


def test_a_photograph_in_two_sizes_in_two_sets_is_a_near_duplicate(world, tmp_path):
    """Of the demo's CelebA-HQ, eight show photographs of its CelebA."""
    for category in ("CelebA", "CelebA-HQ"):
        stills(world / category, tmp_path, category)
    near = find_duplicates(tmp_path).query("kind == 'near'")
    found = {frozenset((row.item, row.partner)) for row in near.itertuples()}
    small = {p.stem for p in (world / "CelebA/Img/img_align_celeba").glob("*.jpg")}
    large = {p.stem for p in (world / "CelebA-HQ").glob("*.jpg")}
    expected = {frozenset((f"CelebA/{n}", f"CelebA-HQ/{n}")) for n in small & large}
    assert len(expected) == 8
    assert len(expected & found) >= 4  # drawn faces differ more than photographs


def test_stills_with_different_crops_are_identical_if_their_files_are(photographs, tmp_path):
    """Harmonised stills of one photograph have different crops under each name."""
    folder, (first, *_) = photographs
    stills(folder, tmp_path)
    faces = read_faces(tmp_path)
    copy = faces["path"].str.contains("z-copy")
    faces.loc[copy, "sha256"] = "another"
    faces.to_parquet(tmp_path / "faces.parquet")
    assert ("Portraits/z-copy", "identical", f"Portraits/{first}") in as_pairs(
        find_duplicates(tmp_path)
    )


def test_clips_are_identical_only_if_all_their_crops_are(ffpp, dataset, tmp_path):
    assert clean_of_clips(
        dataset, tmp_path
    ).empty  # fakes and their originals, and neighbouring frames, are no duplicates
    root = tmp_path / "ffpp"
    videos = root / "original_sequences/youtube/c23/videos"
    videos.mkdir(parents=True)
    original = sorted((ffpp / "original_sequences/youtube/c23/videos").glob("*.mp4"))[0]
    for name in ("100", "200"):
        shutil.copy(original, videos / f"{name}.mp4")
    extract_dataset(families(root, find_clips(root)), tmp_path / "d", SETTINGS)
    assert as_pairs(find_duplicates(tmp_path / "d")) == {
        ("Youtube/200", "identical", "Youtube/100")
    }


def clean_of_clips(dataset, tmp_path):
    folder = tmp_path / "clips"
    folder.mkdir()
    frames = read_frames(dataset)
    frames[frames["compression"] != "still"].to_parquet(folder / "frames.parquet")
    shutil.copy(dataset / "faces.parquet", folder)
    shutil.copytree(dataset / "faces", folder / "faces")
    return find_duplicates(folder)


def clip_crops(category, clip, *crops, compression="c23"):
    """Crops of a clip: (frame, content of the file)."""
    return [
        {
            "item": f"{category}/{clip}",
            "category": category,
            "clip": clip,
            "compression": compression,
            "face_id": f"{category}/{compression}/{clip}/{frame:06d}",
            "sha256": content,
        }
        for frame, content in crops
    ]


@pytest.mark.parametrize(
    ("clips", "expected"),
    [
        ([("Youtube", "000", (0, "a"), (9, "b")), ("Youtube", "001", (0, "a"), (9, "b"))], True),
        ([("Youtube", "000", (0, "a"), (9, "b")), ("Youtube", "001", (0, "a"))], False),
        ([("Youtube", "000", (0, "a"), (9, "b")), ("Youtube", "001", (0, "a"), (5, "b"))], False),
        ([("Youtube", "000", (0, "a")), ("FaceSwap", "000_001", (0, "a"))], False),
        ([("FaceSwap", "000_001", (0, "a")), ("Deepfakes", "000_001", (0, "a"))], False),
        ([("FaceSwap", "000_001", (0, "a")), ("Deepfakes", "002_003", (0, "a"))], True),
        ([("DFDC-fake", "abc", (0, "a")), ("DFDC-fake", "xyz", (0, "a"))], True),
    ],
    ids=[
        "all crops equal",
        "one crop more",
        "another frame",
        "a fake and its original",
        "two fakes of one original",
        "fakes of two originals",
        "clips whose names give no original",
    ],
)
def test_which_clips_are_identical(clips, expected):
    faces = pd.DataFrame([row for clip in clips for row in clip_crops(*clip)])
    found = [(row.item, row.partner) for row in dedupe._identical_clips(faces)]
    first, second = sorted(f"{category}/{name}" for category, name, *_ in clips)
    assert found == ([(second, first)] if expected else [])


def test_the_partner_is_the_first_of_the_category_and_for_that_one_the_first_of_all():
    items = pd.Series(["B/2", "A/1", "B/1", "C/1"])
    found = dedupe._identical(items, pd.Series(["x", "x", "x", "y"]), items)
    assert [(row.item, row.partner) for row in found] == [("B/1", "A/1"), ("B/2", "B/1")]


@pytest.mark.parametrize(
    ("detector", "bits", "apart", "expected"),
    [
        ("hog", 50, 0.25, True),
        ("hog", 50, 0.35, False),
        ("hog", 60, 0.0, False),
        ("none", 20, 9.0, True),
        ("none", 21, 0.0, False),
    ],
)
def test_near_duplicates_need_near_hashes_and_faces_but_whole_stills_only_hashes(
    monkeypatch, tmp_path, detector, bits, apart, expected
):
    def features(_, rows, feature, measure, width, workers):
        values = np.zeros((len(rows), width), np.float32)
        second = (rows["item"] == "A/2").to_numpy()
        values[second, : bits if feature == "hash" else 1] = 1 if feature == "hash" else apart
        return values

    monkeypatch.setattr(dedupe, "cached_features", features)
    stills = pd.DataFrame({"item": ["A/2", "A/1"], "path": ["2.png", "1.png"]})
    unreadable, found, pairs = dedupe._near_stills(tmp_path, stills.assign(detector=detector), 1)
    row = ("A/2", "near", "A/1", round(bits / BITS, 4), "2.png")
    assert unreadable == []
    assert [tuple(r) for r in found.to_numpy()] == ([row] if expected else [])
    assert pairs == len(found)


def test_memory_grows_with_the_number_of_similar_stills_not_of_their_pairs(monkeypatch, tmp_path):
    def features(_, rows, feature, measure, width, workers):
        return np.zeros((len(rows), width), np.float32)

    monkeypatch.setattr(dedupe, "cached_features", features)
    monkeypatch.setattr(hamming_pairs, "BLOCK", 2**16)
    names = [f"A/{i:04d}" for i in range(1500)]
    stills = pd.DataFrame({"item": names, "path": names, "detector": "none"})
    tracemalloc.start()
    _, found, pairs = dedupe._near_stills(tmp_path, stills, 1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert pairs == 1500 * 1499 // 2
    assert len(found) == 20 * 1500 - 210
    assert peak < 60e6  # a row for each pair would be 400 MB


def test_a_manifest_excludes_copies_and_keeps_duplicates_in_one_split(world, tmp_path):
    """One photograph under three names in CelebA; another in CelebA and CelebA-HQ."""
    root = tmp_path / "CelebA/Img/img_align_celeba"
    shutil.copytree(world / "CelebA/Img/img_align_celeba", root)
    names = sorted(p.stem for p in root.glob("*.jpg"))
    for copy in ("900001", "900002"):
        shutil.copy(root / f"{names[0]}.jpg", root / f"{copy}.jpg")
    data = tmp_path / "dataset"
    extract_still_dataset(find_stills(tmp_path / "CelebA", "CelebA"), data)
    extract_still_dataset(find_stills(world / "CelebA-HQ", "Other", "fake"), data)
    assert len(find_duplicates(data).query("kind == 'identical'")) == 2
    (tmp_path / "r.toml").write_text(
        'rule = "grouped"\nmode = "binary"\nratios = [2, 1, 1]\n'
        '[classes]\nfake = ["Other"]\nreal = ["CelebA"]\n'
    )
    settings = SplitSettings(recipe=str(tmp_path / "r.toml"))
    manifest = make_manifest(data, tmp_path / "m", settings)
    splits = {clip: s for s in SPLITS for clip in manifest.samples(s)["clip"]}
    assert not {"900001", "900002"} & set(splits)
    assert not manifest.info["audit"]["leaks"]


def test_duplicate_photographs_in_real_data_are_found(real_data, tmp_path):
    for category in ("CelebA", "CelebA-HQ"):
        stills(real_data / "data" / category, tmp_path, category)
    found = as_pairs(find_duplicates(tmp_path, workers=2))
    own = {p.stem for p in (real_data / "data/CelebA/Img/img_align_celeba").glob("*.jpg")}
    both = own & {p.stem for p in (real_data / "data/CelebA-HQ").glob("*.jpg")}
    assert len(both) == 12
    across = {frozenset((i, p)) for i, kind, p in found if kind == "near"}
    assert {frozenset((f"CelebA/{n}", f"CelebA-HQ/{n}")) for n in both} <= across
    assert len(across) == 14  # CelebA itself contains two photographs twice
