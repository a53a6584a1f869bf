"""The networks of `keras.applications` without top, each with its input scaling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from classify.models import weights as weight_files
from classify.models.stride import up_to_stride

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Backbone:
    """One network of `keras.applications`."""

    keras_name: str
    scaling: str | None  # a mode of `imagenet_utils.preprocess_input`; None: built into the network
    parameters: int  # without top
    least: int = 32  # minimum side of the input, in pixels


BACKBONES = {
    backbone.keras_name.lower(): backbone
    for backbone in (
        *(
            Backbone(f"EfficientNetB{number}", None, parameters)
            for number, parameters in enumerate(
                (4049571, 6575239, 7768569, 10783535, 17673823, 28513527, 40960143, 64097687)
            )
        ),
        *(
            Backbone(f"EfficientNetV2B{number}", None, parameters)
            for number, parameters in enumerate((5919312, 6931124, 8769374, 12930622))
        ),
        Backbone("InceptionResNetV2", "tf", 54336736, 75),
        Backbone("InceptionV3", "tf", 21802784, 75),
        Backbone("MobileNet", "tf", 3228864),
        Backbone("MobileNetV2", "tf", 2257984),
        Backbone("VGG16", "caffe", 14714688),
        Backbone("VGG19", "caffe", 20024384),
        Backbone("Xception", "tf", 20861480, 71),
        Backbone("ResNet50", "caffe", 23587712),
        Backbone("ResNet101", "caffe", 42658176),
        Backbone("ResNet152", "caffe", 58370944),
        Backbone("ResNet50V2", "tf", 23564800),
        Backbone("ResNet101V2", "tf", 42626560),
        Backbone("ResNet152V2", "tf", 58331648),
        Backbone("DenseNet121", "torch", 7037504),
        Backbone("DenseNet169", "torch", 12642880),
        Backbone("DenseNet201", "torch", 18321984),
    )
}


def feature_maps(
    arch: str, pixels: keras.KerasTensor, weights: str, stride: int | None = None
) -> keras.KerasTensor:
    """Return a backbone's feature maps of (n, size, size, 3) RGB from 0 to 255.

    Args:
        arch: a key of `BACKBONES`.
        pixels: the input, of at least `Backbone.least` pixels.
        weights: "imagenet", "noisy-student", "none", or a path to a weights file without top.
        stride: as in `stride.up_to_stride`; None for the whole backbone.

    Raises:
        ModelError: the weights are unavailable or do not fit, or there are no such features.
    """
    import keras

    backbone = BACKBONES[arch]
    shape = pixels.shape[1:]
    if backbone.scaling:
        scale = keras.applications.imagenet_utils.preprocess_input
        pixels = scale(pixels, mode=backbone.scaling)
    constructor = getattr(keras.applications, backbone.keras_name)
    if weights == "imagenet":
        with weight_files.downloading(arch):
            network = constructor(include_top=False, weights="imagenet", input_shape=shape)
    else:
        network = constructor(include_top=False, weights=None, input_shape=shape)
        if weights != "none":
            weight_files.load(network, weight_files.fetch(arch, weights))
    if stride is not None:
        network = up_to_stride(network, stride)
    network.name = "backbone"
    return network(pixels)
