"""Speed of a DCGAN training step with one backward pass for both networks instead of two.

    python benchmarks/gan.py [--size 64] [--filters 64] [--turns 8]

The alternative is the usual TensorFlow code: a gradient tape and an Adam optimizer for each
network, in one compiled function. Both train the same networks on the same batch, in turns.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

from classify.gan.dcgan import GENERATED, GENERATOR, REAL, build_dcgan
from classify.gan.settings import GanSettings

BATCH = 64


def two_passes(settings: GanSettings) -> Callable[[np.ndarray, np.ndarray], None]:
    """Return a training step with a tape and an optimizer for each network."""
    model = build_dcgan(settings)
    adams = [keras.optimizers.Adam(settings.learning_rate, settings.beta_1) for _ in range(2)]
    networks = (model.generator, model.discriminator)
    for adam, network in zip(adams, networks, strict=True):
        adam.build(network.trainable_variables)
    entropy = keras.losses.BinaryCrossentropy(from_logits=True)

    @tf.function
    def step(images: tf.Tensor, noise: tf.Tensor) -> None:
        images = tf.cast(images, tf.float32) / 127.5 - 1
        with tf.GradientTape() as generator_tape, tf.GradientTape() as discriminator_tape:
            generated = model.generator(noise, training=True)
            generated_logits = model.discriminator(generated, training=True)
            real_logits = model.discriminator(images, training=True)
            generator_loss = entropy(tf.ones_like(generated_logits), generated_logits)
            discriminator_loss = entropy(tf.ones_like(real_logits), real_logits)
            discriminator_loss += entropy(tf.zeros_like(generated_logits), generated_logits)
        losses = (generator_loss, discriminator_loss)
        tapes = (generator_tape, discriminator_tape)
        for adam, network, loss, tape in zip(adams, networks, losses, tapes, strict=True):
            weights = network.trainable_variables
            adam.apply(tape.gradient(loss, weights), weights)

    return step


def one_pass(settings: GanSettings) -> Callable[[np.ndarray, np.ndarray], None]:
    """Return this project's training step."""
    model = build_dcgan(settings)
    ones = np.ones((BATCH, 1), np.float32)
    targets = {REAL: ones, GENERATED: 0 * ones, GENERATOR: ones}
    return lambda images, noise: model.train_on_batch((images, noise), targets)


def main() -> None:
    """Measure both steps and print the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--filters", type=int, default=64)
    parser.add_argument("--turns", type=int, default=8)
    options = parser.parse_args()
    settings = GanSettings(size=options.size, filters=options.filters)
    rng = np.random.default_rng(0)
    shape = (BATCH, options.size, options.size, 3)
    images = rng.integers(0, 256, shape, np.uint8)
    noise = rng.standard_normal((BATCH, settings.latent), np.float32)
    steps = {"one pass": one_pass(settings), "two passes": two_passes(settings)}
    took: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(options.turns + 1):
        for name, step in steps.items():
            start = time.perf_counter()
            step(images, noise)
            if turn:  # the first turn includes compilation
                took[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(values) for name, values in took.items()}
    for name, median in medians.items():
        print(f"{name}: {BATCH / median:.1f} images/s")
    print(f"one pass / two passes: {medians['two passes'] / medians['one pass']:.2f}")


if __name__ == "__main__":
    main()
