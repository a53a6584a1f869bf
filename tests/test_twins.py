import cv2
import numpy as np
import pytest

from ffpp_tools import decode, demux, twins
from ffpp_tools.detect import FindSettings, coarse_to_fine, load, search
from ffpp_tools.layout import find_clips
from ffpp_tools.picture import Picture
from tests.test_decode import full_decode, write

HOG = load("hog")


def kept(image, compression="c23"):
    """The copy of an original's frame with the faces found in it."""
    picture = Picture(image)
    return twins.keep(picture, coarse_to_fine(picture, HOG), 0, compression)


def pictures(clip, indices):
    return [f.picture for f in decode.frames(demux.probe(clip.path), indices)]


@pytest.mark.slow
def test_a_fakes_frames_show_what_its_originals_show(ffpp):
    originals = {c.name: c for c in find_clips(ffpp, ["Youtube"])}
    fakes = [c for c in find_clips(ffpp) if c.label == "fake"]
    assert {c.category for c in fakes} == {"Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures"}
    cut = 0
    for clip in fakes:
        (fake,) = pictures(clip, [10])
        (own,), (others,) = (
            pictures(originals[name], [10]) for name in (clip.target_id, clip.source_id)
        )
        twin = twins.match(fake, kept(own.image))
        (face,), (found,) = twin.faces, coarse_to_fine(fake, HOG)
        assert face.box_from == "twin"
        assert face.box.overlap(found.box) > 0.5
        assert not twin.unchanged(face.box, clip.category, "c23"), clip
        assert twins.match(fake, kept(others.image)) is None
        cut += fake.width < own.width
    assert cut, "some of the demo's Face2Face and NeuralTextures are cut at the sides"


def test_a_frame_from_another_moment_is_no_twin_once_the_head_has_moved(ffpp):
    clip = find_clips(ffpp, ["Youtube"])[3]  # of all the one whose head moves most
    frames = [p.image for p in pictures(clip, range(0, 40, 2))]
    copy = kept(frames[0])
    start = copy.faces[0].box
    matched = []
    for image in frames:
        now = coarse_to_fine(Picture(image), HOG)[0].box
        away = np.hypot(now.centre[0] - start.centre[0], now.centre[1] - start.centre[1])
        matched.append((away / start.side, twins.match(Picture(image), copy) is not None))
    assert matched[0][1]
    moved = [matches for away, matches in matched if away > 0.2]
    assert moved
    assert not any(moved)


