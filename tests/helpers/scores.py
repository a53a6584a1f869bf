"""Synthetic scores of a few clips, and their evaluation."""

import pandas as pd

from classify.evaluation.evaluate import evaluate_scores
from classify.evaluation.scores import Scores
from classify.evaluation.thresholds import OperatingPoint

CLASSES = {
    "CelebA": "real",
    "Deepfakes": "fake",
    "FaceSwap": "fake",
    "Youtube": "real",
}


def scored(*rows):
    """Return scores from rows (category, compression, clip, probabilities in class order)."""
    names = list(CLASSES)
    table = pd.DataFrame(
        [
            {
                "face_id": f"{category}/{compression}/{clip}/{number:06d}",
                "category": category,
                "class": category,
                "class_index": names.index(category),
                "label": CLASSES[category],
                "compression": compression,
                "clip": clip,
                "group": clip if compression == "still" else "Youtube/000",
                "frame": number,
                **{f"p_{name}": p for name, p in zip(names, probabilities, strict=True)},
            }
            for number, (category, compression, clip, probabilities) in enumerate(rows)
        ]
    )
    return Scores(table, CLASSES)


SCORES = scored(
    ("CelebA", "still", "000001", (0.9, 0.1, 0.0, 0.0)),
    ("Deepfakes", "c40", "000_003", (0.0, 0.6, 0.2, 0.2)),
    ("Deepfakes", "c40", "000_003", (0.0, 0.2, 0.2, 0.6)),
    ("Deepfakes", "c23", "000_003", (0.0, 0.1, 0.0, 0.9)),
    ("FaceSwap", "c40", "000_003", (0.0, 0.1, 0.8, 0.1)),
    ("Youtube", "c40", "000", (0.1, 0.3, 0.1, 0.5)),
    ("Youtube", "c40", "003", (0.0, 0.5, 0.3, 0.2)),
)


FIXED = OperatingPoint("a test")


def judged(scores=SCORES, at=FIXED, unit="frame"):
    return evaluate_scores(scores, unit, at, {"Deepfakes": 0.04})


def of_people(*counts):
    """Return scores of (category, people): two clips per person, one correct and one wrong."""
    rows = [
        (category, "c40", f"{person}-{clip}", (0.0, *((0.6, 0.4, 0.0), (0.3, 0.2, 0.5))[clip]))
        for category, people in counts
        for person in range(people)
        for clip in range(2)
    ]
    scores = scored(*rows)
    columns = {"group": scores.table["clip"].str.split("-").str[0], "class": scores.table["label"]}
    return Scores(scores.table.assign(**columns), CLASSES)
