"""Crop windows, alignment and saved crops."""

import hashlib
from types import SimpleNamespace

import cv2
import face_recognition
import numpy as np
import pytest

from ffpp_tools.demo.face import Expression, Person, Portrait
from ffpp_tools.errors import FfppError, SettingsError
from ffpp_tools.faces import crop
from ffpp_tools.faces.crop import CropSettings, Window, cut, save, window
from ffpp_tools.faces.detect import Box, FindSettings, coarse_to_fine, load
from ffpp_tools.video.image import Picture


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
def test_squares_are_shifted_inside_and_shrunk_only_if_necessary(box, expected):
    assert window(box, CropSettings(margin=1.3), 400, 300) == expected


@pytest.mark.parametrize(
    ("margin", "box", "expected"),
    [
        (1.0, Box(10, 20, 50, 70), Window(10, 20, 50, 70, clamped=False)),
        (2.0, Box(10, 20, 50, 60), Window(0, 0, 85, 110, clamped=True)),
    ],
)
def test_a_box_shaped_window_is_the_box_times_the_margin(margin, box, expected):
    assert window(box, CropSettings(margin=margin, shape="box"), 400, 300) == expected


def test_a_crop_contains_the_pixels_of_its_window():
    image = np.arange(300 * 400 * 3, dtype=np.uint32).reshape(300, 400, 3).astype(np.uint8)
    pixels, _ = cut(Picture(image), Box(100, 100, 100, 100), CropSettings())
    np.testing.assert_array_equal(pixels, image[85:215, 85:215])


