"""A short training of a DCGAN, which several files look at."""

import pytest

from classify.gan.train import train
from tests.helpers.gans import TINY_GAN


@pytest.fixture(scope="session")
def faces(world):
    """The drawn photographs."""
    return world / "CelebA"


@pytest.fixture(scope="session")
def run(faces, tmp_path_factory):
    """A short training that nobody interrupts."""
    return train(faces, tmp_path_factory.mktemp("gans") / "whole", TINY_GAN)