@pytest.mark.parametrize("shift", [(40, 0), (0, 30)])
def test_a_cut_that_is_not_the_known_one_is_no_twin(ffpp, shift):
    (picture,) = pictures(find_clips(ffpp, ["Youtube"])[0], [0])
    copy, image = kept(picture.image), picture.image
    height, width = image.shape[:2]
    x, y = shift
    middle = image[y // 2 : height - y // 2, x // 2 : width - x // 2]
    (known,) = copy.faces
    (face,) = twins.match(Picture(np.ascontiguousarray(middle)), copy).faces
    assert (face.box.x, face.box.y) == (known.box.x - x // 2, known.box.y - y // 2)
    assert (face.box.width, face.box.height) == (known.box.width, known.box.height)
    edge = np.ascontiguousarray(image[y:, x:])
    assert twins.match(Picture(edge), copy) is None
    larger = cv2.copyMakeBorder(image, 8, 8, 8, 8, cv2.BORDER_REPLICATE)
    assert twins.match(Picture(larger), copy) is None
    resized = cv2.resize(image, (width - 64, height - 32))
    assert twins.match(Picture(resized), copy) is None


def test_a_frame_that_is_all_face_proves_nothing():
    noise = np.random.default_rng(0).integers(0, 256, (100, 100, 3), dtype=np.uint8)
    picture = Picture(noise)
    face = twins.Face(twins.Box(0, 0, 100, 100), 1.0)
    assert twins.match(picture, twins.keep(picture, [face], 0, "c23")) is None


@pytest.mark.parametrize(("compression", "crf"), [("raw", 0), ("c23", 23), ("c40", 40)])
@pytest.mark.parametrize("number", range(3))
def test_unchanged_faces_are_told_from_changed_ones(ffpp, tmp_path, number, compression, crf):
    """A FaceSwap whose generator failed now and then and left the original's frame as it is."""
    fake = find_clips(ffpp, ["FaceSwap"])[number]
    (original,) = (c for c in find_clips(ffpp, ["Youtube"]) if c.name == fake.target_id)
    forged = full_decode(fake.path)
    rng = np.random.default_rng(0)  # so that the source is not what an encoder made
    own = [
        np.clip(image + rng.normal(0, 1, image.shape), 0, 255).astype(np.uint8)
        for image in full_decode(original.path)[: len(forged)]
    ]
    changed = [i // 8 % 2 == 1 for i in range(len(forged))]
    mixed = [forged[i] if changed[i] else own[i] for i in range(len(forged))]
    # x264's macroblock tree reads memory that it has not written: noise differs between runs.
    x264 = {"crf": str(crf), "x264-params": "no-mbtree=1:threads=1"}
    first = full_decode(write(tmp_path / "own.mp4", own, **x264))
    second = full_decode(write(tmp_path / "mixed.mp4", mixed, **x264))
    told = {"FaceSwap": [], "NeuralTextures": []}
    for a, b in zip(first, second, strict=True):
        twin = twins.match(Picture(b), kept(a, compression))
        for category, answers in told.items():
            answers.append(twin.unchanged(twin.faces[0].box, category, compression))
    wrong = np.array(told["FaceSwap"]) == changed
    assert not (wrong & changed).any(), "a changed face called unchanged"
    assert wrong.mean() <= (0.15 if compression == "c40" else 0)
    careful = np.array(told["NeuralTextures"])
    assert not (careful & changed).any()
    assert careful.any() or compression != "raw"


def test_a_small_part_of_a_face_that_was_changed_is_enough():
    """The noise is that of the worst window, not of the whole face."""
    plain = np.full((twins.FACE_SIDE,) * 2, 100, np.uint8)
    assert twins.noise(plain, plain + 10) == pytest.approx(10)
    corner = plain.copy()
    corner[4:20, 4:20] += 60
    assert twins.noise(plain, corner) == twins.noise(corner, plain) > 30


def test_a_box_elsewhere_is_not_judged_by_the_originals_face(ffpp):
    (picture,) = pictures(find_clips(ffpp, ["Youtube"])[0], [0])
    twin = twins.match(picture, kept(picture.image))
    assert twin.unchanged(twin.faces[0].box, "Deepfakes", "c23")
    assert not twin.unchanged(twins.Box(0, 0, 30, 30), "Deepfakes", "c23")


def test_the_worse_of_two_compressions_sets_the_limit(ffpp):
    (picture,) = pictures(find_clips(ffpp, ["Youtube"])[0], [0])
    noise = np.random.default_rng(1).normal(0, 25, picture.image.shape)
    noisy = np.clip(picture.image + noise, 0, 255).astype(np.uint8)
    box = kept(picture.image).faces[0].box
    against = {c: twins.match(Picture(noisy), kept(picture.image, c)) for c in ("c23", "c40")}
    level = twins.noise(against["c23"].original.patches[0], against["c23"].patches[0])
    assert twins.MAX_NOISE["c23"] < level < twins.MAX_NOISE["c40"]
    assert not against["c23"].unchanged(box, "Face2Face", "c23")
    assert against["c23"].unchanged(box, "Face2Face", "c40")
    assert against["c40"].unchanged(box, "Face2Face", "c23")
    assert against["c23"].unchanged(box, "FaceSwap", "c23")


@pytest.mark.slow
def test_on_real_clips_every_fake_matches_and_none_is_called_unchanged(real_data):
    root = real_data / "data/FaceForensics++"
    originals = {c.name: c for c in find_clips(root, ["Youtube"])}
    methods = ["Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures"]
    copies = {}
    for name, clip in originals.items():
        video = demux.probe(clip.path)
        for frame in decode.frames(video, range(0, video.n_frames, 25)):
            faces = search(frame.picture, FindSettings())
            copies[name, frame.index] = twins.keep(frame.picture, faces, 0, "c40")
    judged = 0
    for clip in find_clips(root, methods):
        video = demux.probe(clip.path)
        for frame in decode.frames(video, range(0, video.n_frames, 25)):
            wrong = copies.get((clip.source_id, frame.index))
            assert wrong is None or twins.match(frame.picture, wrong) is None
            copy = copies.get((clip.target_id, frame.index))
            if copy:
                twin = twins.match(frame.picture, copy)
                assert twin, (clip, frame.index)
                assert not any(twin.unchanged(f.box, clip.category, "c40") for f in twin.faces), (
                    clip,
                    frame.index,
                )
                judged += 1
    assert judged == 567
