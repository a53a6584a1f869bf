import hashlib

import cv2
import numpy as np
import pytest

from ffpp_tools.crop import CropSettings, Window, save_png, window
from ffpp_tools.detect import Box
from ffpp_tools.errors import FfppError, SettingsError


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        (Box(100, 100, 100, 100), Window(85, 85, 130, 130, clamped=False)),
        (Box(100, 110, 100, 80), Window(85, 85, 130, 130, clamped=False)),  # longer side counts
        (Box(0, 100, 100, 100), Window(0, 85, 130, 130, clamped=True)),  # shifted, not shrunk
        (Box(300, 200, 100, 100), Window(270, 170, 130, 130, clamped=True)),
        (Box(50, 20, 290, 270), Window(45, 0, 300, 300, clamped=True)),  # frame is smaller
    ],
)
def test_squares_are_shifted_inside_and_shrunk_only_where_they_must(box, expected):
    assert window(box, CropSettings(margin=1.3), 400, 300) == expected


@pytest.mark.parametrize(
    ("margin", "box", "expected"),
    [
        (1.0, Box(10, 20, 50, 70), Window(10, 20, 50, 70, clamped=False)),
        (2.0, Box(10, 20, 50, 60), Window(0, 0, 85, 110, clamped=True)),
    ],
)
def test_the_papers_bare_box(margin, box, expected):
    assert window(box, CropSettings(margin=margin, shape="box"), 400, 300) == expected


def test_a_crop_holds_the_pixels_of_its_window():
    image = np.arange(300 * 400 * 3, dtype=np.uint32).reshape(300, 400, 3).astype(np.uint8)
    cut = window(Box(100, 100, 100, 100), CropSettings(), 400, 300).cut(image)
    np.testing.assert_array_equal(cut, image[85:215, 85:215])


def test_saved_pixels_come_back_and_the_hash_is_the_files(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (33, 21, 3), dtype=np.uint8)
    path = tmp_path / "a/b/c.png"
    digest = save_png(path, image)
    np.testing.assert_array_equal(cv2.imread(str(path))[..., ::-1], image)
    assert digest == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(FfppError, match=r"file/x.png"):
        save_png(tmp_path / "file" / "x.png", np.zeros((4, 4, 3), np.uint8))


@pytest.mark.parametrize(
    "settings", [{"margin": 0.0}, {"margin": 50}, {"shape": "round"}, {"min_face": -1}]
)
def test_settings_that_make_no_crop_are_refused(settings):
    with pytest.raises(SettingsError):
        CropSettings(**settings)
