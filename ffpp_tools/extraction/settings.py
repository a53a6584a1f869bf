"""Settings of extraction. The same settings and sources give byte-identical crops."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

from ffpp_tools.errors import SettingsError, check_choice
from ffpp_tools.faces.crop import CropSettings
from ffpp_tools.faces.detect import FindSettings
from ffpp_tools.faces.match_quality import ReferenceFaces
from ffpp_tools.video.sampling import FramePlan

Faces = Literal["largest", "tracked", "all"]


@dataclass(frozen=True)
class StillSettings:
    """All settings that determine what is extracted from a still."""

    crop: CropSettings = field(default_factory=CropSettings)
    find: FindSettings = field(default_factory=FindSettings)
    whole: bool = False  # use the whole photograph as the crop, without face detection
    # Scale and compress stills to match these faces of clips.
    harmonise: ReferenceFaces | None = None
    profile: str = field(default="", compare=False)  # the name of the options that were used

    def __post_init__(self) -> None:
        """Check for contradictory settings."""
        if self.whole and self.harmonise:
            raise SettingsError("whole stills cannot be harmonised: no face is detected in them")


@dataclass(frozen=True)
class ReadyCropSettings:
    """Settings of clips whose crops others made and that are taken unchanged.

    `crop` describes these crops, so that further images can be cropped alike: DeepfakeBench's
    alignment at margin 1.3. Nothing is detected; `find` is for further images.
    """

    crop: CropSettings = field(
        default_factory=lambda: CropSettings(margin=1.3, align=True, alignment="deepfakebench")
    )
    find: FindSettings = field(default_factory=lambda: FindSettings(search="full"))
    made_by: Literal["deepfakebench"] = "deepfakebench"


@dataclass(frozen=True)
class ClipSettings:
    """All settings that determine what is extracted from a clip.

    faces: `largest` crops the manipulated face of each frame if a mask shows it, else the largest
    face; `tracked` crops the person for whom this holds in most frames of the clip; `all` crops all
    faces.
    """

    plan: FramePlan = field(default_factory=FramePlan)
    crop: CropSettings = field(default_factory=CropSettings)
    find: FindSettings = field(default_factory=FindSettings)
    faces: Faces = "largest"
    twins: bool = True  # compare with the original, and reuse its boxes in frames that match
    keep_unchanged: bool = False  # keep the crops of unchanged faces in fakes
    smooth: int = 1  # number of planned frames over which boxes are averaged
    profile: str = field(default="", compare=False)  # the name of the options that were used

    def __post_init__(self) -> None:
        """Validate the fields."""
        check_choice("faces", self.faces, get_args(Faces))
        if self.smooth < 1 or self.smooth % 2 == 0:
            raise SettingsError(f"smooth ({self.smooth}) must be an odd number of frames")
