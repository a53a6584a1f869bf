"""The real faces that a DCGAN is trained on."""

import dataclasses
import shutil

import cv2
import numpy as np
import pytest

from classify.errors import PackError
from classify.gan.dcgan import GENERATED, GENERATOR, REAL
from classify.gan.real_faces import ARRAY, GanBatches, find_images
from classify.gan.train import train
from ffpp_tools.sources.stills import images_below
from tests.helpers.gans import TINY_GAN, batches_of


def test_images_are_cropped_to_their_centre_square(run, faces):
    images = np.load(run.folder / ARRAY)
    first = cv2.imread(str(find_images(faces)[0]))[..., ::-1]
    side = min(first.shape[:2])
    top, left = (n // 2 - side // 2 for n in first.shape[:2])
    square = first[top : top + side, left : left + side]
    expected = cv2.resize(square, (16, 16), interpolation=cv2.INTER_AREA)
    np.testing.assert_array_equal(images[0], expected)


def test_a_manifest_gives_only_the_real_faces_of_train(videos_manifest):
    samples = videos_manifest.samples("train")
    real = samples[samples["label"] == "real"]
    found = find_images(videos_manifest.folder)
    assert [p.relative_to(videos_manifest.root).as_posix() for p in found] == list(real["path"])
    assert 0 < len(found) < len(samples)


def test_too_few_or_unreadable_images_are_named(faces, tmp_path):
    with pytest.raises(PackError, match="0 real images found"):
        train(tmp_path, tmp_path / "r", TINY_GAN)
    folder = tmp_path / "some"
    folder.mkdir()
    for number, path in enumerate(images_below(faces)[:17]):
        shutil.copy(path, folder / f"{number:02d}.jpg")
    (folder / "07.jpg").write_bytes(b"no picture")
    with pytest.raises(PackError, match=r"07\.jpg: no readable image; remove it"):
        train(folder, tmp_path / "r", TINY_GAN)
    (folder / "07.jpg").unlink()
    again = train(folder, tmp_path / "r", dataclasses.replace(TINY_GAN, epochs=1))
    assert again.count == len(np.load(again.folder / ARRAY)) == 16


def test_every_batch_is_full_and_has_new_noise(run):
    batches = GanBatches(batches_of(run), TINY_GAN)
    (images, noise), targets = batches[0]
    assert len(batches) == run.count // 8
    assert images.shape == (8, 16, 16, 3)
    assert noise.std() == pytest.approx(1, abs=0.3)
    assert [float(targets[name][0, 0]) for name in (REAL, GENERATED, GENERATOR)] == [1, 0, 1]
    assert not np.shares_memory(
        targets[REAL], targets[GENERATOR]
    )  # TensorFlow may write into either
    np.testing.assert_array_equal(batches[0][0][1], noise)
    others = [batches[1][0][1]]
    others.append(GanBatches(batches_of(run), dataclasses.replace(TINY_GAN, seed=1))[0][0][1])
    batches.epoch = 1
    others.append(batches[0][0][1])
    assert not any(np.array_equal(other, noise) for other in others)
