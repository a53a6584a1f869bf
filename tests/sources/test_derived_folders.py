"""Folders with masks or duplicates of the photographs."""

import pytest

from ffpp_tools.errors import DataNotFoundError
from ffpp_tools.sources.stills import find_stills, survey
from tests.helpers.stills import images, passed


def test_a_folder_of_masks_alone_contains_no_photographs(tmp_path):
    images(tmp_path, "0/00000_hair.png", "0/00000_ear_r.png")
    with pytest.raises(
        DataNotFoundError, match=r"no images.*skipped 2 \(segmentation masks\).*Pass the"
    ):
        find_stills(tmp_path, "CelebA-HQ")


@pytest.mark.parametrize(
    ("kept", "left", "why"),
    [
        (
            "Img/img_align_celeba/1.jpg",
            "Img/img_align_celeba_png/1.png",
            "duplicates of the photographs",
        ),
        ("img_align_celeba/1.jpg", "img_celeba/1.jpg", "duplicates of the photographs"),
        ("img_align_celeba/1.jpg", "docs/figure.png", "images outside img_align_celeba"),
        (
            "images1024x1024/00000/1.png",
            "thumbnails128x128/00000/1.png",
            "duplicates of the photographs",
        ),
        ("images1024x1024/1.png", "in-the-wild-images/1.png", "duplicates of the photographs"),
        (
            "images256x256/1.png",
            "images128x128/1.png",
            "duplicates of the photographs in another size",
        ),
        ("in-the-wild-images/1.png", "thumbnails128x128/1.png", "duplicates of the photographs"),
        ("celeba-1024/1.jpg", "celeba-256/1.jpg", "duplicates of the photographs in another size"),
        ("512x512/1.jpg", "128x128/1.jpg", "duplicates of the photographs in another size"),
        ("1.jpg", "thumbs/1.jpg", "duplicates of the photographs"),
        ("images/1.jpg", "masks/1.png", "segmentation masks"),
        ("a/1.jpg", "__MACOSX/a/1.jpg", "hidden"),
        ("a/1.jpg", "a/.thumbnails/1.jpg", "hidden"),
    ],
)
def test_duplicates_and_masks_are_skipped_by_folder_name(tmp_path, kept, left, why):
    images(tmp_path, kept, left)
    found = survey(tmp_path, "CelebA")
    assert [s.path.relative_to(tmp_path).as_posix() for s in found.stills] == [kept]
    assert passed(found) == {why: [left]}
    images(tmp_path / "alone", left.split("/")[-1])
    assert len(find_stills(tmp_path / "alone", "CelebA")) == 1


def test_an_empty_folder_excludes_no_other(tmp_path):
    images(tmp_path, "img_celeba/000001.jpg", "thumbs/x.txt")
    (tmp_path / "img_align_celeba").mkdir()
    (tmp_path / "CelebA-HQ-img").mkdir()
    assert [s.name for s in find_stills(tmp_path, "CelebA")] == ["000001"]


def test_folders_named_after_people_or_worn_masks_are_not_skipped(tmp_path):
    names = ("64/1.jpg", "128/2.jpg", "with_mask/3.jpg", "id128/4.jpg", "id64/5.jpg")
    images(tmp_path, *names)
    assert len(find_stills(tmp_path, "Mine", "real")) == len(names)
