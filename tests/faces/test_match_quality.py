import cv2
import numpy as np
import pytest

from ffpp_tools.errors import SettingsError
from ffpp_tools.extraction.pipeline import extract_dataset, extract_still_dataset
from ffpp_tools.extraction.settings import StillSettings
from ffpp_tools.extraction.settings_file import recorded_settings
from ffpp_tools.faces.detect import Box
from ffpp_tools.faces.match_quality import ReferenceFaces, harmonised, reference_faces
from ffpp_tools.sources.faceforensics import families, find_clips
from ffpp_tools.sources.stills import find_stills
from tests.helpers.files import hashes
from tests.helpers.worlds import SETTINGS


@pytest.fixture(scope="module")
def image(world):
    """A drawn still, (H, W, 3) uint8 RGB."""
    path = sorted((world / "CelebA-HQ").glob("*.jpg"))[0]
    return np.ascontiguousarray(cv2.imread(str(path))[..., ::-1])


def face_of(image, side):
    """A face box of the given side in the centre of an image."""
    height, width = image.shape[:2]
    return Box((width - side) // 2, (height - side) // 2, side, side)


def test_only_the_region_around_the_face_of_a_large_photograph_is_scaled():
    """The whole photograph would be 20,000 pixels wide, more than the encoder supports."""
    image = np.zeros((1500, 4000, 3), np.uint8)
    region = harmonised(image, Box(3800, 700, 60, 60), 300, "c40")
    assert max(region.shape) <= 6 * 300


@pytest.mark.parametrize(("side", "wanted"), [(300, 150), (300, 219), (300, 450)])
def test_the_face_is_scaled_to_the_requested_side(image, side, wanted):
    scaled = harmonised(image, face_of(image, side), wanted, "raw")
    assert scaled.shape[0] == pytest.approx(image.shape[0] * wanted / side, abs=1)
    assert scaled.shape[0] % 2 == scaled.shape[1] % 2 == 0


def test_stronger_compression_loses_more_detail(image):
    plain, c23, c40 = (
        harmonised(image, face_of(image, 100), 100, c) for c in ("raw", "c23", "c40")
    )
    loss = [cv2.absdiff(plain, compressed).mean() for compressed in (c23, c40)]
    assert 0 < loss[0] < loss[1] < 6  # the same image at the same position


def test_the_result_for_a_still_is_deterministic(image):
    assert np.array_equal(*(harmonised(image, face_of(image, 90), 60, "c40") for _ in range(2)))
    reference = ReferenceFaces((("c23", 50), ("c23", 60), ("c40", 70)))
    assert {reference.face("CelebA", f"{i:06d}") for i in range(50)} == set(reference.faces)


def test_the_reference_face_depends_on_name_and_category_but_not_on_the_process():
    """Python's own hash, which differs between processes, is not used."""
    reference = ReferenceFaces(tuple(("c23", side) for side in range(100)))
    names = [f"{i:06d}" for i in range(4)]
    assert [reference.face("CelebA", name)[1] for name in names] == [73, 59, 93, 75]
    assert [reference.face("CelebA-HQ", name)[1] for name in names] == [27, 17, 75, 93]


@pytest.fixture
def clips(ffpp, tmp_path):
    """A dataset of the drawn originals."""
    found = find_clips(ffpp, ["Youtube"])
    extract_dataset(families(ffpp, found), tmp_path / "dataset", SETTINGS)
    return tmp_path / "dataset"


def test_stills_get_faces_as_large_as_the_clips(clips, world):
    reference = reference_faces(clips, {})
    assert {compression for compression, _ in reference.faces} == {"c23"}
    found = find_stills(world / "CelebA-HQ", "CelebA-HQ")
    faces = extract_still_dataset(found, clips, StillSettings(harmonise=reference)).faces
    stills = faces["face_id"].str.startswith("CelebA-HQ")
    clip_sides, sides = faces["box_w"][~stills], faces["box_w"][stills]
    assert abs(sides.median() / clip_sides.median() - 1) < 0.15
    plain = extract_still_dataset(found, clips.parent / "plain").faces["box_w"]
    assert abs(plain.median() / clip_sides.median() - 1) > 0.5


def test_a_second_run_uses_the_same_reference_faces_after_clips_are_added(clips, ffpp, world):
    reference = reference_faces(clips, {})
    extract_still_dataset(
        find_stills(world / "CelebA-HQ", "CelebA-HQ", limit=4),
        clips,
        StillSettings(harmonise=reference),
    )
    before = hashes(clips / "faces/CelebA-HQ")
    more = find_clips(ffpp, ["Deepfakes"])
    extract_dataset(families(ffpp, more), clips, SETTINGS)
    again = reference_faces(clips, recorded_settings(clips))
    assert again == reference
    extract_still_dataset(
        find_stills(world / "CelebA-HQ", "CelebA-HQ"), clips, StillSettings(harmonise=again)
    )
    assert before.items() <= hashes(clips / "faces/CelebA-HQ").items()
    with pytest.raises(SettingsError, match=r"different settings \(stills\).*harmonise"):
        extract_still_dataset(find_stills(world / "CelebA", "CelebA"), clips)


def test_harmonising_without_clips_is_an_error(tmp_path, world):
    with pytest.raises(SettingsError, match="run ffpp-extract first"):
        reference_faces(tmp_path, {})
    extract_still_dataset(find_stills(world / "CelebA-HQ", "CelebA-HQ", limit=2), tmp_path)
    with pytest.raises(SettingsError, match="extract Youtube first"):
        reference_faces(tmp_path, {})
