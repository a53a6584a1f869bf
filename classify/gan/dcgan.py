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
    """What the discriminator says of real pictures, of generated ones, and to the generator.

    The sum of three losses is minimised. `real` and `generated` move only the discriminator,
    because the generated pictures are held fixed in them. `generator` moves only the generator:
    its logits are

        D(G(z)) - D(stop(G(z))) + stop(D(stop(G(z)))),

    of the value D(G(z)), in whose slope the discriminator's weights cancel out. So one backward
    pass does for both what two would do from the same weights, on any backend. Adam treats every
    weight by itself: one optimizer is two of the same settings.
    """

    def __init__(self, generator: keras.Model, discriminator: keras.Model, **of_keras: Any) -> None:
        super().__init__(**of_keras)
        self.generator = generator
        self.discriminator = discriminator

    def call(self, inputs: tuple[Any, Any], training: bool = False) -> dict[str, Any]:
        """Logits of pictures, (n, size, size, 3) RGB of 0 to 255, and of (n, latent) noise."""
        pictures, noise = inputs
        pictures = keras.ops.cast(pictures, "float32") / 127.5 - 1
        made = self.generator(noise, training=training)
        stop = keras.ops.stop_gradient
        of_fixed = self.discriminator(stop(made), training=training)
        of_made = self.discriminator(made, training=training)
        return {
            REAL: self.discriminator(pictures, training=training),
            GENERATED: of_fixed,
            GENERATOR: of_made - of_fixed + stop(of_fixed),
        }

    def get_config(self) -> dict[str, Any]:
        """Both networks, for `.keras` files."""
        serialized = keras.saving.serialize_keras_object
        return {
            "generator": serialized(self.generator),
            "discriminator": serialized(self.discriminator),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Dcgan:
        """The same, untrained."""
        made = keras.saving.deserialize_keras_object
        return cls(made(config["generator"]), made(config["discriminator"]))


def build_dcgan(settings: GanSettings) -> Dcgan:
    """An untrained pair of networks with its optimizer, the same for the same seed."""
    keras.utils.set_random_seed(settings.seed)
    model = Dcgan(
        generator(settings.size, settings.latent, settings.filters),
        discriminator(settings.size, settings.filters),
    )
    pictures = keras.ops.zeros((2, settings.size, settings.size, 3))
    model((pictures, keras.ops.zeros((2, settings.latent))))  # every shape is known from here on
    adam = keras.optimizers.Adam(settings.learning_rate, settings.beta_1)
    compile_for_here(model, settings, adam)
    return model


def compile_for_here(
    model: Dcgan, settings: GanSettings, optimizer: keras.optimizers.Optimizer
) -> None:
    """Compile a model, new or read from a file, for this machine."""
    said = {
        name: keras.metrics.BinaryAccuracy("accuracy", threshold=0.0) for name in (REAL, GENERATED)
    }
    model.compile(
        optimizer=optimizer,
        loss={
            name: keras.losses.BinaryCrossentropy(from_logits=True)
            for name in (REAL, GENERATED, GENERATOR)
        },
        metrics=said,
        jit_compile=jit_compile(settings.jit),
    )