def test_saved_pixels_are_read_back_and_the_hash_is_the_files(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (33, 21, 3), dtype=np.uint8)
    path = tmp_path / "a/b/c.png"
    digest = save(path, image)
    np.testing.assert_array_equal(cv2.imread(str(path))[..., ::-1], image)
    assert digest == hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_error_on_an_unwritable_path_names_it(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(FfppError, match=r"file/x.png"):
        save(tmp_path / "file" / "x.png", np.zeros((4, 4, 3), np.uint8))


@pytest.mark.parametrize(
    "settings", [{"margin": 0.0}, {"margin": 50}, {"shape": "round"}, {"min_face": -1}]
)
def test_invalid_crop_settings_are_rejected(settings):
    with pytest.raises(SettingsError):
        CropSettings(**settings)


# Where DeepfakeBench puts the eyes' centres in its crops of 256 pixels, margin 1.3.
LEFT_EYE, RIGHT_EYE = (96.86, 120.43), (158.82, 120.08)


@pytest.mark.parametrize("angle", [-20, 0, 15])
@pytest.mark.parametrize("size", [200, 700])
def test_aligned_crops_have_the_eyes_at_fixed_positions(angle, size):
    portrait = Portrait(Person.drawn(3), size)
    drawn = portrait.render(Expression()).astype(np.uint8)
    turn = cv2.getRotationMatrix2D((size / 2, size / 2), angle, 1)
    image = cv2.warpAffine(drawn, turn, (size, size), borderMode=cv2.BORDER_REPLICATE)
    (face,) = coarse_to_fine(Picture(image), load(FindSettings()))
    pixels, where = cut(Picture(image), face.box, CropSettings(align=True))
    assert pixels.shape == (256, 256, 3)
    (again,) = coarse_to_fine(Picture(pixels), load(FindSettings()))
    for eye, target in zip(eye_centres(pixels, again.box), (LEFT_EYE, RIGHT_EYE), strict=True):
        assert abs(eye - complex(*target)) < 12  # the landmark models differ on synthetic faces
    assert 1.2 * face.box.side < where.width < 2.4 * face.box.side


@pytest.mark.parametrize("distance", [40, 90])
def test_alignment_is_accurate_to_one_pixel(monkeypatch, distance):
    left, right = complex(150, 120), complex(150 + distance, 120 + distance / 3)
    image = np.zeros((300, 400, 3), np.uint8)
    for eye, channel in ((left, 0), (right, 1)):
        cv2.circle(
            image,
            (round(eye.real), round(eye.imag)),
            4,
            [255 * (channel == c) for c in range(3)],
            -1,
        )
    monkeypatch.setattr(crop, "_eyes", lambda *_: (left + 0.5 + 0.5j, right + 0.5 + 0.5j))
    pixels, _ = cut(Picture(image), Box(100, 100, 100, 100), CropSettings(align=True))
    for channel, target in ((0, LEFT_EYE), (1, RIGHT_EYE)):
        y, x = np.argwhere(pixels[..., channel] > 127).mean(axis=0) + 0.5
        assert abs(complex(x, y) - complex(*target)) < 1


def eye_centres(image, box):
    """Centres of the eyes by face_recognition's other landmark model, with 68 points."""
    (points,) = face_recognition.face_landmarks(
        image, [(box.y, box.x + box.width, box.y + box.height, box.x)]
    )
    eyes = (np.mean(points[name], axis=0) for name in ("left_eye", "right_eye"))
    return [complex(*eye) for eye in eyes]


def test_an_aligned_crop_repeats_edge_pixels_outside_the_frame_and_is_clamped():
    size = 300
    portrait = Portrait(Person.drawn(3), size)
    image = portrait.render(Expression()).astype(np.uint8)[: int(0.62 * size)]
    (face,) = coarse_to_fine(Picture(image), load(FindSettings()))
    pixels, where = cut(Picture(image), face.box, CropSettings(margin=2.5, align=True))
    assert where.clamped
    assert np.abs(pixels[-1].astype(int) - pixels[-5]).mean() < 1
    assert pixels[-1].mean() > 0.5 * image[-1].mean()  # not black


@pytest.mark.parametrize(
    ("middle", "clamped"),
    [
        ((150, 150), False),
        ((40, 150), True),
        ((260, 150), True),
        ((150, 40), True),
        ((150, 260), True),
    ],
    ids=["inside", "left", "right", "above", "below"],
)
def test_an_aligned_crop_is_clamped_at_every_edge(monkeypatch, middle, clamped):
    x, y = middle
    monkeypatch.setattr(crop, "_eyes", lambda *_: (complex(x - 20, y), complex(x + 20, y)))
    image = np.zeros((300, 300, 3), np.uint8)
    _, where = cut(Picture(image), Box(x - 50, y - 50, 100, 100), CropSettings(align=True))
    assert where.clamped is clamped
    # The distance of the eyes is a fixed fraction of the square's side: 40 of 165 pixels.
    assert where.width == where.height == round(40 * 256 / (RIGHT_EYE[0] - LEFT_EYE[0]))


def test_shrinking_a_crop_averages_its_pixels(monkeypatch):
    """Fine black and white stripes become grey."""
    image = np.zeros((800, 800, 3), np.uint8)
    image[:, ::2] = 255
    monkeypatch.setattr(crop, "_eyes", lambda *_: (300 + 400j, 500 + 400j))
    for settings in (CropSettings(align=True), CropSettings(size="64x64")):
        pixels, _ = cut(Picture(image), Box(300, 300, 256, 256), settings)
        assert np.abs(pixels.astype(int) - 127).max() < 40


def test_aligned_crops_cannot_be_boxes():
    with pytest.raises(SettingsError, match="square"):
        CropSettings(shape="box", align=True)


def test_crops_are_resized_and_saved_as_jpeg_on_request(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8)
    image = cv2.GaussianBlur(image, (0, 0), 5)
    settings = CropSettings(size="48x32", format="jpg")
    pixels, found = cut(Picture(image), Box(100, 50, 80, 80), settings)
    assert pixels.shape == (32, 48, 3)
    assert (found.width, found.height) == (104, 104)  # in pixels of the frame, before resizing
    path = tmp_path / "a.jpg"
    save(path, pixels)
    assert path.read_bytes()[:3] == b"\xff\xd8\xff"
    assert np.abs(cv2.imread(str(path))[..., ::-1].astype(int) - pixels).mean() < 5


@pytest.mark.parametrize("change", [{"size": "48"}, {"size": "0x5"}, {"format": "gif"}])
def test_invalid_sizes_and_formats_are_rejected(change):
    with pytest.raises(SettingsError, match=next(iter(change))):
        CropSettings(**change)


# dlib's points 37, 44, 30, 49 and 55 in DeepfakeBench's crops of 256 pixels, scale 1.3: its
# template of 112 pixels, with 8 added to x, moved by 0.15 × 256 and shrunk by 1.3.
FIVE_PLACES = [
    (96.870, 120.433),
    (158.825, 120.090),
    (128.044, 155.669),
    (102.592, 191.939),
    (153.899, 191.656),
]


@pytest.mark.parametrize("angle", [0, 25])
@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_five_landmarks_are_mapped_as_deepfakebench_maps_them(monkeypatch, angle, scale):
    """Points that are a similarity of the template end exactly at their places."""
    turn = scale * np.exp(1j * np.radians(angle))
    found = [turn * complex(*place) + complex(90, 20) for place in FIVE_PLACES]
    parts = [SimpleNamespace(x=0, y=0)] * 68
    for number, point in zip((37, 44, 30, 49, 55), found, strict=True):
        parts[number] = SimpleNamespace(x=point.real, y=point.imag)
    shape = SimpleNamespace(parts=lambda: parts)
    monkeypatch.setattr(crop, "landmark_model", lambda points: lambda image, box: shape)
    image = np.zeros((700, 700, 3), np.uint8)
    nose = found[2]
    cv2.circle(image, (round(nose.real), round(nose.imag)), 8, (255, 255, 255), -1)
    settings = CropSettings(align=True, alignment="deepfakebench")
    pixels, where = cut(Picture(image), Box(100, 100, 100, 100), settings)
    assert pixels.shape == (256, 256, 3)
    y, x = np.argwhere(pixels[..., 0] > 127).mean(axis=0)
    assert (x, y) == pytest.approx(FIVE_PLACES[2], abs=0.6 / scale + 0.1)
    assert where.width == round(256 * scale)


def test_deepfakebenchs_crop_is_black_outside_the_frame(monkeypatch):
    image = np.full((150, 120, 3), 200, np.uint8)
    settings = CropSettings(margin=4.0, align=True, alignment="deepfakebench")
    pixels, where = cut(Picture(image), Box(30, 40, 60, 60), settings)
    assert where.clamped
    assert (pixels == 0).all(axis=-1).any()
    assert (pixels == 200).all(axis=-1).any()


def test_an_alignment_applies_to_aligned_crops_only():
    with pytest.raises(SettingsError, match="add `align`"):
        CropSettings(alignment="deepfakebench")
