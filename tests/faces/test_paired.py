"""Matching of frames of fakes to their originals."""

import cv2
import numpy as np
import pytest

from ffpp_tools.faces import paired, unchanged_fakes
from ffpp_tools.faces.detect import FindSettings, coarse_to_fine, find_faces, load
from ffpp_tools.sources.faceforensics import find_clips
from ffpp_tools.video import decode, demux
from ffpp_tools.video.image import Picture

HOG = load(FindSettings())


def reduced(image, compression="c23"):
    """The reduced copy of an original's frame, with the faces detected in it."""
    picture = Picture(image)
    return paired.reduce_original(picture, coarse_to_fine(picture, HOG), 0, compression)


def pictures(clip, indices):
    return [f.picture for f in decode.frames(demux.read_video(clip.path), indices)]


@pytest.mark.slow
def test_frames_of_a_fake_match_those_of_its_original(ffpp):
    originals = {c.name: c for c in find_clips(ffpp, ["Youtube"])}
    fakes = [c for c in find_clips(ffpp) if c.label == "fake"]
    assert {c.category for c in fakes} == {"Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures"}
    cut = 0
    for clip in fakes:
        (fake,) = pictures(clip, [10])
        (own,), (others,) = (
            pictures(originals[name], [10]) for name in (clip.target_id, clip.source_id)
        )
        twin = paired.match(fake, reduced(own.image))
        (face,), (found,) = twin.faces, coarse_to_fine(fake, HOG)
        assert face.box_from == "twin"
        assert face.box.iou(found.box) > 0.5
        assert twin.difference(face.box)[0] > 1, clip
        assert paired.match(fake, reduced(others.image)) is None
        cut += fake.width < own.width
    assert cut, "some of the demo's Face2Face and NeuralTextures are cropped"


def test_a_frame_from_another_moment_does_not_match_after_the_head_moved(ffpp):
    clip = find_clips(ffpp, ["Youtube"])[3]  # the clip with the largest head movement
    frames = [p.image for p in pictures(clip, range(0, 40, 2))]
    copy = reduced(frames[0])
    start = copy.faces[0].box
    matched = []
    for image in frames:
        now = coarse_to_fine(Picture(image), HOG)[0].box
        away = np.hypot(now.centre[0] - start.centre[0], now.centre[1] - start.centre[1])
        matched.append((away / start.side, paired.match(Picture(image), copy) is not None))
    assert matched[0][1]
    moved = [matches for away, matches in matched if away > 0.2]
    assert moved
    assert not any(moved)


@pytest.mark.parametrize("shift", [(40, 0), (0, 30)])
def test_only_a_centre_crop_of_the_original_matches(ffpp, shift):
    (picture,) = pictures(find_clips(ffpp, ["Youtube"])[0], [0])
    copy, image = reduced(picture.image), picture.image
    height, width = image.shape[:2]
    x, y = shift
    middle = image[y // 2 : height - y // 2, x // 2 : width - x // 2]
    (known,) = copy.faces
    (face,) = paired.match(Picture(np.ascontiguousarray(middle)), copy).faces
    assert (face.box.x, face.box.y) == (known.box.x - x // 2, known.box.y - y // 2)
    assert (face.box.width, face.box.height) == (known.box.width, known.box.height)
    edge = np.ascontiguousarray(image[y:, x:])
    assert paired.match(Picture(edge), copy) is None
    larger = cv2.copyMakeBorder(image, 8, 8, 8, 8, cv2.BORDER_REPLICATE)
    assert paired.match(Picture(larger), copy) is None
    resized = cv2.resize(image, (width - 64, height - 32))
    assert paired.match(Picture(resized), copy) is None


def test_a_frame_without_background_does_not_match():
    noise = np.random.default_rng(0).integers(0, 256, (100, 100, 3), dtype=np.uint8)
    picture = Picture(noise)
    face = paired.Face(paired.Box(0, 0, 100, 100), 1.0)
    assert paired.match(picture, paired.reduce_original(picture, [face], 0, "c23")) is None


def test_a_change_in_a_small_part_of_a_face_is_detected():
    """The noise is the maximum over windows, not the mean over the face."""
    plain = np.full((paired.FACE_SIDE,) * 2, 100, np.uint8)
    assert paired.noise(plain, plain + 10) == pytest.approx(10)
    corner = plain.copy()
    corner[4:20, 4:20] += 60
    assert paired.noise(plain, corner) == paired.noise(corner, plain) > 30


def test_a_box_away_from_the_originals_faces_is_not_compared(ffpp):
    (picture,) = pictures(find_clips(ffpp, ["Youtube"])[0], [0])
    twin = paired.match(Picture(picture.image), reduced(picture.image))
    assert twin.difference(twin.faces[0].box) == (0, 0)
    assert np.isnan(twin.difference(paired.Box(0, 0, 30, 30))).all()


def test_the_difference_is_in_grey_levels_and_relative_to_the_faces_contrast(ffpp):
    """A uniform change at half the contrast is half in grey levels and the same relatively."""
    (picture,) = pictures(find_clips(ffpp, ["Youtube"])[0], [0])
    copy = reduced(picture.image)
    box, differences = copy.faces[0].box, {}
    for contrast in (1.0, 0.5):
        own = (picture.image * contrast).astype(np.uint8)
        lighter = own.copy()
        face = np.s_[box.y : box.y + box.height, box.x : box.x + box.width]
        lighter[face] = np.minimum(own[face] + 20 * contrast, 255)
        original = paired.reduce_original(Picture(own), copy.faces, 0, "c23")
        differences[contrast] = paired.match(Picture(lighter), original).difference(box)
    (level, relative), (dark_level, dark_relative) = differences[1.0], differences[0.5]
    assert level == pytest.approx(20, abs=1)
    assert dark_level == pytest.approx(10, abs=1)
    assert dark_relative == pytest.approx(relative, rel=0.05)


@pytest.mark.slow
def test_on_real_clips_every_fake_matches_its_original_and_no_other(real_data):
    root = real_data / "data/FaceForensics++"
    originals = {c.name: c for c in find_clips(root, ["Youtube"])}
    methods = ["Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures"]
    copies = {}
    for name, clip in originals.items():
        video = demux.read_video(clip.path)
        for frame in decode.frames(video, range(0, video.n_frames, 25)):
            faces = find_faces(frame.picture, FindSettings())
            copies[name, frame.index] = paired.reduce_original(frame.picture, faces, 0, "c40")
    least = dict.fromkeys(methods, np.inf)
    compared = 0
    for clip in find_clips(root, methods):
        video = demux.read_video(clip.path)
        for frame in decode.frames(video, range(0, video.n_frames, 25)):
            wrong = copies.get((clip.source_id, frame.index))
            assert wrong is None or paired.match(frame.picture, wrong) is None
            copy = copies.get((clip.target_id, frame.index))
            if copy:
                twin = paired.match(frame.picture, copy)
                assert twin, (clip, frame.index)
                levels = [twin.difference(f.box)[0] for f in twin.faces]
                least[clip.category] = min(least[clip.category], *levels)
                compared += 1
    assert compared == 567
    swaps = [least[method] for method in unchanged_fakes.SWAPS]
    assert min(swaps) > 2 * unchanged_fakes.MAX_DIFFERENCE["c40"]
