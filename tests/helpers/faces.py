"""Frames with drawn faces, and a detector for them."""

import cv2
import numpy as np

from ffpp_tools.demo.face import Expression, Person, Portrait
from ffpp_tools.faces.detect import FindSettings, coarse_to_fine, load
from ffpp_tools.faces.landmarks import as_fractions, landmarks_in
from ffpp_tools.grouping.similarity import unit_vectors
from ffpp_tools.video.image import Picture

HOG = load(FindSettings())


def found_in(image):
    return coarse_to_fine(Picture(image), HOG)


def scene(height, width, faces):
    """A grey frame with drawn people: faces of `size` canvas pixels at (x, y)."""
    frame = np.full((height, width, 3), 128, np.uint8)
    for seed, size, x, y in faces:
        portrait = Portrait(Person.drawn(seed), 320)
        image = cv2.resize(
            portrait.render(Expression()), (size, size), interpolation=cv2.INTER_AREA
        )
        alpha = cv2.resize(portrait.alpha, (size, size), interpolation=cv2.INTER_AREA)[..., None]
        top, left = max(-y, 0), max(-x, 0)  # the area of the face outside the frame
        area = frame[max(y, 0) : y + size, max(x, 0) : x + size]
        rows, columns = slice(top, top + area.shape[0]), slice(left, left + area.shape[1])
        area[:] = area * (1 - alpha[rows, columns]) + image[rows, columns] * alpha[rows, columns]
    return frame


def directions(n, seed):
    """Unit vectors about as similar to each other as embeddings of different people."""
    rng = np.random.default_rng(seed)
    return unit_vectors(rng.normal(size=(n, 128)) + 0.35)


def landmarks_of(image):
    """The landmarks of a drawn face, (68, 2) as fractions of the image's sides."""
    (face,) = found_in(image)
    height, width = image.shape[:2]
    x, y, w, h = face.box.x, face.box.y, face.box.width, face.box.height
    corners = (x / width, y / height, (x + w) / width, (y + h) / height)
    return as_fractions(landmarks_in(image, corners), width, height)


def drawn_crop(seed, side):
    """A drawn face of `side` × `side` pixels, and its landmarks as fractions, (68, 2)."""
    canvas = Portrait(Person.drawn(seed), 320).render(Expression())
    image = cv2.resize(canvas, (side, side), interpolation=cv2.INTER_AREA)
    return image, landmarks_of(canvas)
