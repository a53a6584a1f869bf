"""The report on a DCGAN."""

import numpy as np
import pandas as pd
import pytest

from classify.errors import DownloadError
from classify.gan import report as reporting
from classify.gan.collapse import diversity
from classify.gan.generate import generated_images, noise_of
from classify.training.runs import load_model
from tests.helpers.gans import TINY_GAN, batches_of
from tests.helpers.pages import pictures_in


def test_every_saved_generator_is_evaluated(run, tmp_path, monkeypatch):
    monkeypatch.setattr(reporting, "feature_network", lambda weights: _means())
    monkeypatch.setattr(reporting, "features", lambda network, images: network(images))
    found = reporting.make_report(run, "imagenet")
    assert [k.epochs for k in found.kept] == [2, 4]
    assert found.measured == run.count // 2
    assert all(k.distance > found.floor > 0 for k in found.kept)  # after four epochs: noise
    page = (run.folder / "report/report.html").read_text()
    assert "is not comparable to published FIDs" in " ".join(page.split())
    table = pd.read_csv(run.folder / "report/generators.csv")
    assert table["distance"].tolist() == pytest.approx([k.distance for k in found.kept])


def test_without_weights_there_is_no_distance(run, monkeypatch):
    def none(weights):
        raise DownloadError("no network")

    monkeypatch.setattr(reporting, "feature_network", none)
    found = reporting.make_report(run, "imagenet")
    assert np.isnan([found.floor, *(k.distance for k in found.kept)]).all()
    noise = noise_of(list(range(1, 65)), reporting.SEED, TINY_GAN.latent)
    images = batches_of(run)
    rows = np.random.default_rng(reporting.SEED).permutation(len(images))[:64]
    for one in found.kept:
        generated = generated_images(load_model(run.generator(one.epochs)), noise)
        assert one.diversity == pytest.approx(diversity(generated) / diversity(images[rows]))


def test_generated_faces_are_left_out_on_request(run, monkeypatch):
    monkeypatch.setattr(reporting, "feature_network", lambda weights: _means())
    monkeypatch.setattr(reporting, "features", lambda network, images: network(images))
    found = reporting.make_report(run, "imagenet")
    page = run.folder / "report/report.html"
    course, *faces = sorted(pictures_in(page), key=lambda data: not data.startswith(b"<?xml"))
    assert len(faces) == sum(len(kept.faces) for kept in found.kept)
    reporting.make_report(run, "imagenet", faces=False)
    assert pictures_in(page) == [course]
    assert "Faces are omitted" in page.read_text()


def _means():
    """Mean colours in place of a network's features."""
    return lambda images: images.mean(axis=(1, 2))
