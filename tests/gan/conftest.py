"""A short training run of a DCGAN, shared by several test files."""

import pytest

from classify.gan.train import train
from tests.helpers.gans import TINY_GAN


@pytest.fixture(scope="session")
def faces(world):
    """The synthetic photographs."""
    return world / "CelebA"


@pytest.fixture(scope="session")
def run(faces, tmp_path_factory):
    """A short training run without interruption."""
    return train(faces, tmp_path_factory.mktemp("gans") / "whole", TINY_GAN)
