"""Everything that decides what is extracted: the same settings, the same bytes."""

from __future__ import annotations

from dataclasses import dataclass, field

from ffpp_tools.errors import SettingsError, check_choice
from ffpp_tools.extraction.match_quality import ReferenceFaces
from ffpp_tools.faces.crop import CropSettings
from ffpp_tools.faces.detect import FindSettings
from ffpp_tools.video.sampling import FramePlan

FACES = ("largest", "tracked", "all")


@dataclass(frozen=True)
class StillSettings:
    """Everything that decides what is extracted from a still."""

    crop: CropSettings = field(default_factory=CropSettings)
    find: FindSettings = field(default_factory=FindSettings)
    whole: bool = False  # take the photograph as it is, without looking for a face
    harmonise: ReferenceFaces | None = (
        None  # make faces as large, and compressed as hard, as the clips'
    )

    def __post_init__(self) -> None:
        """Refuse what contradicts itself."""
        if self.whole and self.harmonise:
            raise SettingsError("whole stills cannot be harmonised: no face is looked for in them")


@dataclass(frozen=True)
class ClipSettings:
    """Everything that decides what is extracted from a clip.

    faces: `largest`, the largest face of each frame or, where a mask tells, the forged one;
    `tracked`, the person who is that in most of the clip's frames; `all`, everybody.
    """

    plan: FramePlan = field(default_factory=FramePlan)
    crop: CropSettings = field(default_factory=CropSettings)
    find: FindSettings = field(default_factory=FindSettings)
    faces: str = "largest"
    twins: bool = True  # compare with the original, and take its boxes where they fit
    keep_unchanged: bool = False  # keep crops of fakes that show the original's face
    smooth: int = 1  # how many planned frames a box is the mean of

    def __post_init__(self) -> None:
        """Refuse what is not there."""
        check_choice("faces", self.faces, FACES)
        if self.smooth < 1 or self.smooth % 2 == 0:
            raise SettingsError(f"smooth ({self.smooth}) must be an odd number of frames")
