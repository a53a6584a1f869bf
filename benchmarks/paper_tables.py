"""Tables of the paper's size, without images, as input for manifests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

# The paper's numbers of crops, and the full sizes of the two sets of photographs.
CLIPS = {
    "Deepfakes": 20_675,
    "Face2Face": 20_883,
    "FaceSwap": 16_762,
    "NeuralTextures": 16_759,
    "Youtube": 20_885,
}
N_CLIPS = 1000
CELEBA, IDENTITIES, CELEBA_HQ = 202_599, 10_177, 30_000


def write_tables(dataset: Path, seed: int = 0) -> None:
    """Write frames.parquet and faces.parquet of the paper's size to a dataset folder."""
    rng = np.random.default_rng(seed)
    partner = partners(rng, N_CLIPS)
    identity = rng.integers(1, IDENTITIES + 1, CELEBA + 1)
    photos = np.sort(rng.choice(np.arange(1, CELEBA + 1), CELEBA_HQ, replace=False))
    frames = pd.concat(
        [
            *(
                clip_rows(category, np.arange(n) % N_CLIPS, np.arange(n) // N_CLIPS * 25, partner)
                for category, n in CLIPS.items()
            ),
            still_rows("CelebA", np.arange(1, CELEBA + 1), identity[1:].astype(str)),
            still_rows("CelebA-HQ", photos),
        ],
        ignore_index=True,
    ).sort_values("frame_id", ignore_index=True)
    dataset.mkdir(parents=True, exist_ok=True)
    frames.to_parquet(dataset / "frames.parquet", index=False)
    face_rows(frames).to_parquet(dataset / "faces.parquet", index=False)


def partners(rng: np.random.Generator, count: int) -> np.ndarray:
    """Pair an even number of clips at random: the partner of each clip, (count,)."""
    order = rng.permutation(count)
    partner = np.empty(count, int)
    partner[order[0::2]], partner[order[1::2]] = order[1::2], order[0::2]
    return partner


def clip_rows(
    category: str, clip: np.ndarray, frame: np.ndarray, partner: np.ndarray
) -> pd.DataFrame:
    """Return rows of FF++ frames.

    Args:
        category: Youtube, or a manipulation.
        clip: (n,) the number of each row's target clip.
        frame: (n,) the display index of each row's frame.
        partner: (clips,) the source of each clip's fakes.
    """
    target = np.char.zfill(clip.astype(str), 3)
    source = np.char.zfill(partner[clip].astype(str), 3)
    fake = category != "Youtube"
    return frame_rows(
        category=category,
        label="fake" if fake else "real",
        compression="c23",
        clip=np.char.add(np.char.add(target, "_"), source) if fake else target,
        target_id=target,
        source_id=source if fake else "",
        frame=frame,
        photo="",
    )


def still_rows(category: str, photos: np.ndarray, people: np.ndarray | str = "") -> pd.DataFrame:
    """Return rows of photographs.

    Args:
        category: CelebA or CelebA-HQ.
        photos: (n,) the photographs' numbers in CelebA.
        people: (n,) the identity on each photograph; empty if unknown.
    """
    names = np.char.zfill(photos.astype(str), 6)
    return frame_rows(
        category=category,
        label="real",
        compression="still",
        clip=names,
        target_id=people,
        source_id="",
        frame=0,
        photo=names,
    )


def frame_rows(**columns: object) -> pd.DataFrame:
    """Return ledger rows with status `ok` and the same values in all columns not given."""
    table = pd.DataFrame(columns)
    number = table["frame"].astype(str).str.zfill(6)
    table.insert(
        0,
        "frame_id",
        table["category"] + "/" + table["compression"] + "/" + table["clip"] + "/" + number,
    )
    return table.assign(
        time_s=table["frame"] / 25,
        width=640,
        height=480,
        status="ok",
        faces_found=1,
        error="",
        partition="",
    )


def face_rows(frames: pd.DataFrame) -> pd.DataFrame:
    """Return one crop for every row of a ledger."""
    n = len(frames)
    return pd.DataFrame(
        {
            "face_id": frames["frame_id"],
            "frame_id": frames["frame_id"],
            "track": 0,
            **dict.fromkeys(("box_x", "box_y", "crop_x", "crop_y"), 10),
            **dict.fromkeys(("box_w", "box_h", "crop_size"), 150),
            "clamped": False,
            "box_from": "detected",
            "detector": "hog",
            "score": 1.0,
            "path": "faces/" + frames["frame_id"] + ".png",
            "sha256": [f"{i:064x}" for i in range(n)],
        }
    )
