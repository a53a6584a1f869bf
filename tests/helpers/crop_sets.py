"""A small FF++ of face crops, in the format and the folders of DeepfakeBench."""

import json
from pathlib import Path

import cv2
import numpy as np

PAIRS = {
    "train": [("000", "001"), ("002", "003")],
    "val": [("004", "005")],
    "test": [("006", "007")],
}
METHODS = {
    "FF-DF": "Deepfakes",
    "FF-F2F": "Face2Face",
    "FF-FS": "FaceSwap",
    "FF-NT": "NeuralTextures",
}


def write_frames(root, folder, numbers):
    """Write one crop of noise per number; return the paths as DeepfakeBench lists them."""
    paths = []
    for number in numbers:
        path = Path("datasets/rgb") / folder / f"{number:03d}.png"
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(len(list((root / "datasets").rglob("*.png"))))
        cv2.imwrite(str(root / path), noise.integers(0, 256, (32, 32, 3), np.uint8))
        paths.append(f"./{path.as_posix()}")
    return paths


def ffpp_crops(root, numbers=(0, 12)):
    """Write all crops below `root`; return the content of FaceForensics++.json."""
    by_label = {}
    for label in ("FF-real", *METHODS):
        top = "original_sequences/youtube"
        if label != "FF-real":
            top = f"manipulated_sequences/{METHODS[label]}"
        by_label[label] = {}
        for split, pairs in PAIRS.items():
            names = [name for pair in pairs for name in pair]
            if label != "FF-real":
                names = [f"{x}_{y}" for a, b in pairs for x, y in ((a, b), (b, a))]
            by_label[label][split] = {
                "c40": {
                    name: {
                        "label": label,
                        "frames": write_frames(
                            root, f"FaceForensics++/{top}/c40/frames/{name}", numbers
                        )[::-1],
                    }
                    for name in names
                }
            }
    return {"FaceForensics++": by_label}


def write_json(path, content):
    """Write a JSON file; return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path
