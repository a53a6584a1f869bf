"""A plain Keras recipe on FF++ clips, tested on held-out people and on random frames.

    python benchmarks/quick_recipe.py dataset --weights efficientnetb0_notop.weights.h5

EfficientNetB0 with ImageNet weights, all layers trained, horizontal flips, dropout 0.2, Adam 3e-4,
batches of 32, eight epochs, five classes; no validation and no checkpoint selection. Each pair of
people is tested once, with a network trained on the others; then a random fifth of the frames is
tested, a common but leaky protocol. The script does not use `classify`: it is the baseline for the
recipes of `classify`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import keras
import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

CLASSES = ["Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures", "Youtube"]
SIZE = 128


def main() -> None:
    """Train and test on every fold, and print the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", type=Path, help="output of ffpp-extract")
    parser.add_argument("--weights", required=True, help="EfficientNetB0 without top")
    parser.add_argument("--epochs", type=int, default=8)
    options = parser.parse_args()
    crops, images = read(options.dataset)
    folds = {pair: (crops["pair"] == pair).to_numpy() for pair in sorted(set(crops["pair"]))}
    print(f"{len(crops)} crops of {len(folds)} pairs")
    results = []
    for pair, test in folds.items():
        results.append(train_and_test(crops, images, test, options))
        print(
            f"{pair} held out: accuracy {results[-1][0]:.3f}, AUC {results[-1][1]:.3f}", flush=True
        )
    accuracy, auc = np.mean(results, axis=0)
    print(f"held-out people, mean: accuracy {accuracy:.3f}, AUC {auc:.3f}")
    random = np.random.default_rng(0).random(len(crops)) < 0.2
    accuracy, auc = train_and_test(crops, images, random, options)
    print(f"random frames: accuracy {accuracy:.3f}, AUC {auc:.3f}")


def read(dataset: Path) -> tuple[pd.DataFrame, np.ndarray]:
    """Return the largest face of every frame with its pair of people, and its pixels."""
    faces = pd.read_parquet(dataset / "faces.parquet")
    frames = pd.read_parquet(dataset / "frames.parquet")
    crops = faces.merge(frames, on="frame_id").query("category in @CLASSES")
    crops = crops.sort_values("crop_size").groupby("frame_id").tail(1).sort_values("face_id")
    partner = {}
    for clip in crops["clip"][crops["clip"].str.contains("_")].unique():
        target, source = clip.split("_")
        partner[target] = "/".join(sorted((target, source)))
    crops["pair"] = crops["clip"].str.split("_").str[0].map(partner)
    images = [cv2.imread(str(dataset / path)) for path in crops["path"]]
    scaled = [cv2.resize(x, (SIZE, SIZE), interpolation=cv2.INTER_AREA) for x in images]
    return crops, np.stack(scaled)[..., ::-1]


def train_and_test(
    crops: pd.DataFrame, images: np.ndarray, test: np.ndarray, options: argparse.Namespace
) -> tuple[float, float]:
    """Return accuracy over the five classes and AUC of fake vs real, both per frame."""
    keras.utils.set_random_seed(0)
    labels = crops["category"].map(CLASSES.index).to_numpy()
    backbone = keras.applications.EfficientNetB0(
        include_top=False, weights=options.weights, input_shape=(SIZE, SIZE, 3), pooling="avg"
    )
    model = keras.Sequential(
        [
            keras.Input((SIZE, SIZE, 3)),
            keras.layers.RandomFlip("horizontal"),
            backbone,
            keras.layers.Dropout(0.2),
            keras.layers.Dense(len(CLASSES), activation="softmax"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(3e-4),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        jit_compile=False,
    )
    model.fit(images[~test], labels[~test], batch_size=32, epochs=options.epochs, verbose=0)
    probabilities = model.predict(images[test], verbose=0)
    fake = labels[test] != CLASSES.index("Youtube")
    accuracy = (probabilities.argmax(axis=1) == labels[test]).mean()
    return float(accuracy), float(roc_auc_score(fake, 1 - probabilities[:, -1]))


if __name__ == "__main__":
    main()
