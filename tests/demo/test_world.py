import cv2
import pytest

from ffpp_tools.demo import draw_world
from ffpp_tools.errors import FfppError
from ffpp_tools.sources.faceforensics import find_clips
from ffpp_tools.sources.stills import find_stills
from ffpp_tools.video import decode, demux
from tests.helpers.faces import found_in
from tests.helpers.files import hashes
from tests.helpers.worlds import PEOPLE


@pytest.mark.slow
def test_the_same_seed_draws_the_same_bytes_with_any_number_of_workers(world, tmp_path):
    again = draw_world(tmp_path / "again", PEOPLE, seconds=1.5, workers=1)
    assert hashes(again) == hashes(world)


def test_dlib_finds_every_drawn_face(ffpp, world):
    for clip in find_clips(ffpp, limit=3):
        for frame in decode.frames(demux.read_video(clip.path), range(0, 30, 10)):
            assert len(found_in(frame.picture.image)) == 1, f"{clip} frame {frame.index}"
    for category in ("CelebA", "CelebA-HQ"):
        for still in find_stills(world / category, category, limit=8):
            assert found_in(cv2.imread(str(still.path))[..., ::-1].copy()), still


def test_stills_have_the_official_sizes_and_an_identity_each(world):
    for category, shape in (("CelebA", (218, 178, 3)), ("CelebA-HQ", (1024, 1024, 3))):
        for still in find_stills(world / category, category):
            assert cv2.imread(str(still.path)).shape == shape
    identities = {s.identity for s in find_stills(world / "CelebA", "CelebA")}
    assert len(identities) == 20
    assert "" not in identities


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"people": 7}, "even"),
        ({"people": 4}, "at least 6"),
        ({"compressions": ["c99"]}, "c99"),
    ],
)
def test_worlds_that_cannot_be_are_refused(tmp_path, arguments, message):
    with pytest.raises(FfppError, match=message):
        draw_world(tmp_path / "w", **arguments)
    assert not (tmp_path / "w").exists()


def test_a_used_folder_is_left_alone(tmp_path):
    (tmp_path / "precious").write_text("mine")
    with pytest.raises(FfppError, match="not empty"):
        draw_world(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["precious"]
