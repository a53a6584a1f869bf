"""A video of a dataset, with the metadata that its name encodes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from data_manifests import labels

# Category of fakes → category of their originals.
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
# Category of fakes, including stills → category of the real samples to compare them with.
REAL_COUNTERPART = {**ORIGINAL_CATEGORY, "140k-fake": "140k-real"}
# FF++'s Youtube clips and their fakes.
FFPP_YOUTUBE = ("Youtube", *(fake for fake, real in ORIGINAL_CATEGORY.items() if real == "Youtube"))
NATIVE = "native"  # `compression` of datasets that are distributed in a single version


@dataclass(frozen=True)
class Clip:
    """One video of a dataset. (category, compression, name) identifies it."""

    category: str  # "Deepfakes", "Youtube", …
    compression: str  # "raw", "c23" or "c40"; "native" for datasets in a single version
    name: str  # "000_003": target 000, source 003
    path: Path  # the video, or a folder of its frames
    made_from: str = ""  # name of the original if this clip's name does not contain it
    partition: str = ""  # "train", "val" or "test" in the dataset's own list; else empty

    @property
    def mask_path(self) -> Path:
        """Path of the mask video, which may not exist; FF++ has masks for its fakes."""
        return self.path.parent.parent.parent / "masks" / "videos" / f"{self.name}.mp4"

    @property
    def label(self) -> str:
        """The label, "real" or "fake"."""
        return labels()[self.category]

    @property
    def target_id(self) -> str:
        """Whose body and frames are visible: "000", an actor's number, or the original's name."""
        if self.category.startswith("DFDC"):
            return self.made_from or self.name
        return self.name.split("__")[0].split("_")[0]

    @property
    def source_id(self) -> str:
        """Whose face or expression was inserted; empty for originals and if unknown."""
        parts = self.name.split("__")[0].split("_")
        has_source = self.label == "fake" and not self.category.startswith("DFDC")
        return parts[1] if has_source and len(parts) > 1 else ""

    @property
    def original_key(self) -> tuple[str, str]:
        """Category and name of the original clip; those of the clip itself if it is an original."""
        if self.category not in ORIGINAL_CATEGORY:
            return self.category, self.name
        name = self.target_id
        if self.category == "DeepFakeDetection":  # 01_02__scene__HASH is made from 01__scene
            name = "__".join([name, *self.name.split("__")[1:2]])
        elif self.category == "Celeb-synthesis":  # id0_id1_0002 from id0_0002
            name = "_".join([name, *self.name.split("_")[2:]])
        return ORIGINAL_CATEGORY[self.category], name
