"""Training steps of the DCGAN."""

import dataclasses

import keras
import numpy as np
import pytest

from classify.gan.dcgan import GENERATED, GENERATOR, REAL, build_dcgan, compile_for_here
from tests.helpers.gans import TINY_GAN, batch


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="TensorFlow's own gradients")
def test_each_loss_trains_only_its_own_network():
    import tensorflow as tf

    model = build_dcgan(TINY_GAN)
    (images, noise), y = batch(TINY_GAN)
    with tf.GradientTape() as tape:
        total = model.compute_loss(y=y, y_pred=model((images, noise), training=True))
    gradients = tape.gradient(total, model.trainable_variables)

    def entropy(logits, real):
        return tf.reduce_mean(
            tf.nn.sigmoid_cross_entropy_with_logits(real * tf.ones_like(logits), logits)
        )

    # The textbook algorithm: two networks, two losses, two tapes.
    reference = build_dcgan(TINY_GAN)
    real = tf.cast(images, tf.float32) / 127.5 - 1
    with tf.GradientTape() as of_critic, tf.GradientTape() as of_generator:
        generated = reference.generator(noise, training=True)
        on_generated = reference.discriminator(generated, training=True)
        on_real = reference.discriminator(real, training=True)
        generator_loss = entropy(on_generated, 1.0)
        critic_loss = entropy(on_real, 1.0) + entropy(on_generated, 0.0)
    expected = [
        *of_generator.gradient(generator_loss, reference.generator.trainable_variables),
        *of_critic.gradient(critic_loss, reference.discriminator.trainable_variables),
    ]
    assert len(expected) == len(gradients)
    for mine, textbook in zip(gradients, expected, strict=True):
        np.testing.assert_allclose(mine, textbook, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize(
    ("frozen", "learns"), [("generator", (REAL, GENERATED)), ("discriminator", (GENERATOR,))]
)
def test_each_network_learns_against_a_frozen_one(frozen, learns):
    model = build_dcgan(dataclasses.replace(TINY_GAN, learning_rate=0.01))
    x, y = batch(TINY_GAN)
    for _ in range(30):  # so that the discriminator gives a gradient
        model.train_on_batch(x, y)
    getattr(model, frozen).trainable = False
    compile_for_here(model, TINY_GAN, keras.optimizers.Adam(0.01, 0.5))
    weights = getattr(model, frozen).get_weights()[0].copy()
    losses = []
    for _ in range(60):
        model.reset_metrics()
        step = model.train_on_batch(x, y, return_dict=True)
        losses.append(sum(float(step[f"{name}_loss"]) for name in learns))
    assert losses[-1] < 0.8 * losses[0]
    np.testing.assert_array_equal(getattr(model, frozen).get_weights()[0], weights)
