"""Perceptual hashes of crops."""

import cv2
import numpy as np

from ffpp_tools.grouping.phash import perceptual_hash


def test_the_hash_is_nearly_invariant_to_size_and_box(world):
    image = cv2.imread(str(sorted((world / "CelebA-HQ").glob("*.jpg"))[0]))[..., ::-1]
    side = image.shape[0]
    box = {"box_x": side // 4, "box_y": side // 4, "box_w": side // 2, "box_h": side // 2}
    row = {**box, "crop_x": 0, "crop_y": 0, "crop_size": side, "detector": "hog"}
    own = perceptual_hash(np.ascontiguousarray(image), row)
    small = cv2.resize(image, (side // 3, side // 3), interpolation=cv2.INTER_AREA)
    third = {k: v // 3 if isinstance(v, int) else v for k, v in row.items()}
    shifted = {**row, "box_x": row["box_x"] + side // 40, "box_w": row["box_w"] + side // 40}
    assert (perceptual_hash(small, third) != own).sum() < 40
    assert (perceptual_hash(np.ascontiguousarray(image), shifted) != own).sum() < 40
    other = cv2.imread(str(sorted((world / "CelebA-HQ").glob("*.jpg"))[1]))[..., ::-1]
    assert (perceptual_hash(np.ascontiguousarray(other), row) != own).sum() > 56
