"""Diversity and mode collapse."""

import numpy as np
import pytest

from classify.gan.collapse import GanEpoch, diversity, remarks


def test_diversity_is_the_mean_distance_between_two_images():
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (20, 8, 8, 3)).astype(np.uint8)
    assert diversity(np.repeat(noise[:1], 5, axis=0)) == 0
    # Two independent uniform values differ by 256 / √6 on average (root mean square).
    assert diversity(noise) == pytest.approx(256 / np.sqrt(6), rel=0.02)
    assert diversity(np.concatenate([noise[:1]] * 19 + [noise[1:2]])) < 0.2 * diversity(noise)


@pytest.mark.parametrize(
    ("diverse", "real", "generated", "words"),
    [
        (0.9, 0.8, 0.8, []),
        (0.4, 0.8, 0.8, ["COLLAPSED: after epoch 7 the generated faces are only 40 % as diverse"]),
        (0.9, 0.995, 0.999, ["NOT FOOLED: in epoch 7 the discriminator detected 99.9 %"]),
        (0.9, 0.5, 0.999, []),
    ],
)
def test_collapse_and_a_stalled_generator_are_reported(diverse, real, generated, words):
    row = GanEpoch(
        epoch=6,
        generator_loss=1.0,
        discriminator_loss=1.0,
        real_accuracy=real,
        generated_accuracy=generated,
        diversity=diverse,
        images_per_second=1.0,
        seconds=1.0,
    )
    warnings = remarks(row)
    assert len(warnings) == len(words)
    assert all(text.startswith(word) for text, word in zip(warnings, words, strict=True))
