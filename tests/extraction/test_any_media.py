"""Faces of any video or picture, found as those of a dataset were."""

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


def test_stills_that_were_taken_whole_are_judged_whole(world):
    photograph = sorted((world / "CelebA").rglob("*.jpg"))[0]
    look = faces_in_image(photograph, StillSettings(whole=True))
    assert np.array_equal(look.faces[0].image, read_image(photograph))


def test_faces_below_the_smallest_are_not_judged(clip, dataset):
    clips, _ = read_settings(dataset / "settings.json")
    huge = dataclasses.replace(clips, crop=CropSettings(min_face=1000))
    looks = list(faces_in_video(clip, huge))
    assert len(looks) > 2
    assert all(look.faces == () for look in looks)


def test_faces_are_judged_as_a_dataset_of_their_format_would_hold_them(clip, dataset, tmp_path):
    clips, _ = read_settings(dataset / "settings.json")
    as_jpeg = dataclasses.replace(clips, crop=CropSettings(format="jpg"))
    plain, lossy = (
        next(faces_in_video(clip, clips)).faces[0],
        next(faces_in_video(clip, as_jpeg)).faces[0],
    )
    save(tmp_path / "x.jpg", plain.image)
    assert np.array_equal(lossy.image, read_image(tmp_path / "x.jpg"))
    assert not np.array_equal(lossy.image, plain.image)
