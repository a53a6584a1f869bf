"""A video of a dataset, and what its name tells about it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from data_manifests import labels

# Category of fakes → that of the clips they are made from.
ORIGINAL_CATEGORY = {
    "Deepfakes": "Youtube",
    "Face2Face": "Youtube",
    "FaceSwap": "Youtube",
    "NeuralTextures": "Youtube",
    "FaceShifter": "Youtube",
    "DeepFakeDetection": "Actors",
    "Celeb-synthesis": "Celeb-real",
    "DFDC-fake": "DFDC-real",
}
# Category of fakes → the reals that they are set against; of photographs too.
REAL_COUNTERPART = {**ORIGINAL_CATEGORY, "140k-fake": "140k-real"}
# FF++'s fakes of Youtube's clips, and these.
FFPP_YOUTUBE = ("Youtube", *(fake for fake, real in ORIGINAL_CATEGORY.items() if real == "Youtube"))
NATIVE = "native"  # the `compression` of sets that come in one only


@dataclass(frozen=True)
class Clip:
    """One video of a dataset. (category, compression, name) identifies it."""

    category: str  # "Deepfakes", "Youtube", …
    compression: str  # "raw", "c23" or "c40"; "native" where a set has no such choice
    name: str  # "000_003": target 000, source 003
    path: Path  # the video, or a folder of its frames
    made_from: str = ""  # the original's name where this clip's does not tell it
    partition: str = ""  # "train", "val" or "test" where the set's own list says so

    @property
    def mask(self) -> Path:
        """Where its mask video lies, if there is one: FF++ has them for its fakes."""
        return self.path.parent.parent.parent / "masks" / "videos" / f"{self.name}.mp4"

    @property
    def label(self) -> str:
        """Whether it is "real" or "fake"."""
        return labels()[self.category]

    @property
    def target_id(self) -> str:
        """Whose frames and body are seen: "000", an actor's number, or the original's name."""
        if self.category.startswith("DFDC"):
            return self.made_from or self.name
        return self.name.split("__")[0].split("_")[0]

    @property
    def source_id(self) -> str:
        """Whose face or expression was put in; empty for originals and where nobody knows."""
        parts = self.name.split("__")[0].split("_")
        named = self.label == "fake" and not self.category.startswith("DFDC")
        return parts[1] if named and len(parts) > 1 else ""

    @property
    def original(self) -> tuple[str, str]:
        """Category and name of the clip whose frames it shows; its own for originals."""
        if self.category not in ORIGINAL_CATEGORY:
            return self.category, self.name
        name = self.target_id
        if self.category == "DeepFakeDetection":  # 01_02__scene__HASH is made from 01__scene
            name = "__".join([name, *self.name.split("__")[1:2]])
        elif self.category == "Celeb-synthesis":  # id0_id1_0002 from id0_0002
            name = "_".join([name, *self.name.split("_")[2:]])
        return ORIGINAL_CATEGORY[self.category], name
