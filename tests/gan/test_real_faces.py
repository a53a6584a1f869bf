"""The real faces that a DCGAN is trained on."""

import dataclasses
import shutil

import cv2
import numpy as np
import pytest

from classify.errors import PackError
from classify.gan.dcgan import GENERATED, GENERATOR, REAL
from classify.gan.real_faces import ARRAY, GanBatches, find_pictures
from classify.gan.train import train
from ffpp_tools.sources.stills import images_below
from tests.helpers.gans import TINY_GAN, batches_of


def test_pictures_are_the_squares_in_the_middle(run, faces):
    images = np.load(run.folder / ARRAY)
    first = cv2.imread(str(find_pictures(faces)[0]))[..., ::-1]
    side = min(first.shape[:2])
    top, left = (n // 2 - side // 2 for n in first.shape[:2])
    square = first[top : top + side, left : left + side]
    wanted = cv2.resize(square, (16, 16), interpolation=cv2.INTER_AREA)
    np.testing.assert_array_equal(images[0], wanted)


def test_of_a_manifest_only_the_real_faces_of_train_are_shown(videos_manifest):
    samples = videos_manifest.samples("train")
    real = samples[samples["label"] == "real"]
    found = find_pictures(videos_manifest.folder)
    assert [p.relative_to(videos_manifest.root).as_posix() for p in found] == list(real["path"])
    assert 0 < len(found) < len(samples)


def test_pictures_that_are_no_use_are_named(faces, tmp_path):
    with pytest.raises(PackError, match="0 real pictures there"):
        train(tmp_path, tmp_path / "r", TINY_GAN)
    folder = tmp_path / "some"
    folder.mkdir()
    for number, path in enumerate(images_below(faces)[:17]):
        shutil.copy(path, folder / f"{number:02d}.jpg")
    (folder / "07.jpg").write_bytes(b"no picture")
    with pytest.raises(PackError, match=r"07\.jpg: no readable image; take it out"):
        train(folder, tmp_path / "r", TINY_GAN)
    (folder / "07.jpg").unlink()
    again = train(folder, tmp_path / "r", dataclasses.replace(TINY_GAN, epochs=1))
    assert again.count == len(np.load(again.folder / ARRAY)) == 16


def test_every_epoch_shows_other_noise_and_whole_batches(run):
    batches = GanBatches(batches_of(run), TINY_GAN)
    (pictures, noise), said = batches[0]
    assert len(batches) == run.count // 8
    assert pictures.shape == (8, 16, 16, 3)
    assert noise.std() == pytest.approx(1, abs=0.3)
    assert [float(said[name][0, 0]) for name in (REAL, GENERATED, GENERATOR)] == [1, 0, 1]
    assert not np.shares_memory(said[REAL], said[GENERATOR])  # TensorFlow may write into either
    np.testing.assert_array_equal(batches[0][0][1], noise)
    others = [batches[1][0][1]]
    others.append(GanBatches(batches_of(run), dataclasses.replace(TINY_GAN, seed=1))[0][0][1])
    batches.epoch = 1
    others.append(batches[0][0][1])
    assert not any(np.array_equal(other, noise) for other in others)
