"""Training steps of the DCGAN."""

import dataclasses

import keras
import numpy as np
import pytest

from classify.gan.dcgan import GENERATED, GENERATOR, REAL, build_dcgan, compile_for_here
from tests.helpers.gans import TINY_GAN, batch


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="TensorFlow's own gradients")
def test_each_loss_moves_its_own_network_only():
    import tensorflow as tf

    model = build_dcgan(TINY_GAN)
    (pictures, noise), y = batch(TINY_GAN)
    with tf.GradientTape() as tape:
        total = model.compute_loss(y=y, y_pred=model((pictures, noise), training=True))
    of_both = tape.gradient(total, model.trainable_variables)

    def entropy(logits, real):
        return tf.reduce_mean(
            tf.nn.sigmoid_cross_entropy_with_logits(real * tf.ones_like(logits), logits)
        )

    # The textbook: two networks, two losses, two tapes.
    again = build_dcgan(TINY_GAN)
    real = tf.cast(pictures, tf.float32) / 127.5 - 1
    with tf.GradientTape() as of_critic, tf.GradientTape() as of_generator:
        made = again.generator(noise, training=True)
        on_made = again.discriminator(made, training=True)
        on_real = again.discriminator(real, training=True)
        generator_loss = entropy(on_made, 1.0)
        critic_loss = entropy(on_real, 1.0) + entropy(on_made, 0.0)
    wanted = [
        *of_generator.gradient(generator_loss, again.generator.trainable_variables),
        *of_critic.gradient(critic_loss, again.discriminator.trainable_variables),
    ]
    assert len(wanted) == len(of_both)
    for mine, textbook in zip(of_both, wanted, strict=True):
        np.testing.assert_allclose(mine, textbook, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize(
    ("still", "learns"), [("generator", (REAL, GENERATED)), ("discriminator", (GENERATOR,))]
)
def test_either_network_learns_against_one_that_stands_still(still, learns):
    model = build_dcgan(dataclasses.replace(TINY_GAN, learning_rate=0.01))
    x, y = batch(TINY_GAN)
    for _ in range(30):  # so that the discriminator has something to say
        model.train_on_batch(x, y)
    getattr(model, still).trainable = False
    compile_for_here(model, TINY_GAN, keras.optimizers.Adam(0.01, 0.5))
    kept = getattr(model, still).get_weights()[0].copy()
    losses = []
    for _ in range(60):
        model.reset_metrics()
        step = model.train_on_batch(x, y, return_dict=True)
        losses.append(sum(float(step[f"{name}_loss"]) for name in learns))
    assert losses[-1] < 0.8 * losses[0]
    np.testing.assert_array_equal(getattr(model, still).get_weights()[0], kept)
