"""Rows of manifests, without crops."""

import itertools

import pandas as pd

METHODS = ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures")


def table(frames, mode="videos", without_pair=(), stills=0):
    """Rows of a manifest of originals and their four fakes.

    Args:
        frames: clip of an original → its number of frames; each is a target identity of its own.
        mode: label space, "videos", "multiclass" or "binary".
        without_pair: (category, clip, frame) of fakes that have no partner.
        stills: number of CelebA and of CelebA-HQ photographs.
    """
    rows = []
    for clip, count in frames.items():
        for category, frame in itertools.product((*METHODS, "Youtube"), range(count)):
            name = clip if category == "Youtube" else f"{clip}_999"
            alone = (category, clip, frame) in without_pair
            rows.append(
                {
                    "face_id": f"{category}/c40/{name}/{frame:06}",
                    "category": category,
                    "compression": "c40",
                    "clip": name,
                    "target_id": clip,
                    "label": "real" if category == "Youtube" else "fake",
                    "pair": "" if alone else f"Youtube/c40/{clip}/{frame:06}",
                }
            )
    for category, number in itertools.product(("CelebA", "CelebA-HQ"), range(stills)):
        rows.append(
            {
                "face_id": f"{category}/still/{number}/000000",
                "category": category,
                "compression": "still",
                "clip": str(number),
                "target_id": f"{category}-{number}",
                "label": "real",
                "pair": "",
            }
        )
    samples = pd.DataFrame(rows)
    samples["class"] = samples["label"] if mode == "binary" else samples["category"]
    names = sorted(samples["class"].unique())
    return samples.assign(class_index=samples["class"].map(names.index))
