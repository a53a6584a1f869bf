"""Face crops from any image or video, with the settings of a dataset."""

import dataclasses

import numpy as np

from ffpp_tools.extraction.any_media import (
    faces_in_image,
    faces_in_video,
    read_settings,
)
from ffpp_tools.extraction.settings import StillSettings
from ffpp_tools.faces.crop import CropSettings, save
from ffpp_tools.video.image import read_image


def test_images_are_not_cropped_if_the_dataset_has_whole_stills(world):
    photograph = sorted((world / "CelebA").rglob("*.jpg"))[0]
    crops = faces_in_image(photograph, StillSettings(whole=True))
    assert np.array_equal(crops.faces[0].image, read_image(photograph))


def test_faces_below_the_minimum_size_are_not_returned(clip, dataset):
    clips, _ = read_settings(dataset / "settings.json")
    huge = dataclasses.replace(clips, crop=CropSettings(min_face=1000))
    frames = list(faces_in_video(clip, huge))
    assert len(frames) > 2
    assert all(frame.faces == () for frame in frames)


def test_crops_are_compressed_as_in_a_dataset_of_the_same_format(clip, dataset, tmp_path):
    clips, _ = read_settings(dataset / "settings.json")
    as_jpeg = dataclasses.replace(clips, crop=CropSettings(format="jpg"))
    plain, lossy = (
        next(faces_in_video(clip, clips)).faces[0],
        next(faces_in_video(clip, as_jpeg)).faces[0],
    )
    save(tmp_path / "x.jpg", plain.image)
    assert np.array_equal(lossy.image, read_image(tmp_path / "x.jpg"))
    assert not np.array_equal(lossy.image, plain.image)
