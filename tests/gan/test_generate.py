"""Generated faces."""

import json
import shutil

import cv2
import numpy as np
import pytest

from classify.errors import ClassifyError, RunError
from classify.gan.generate import generate, generated_images, noise_of
from classify.gan.run import GanRun
from classify.gan.train import resume
from classify.training.runs import load_model
from tests.helpers.files import hashes
from tests.helpers.gans import TINY_GAN


def test_faces_depend_only_on_generator_seed_and_number(run, tmp_path):
    generate(run, 70, tmp_path / "a")
    generate(run, 3, tmp_path / "b")
    (tmp_path / "b/00000002.png").unlink()
    generate(run, 70, tmp_path / "b")  # the missing face, and more
    assert hashes(tmp_path / "a") == hashes(tmp_path / "b")
    faces = [cv2.imread(str(p)) for p in sorted((tmp_path / "a").glob("*.png"))]
    assert len(faces) == 70
    assert faces[0].shape == (16, 16, 3)
    assert len({face.tobytes() for face in faces}) == 70
    generated = generated_images(load_model(run.generator()), noise_of([3], 0, TINY_GAN.latent))[0]
    np.testing.assert_array_equal(faces[2][..., ::-1], generated)
    assert not np.array_equal(noise_of([3], 0, 8), noise_of([3], 1, 8))
    record = json.loads((tmp_path / "a/generated.json").read_text())
    assert (record["epochs"], record["seed"], record["trained_on"]) == (4, 0, run.count)
    with pytest.raises(
        ClassifyError, match="holds other files, or faces of another generator or seed"
    ):
        generate(run, 3, tmp_path / "a", seed=1)
    with pytest.raises(RunError, match="saved for the epochs 2, 4"):
        generate(run, 3, tmp_path / "c", epoch=3)


@pytest.mark.slow
def test_faces_of_an_early_generator_are_added_after_the_run_resumed(run, tmp_path):
    folder = shutil.copytree(run.folder, tmp_path / "r")
    generate(GanRun.read(folder), 3, tmp_path / "early", epoch=2)
    record = json.loads((tmp_path / "early/generated.json").read_text())
    assert (record["epochs"], record["remarks"]) == (2, run.remarks(2))
    resume(folder, epochs=5)
    generate(GanRun.read(folder), 5, tmp_path / "early", epoch=2)
    assert len(list((tmp_path / "early").glob("*.png"))) == 5
    with pytest.raises(
        ClassifyError, match="holds other files, or faces of another generator or seed"
    ):
        generate(GanRun.read(folder), 5, tmp_path / "early")
