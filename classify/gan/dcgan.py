"""Generator and discriminator as one model, so that Keras trains both in one compiled step."""

from __future__ import annotations

from typing import Any

import keras

from classify.backend import jit_compile
from classify.gan.networks import discriminator, generator
from classify.gan.settings import GanSettings

REAL, GENERATED, GENERATOR = "real", "generated", "generator"


@keras.saving.register_keras_serializable("classify")
class Dcgan(keras.Model):  # type: ignore[misc]
    """Generator and discriminator, with one output of logits for each of the three losses.

    The sum of three losses is minimised. `real` and `generated` train only the discriminator,
    because they treat the generated images as constants. `generator` trains only the generator: its
    logits are

        D(G(z)) - D(stop(G(z))) + stop(D(stop(G(z)))).

    Their value is D(G(z)), and the discriminator's weights cancel out in their gradient. One
    backward pass thus replaces two from the same weights, on any backend. Adam treats each weight
    separately, so one optimizer is equivalent to two with the same settings.
    """

    def __init__(
        self, generator: keras.Model, discriminator: keras.Model, **keras_options: Any
    ) -> None:
        super().__init__(**keras_options)
        self.generator = generator
        self.discriminator = discriminator

    def call(self, inputs: tuple[Any, Any], training: bool = False) -> dict[str, Any]:
        """Return logits of images, (n, size, size, 3) RGB from 0 to 255, and (n, latent) noise."""
        real, noise = inputs
        real = keras.ops.cast(real, "float32") / 127.5 - 1
        generated = self.generator(noise, training=training)
        stop = keras.ops.stop_gradient
        of_constants = self.discriminator(stop(generated), training=training)
        of_generated = self.discriminator(generated, training=training)
        return {
            REAL: self.discriminator(real, training=training),
            GENERATED: of_constants,
            GENERATOR: of_generated - of_constants + stop(of_constants),
        }

    def get_config(self) -> dict[str, Any]:
        """Return the configuration of both networks, for `.keras` files."""
        serialize = keras.saving.serialize_keras_object
        return {
            "generator": serialize(self.generator),
            "discriminator": serialize(self.discriminator),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Dcgan:
        """Return the same model, untrained."""
        deserialize = keras.saving.deserialize_keras_object
        return cls(deserialize(config["generator"]), deserialize(config["discriminator"]))


def build_dcgan(settings: GanSettings) -> Dcgan:
    """Build an untrained pair of networks with its optimizer, determined by the seed."""
    keras.utils.set_random_seed(settings.seed)
    model = Dcgan(
        generator(settings.size, settings.latent, settings.filters),
        discriminator(settings.size, settings.filters),
    )
    images = keras.ops.zeros((2, settings.size, settings.size, 3))
    model((images, keras.ops.zeros((2, settings.latent))))  # creates all weights
    adam = keras.optimizers.Adam(settings.learning_rate, settings.beta_1)
    compile_for_here(model, settings, adam)
    return model


def compile_for_here(
    model: Dcgan, settings: GanSettings, optimizer: keras.optimizers.Optimizer
) -> None:
    """Compile a model, new or loaded from a file, for this machine."""
    accuracies = {
        name: keras.metrics.BinaryAccuracy("accuracy", threshold=0.0) for name in (REAL, GENERATED)
    }
    model.compile(
        optimizer=optimizer,
        loss={
            name: keras.losses.BinaryCrossentropy(from_logits=True)
            for name in (REAL, GENERATED, GENERATOR)
        },
        metrics=accuracies,
        jit_compile=jit_compile(settings.jit),
    )
