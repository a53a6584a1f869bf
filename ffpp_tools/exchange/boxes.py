"""A dataset without its pixels: a table of the boxes, frames and settings of its crops."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ffpp_tools.errors import FfppError, TableError
from ffpp_tools.extraction.settings_file import SETTINGS, required_settings
from ffpp_tools.files import occupied
from ffpp_tools.sources.faceforensics import official_path
from ffpp_tools.splits.manifest import Manifest
from ffpp_tools.store import format_versions
from ffpp_tools.store.boxes import CLIP, FILE, NO_CROP, BoxTable, sorted_rows
from ffpp_tools.store.schema import FAILURES, SPLITS, STILL
from ffpp_tools.store.tables import read_faces, read_frames

if TYPE_CHECKING:
    import pandas as pd

NAME = "boxes"


@dataclass(frozen=True)
class ExportedBoxes:
    """A table of boxes that was written."""

    path: Path
    crops: int
    frames: int  # planned frames, with and without a crop
    clips: int
    stills: int  # number of stills that were left out


def export_boxes(source: Path, out: Path) -> ExportedBoxes:
    """Write the boxes of a dataset's clips, or of the crops in a manifest, to a table.

    The table of a dataset has all its planned frames, so that its ledger can be rebuilt. That of a
    manifest has only the frames of its crops.

    Args:
        source: a dataset folder or a manifest folder.
        out: the file to write, with the suffix .parquet, or a folder for it, new or empty.

    Raises:
        TableError: there is no dataset or manifest, it has changed, or it has no crops of clips.
        FfppError: the output exists or cannot be written.
    """
    path = out if out.suffix == ".parquet" else out / FILE
    if occupied(out):
        raise FfppError(f"{out} exists and is not empty: choose another --out")
    dataset, wanted = _dataset(source)
    settings = required_settings(dataset)
    frames, faces = read_frames(dataset), read_faces(dataset)
    if wanted is not None:
        faces = faces[faces["face_id"].isin(wanted)]
        frames = frames[frames["frame_id"].isin(faces["frame_id"])]
    is_still = frames["compression"] == STILL
    frames = frames[~is_still]
    faces = faces[faces["frame_id"].isin(frames["frame_id"])]
    if faces.empty:
        raise TableError(f"{source} has no crops of videos, and boxes are those of videos")
    if "clips" not in settings:
        raise TableError(
            f"{source}: others made its crops, so that the boxes in the videos are not known; "
            f"share the JSON file that lists the crops instead"
        )
    rows = _rows(frames, faces)
    cropped = rows["face_id"] != ""
    unknown = rows[cropped & (rows["source_sha256"] == "")]
    if len(unknown):
        clip = unknown.iloc[0]
        raise TableError(
            f"{dataset}: the hashes of the videos are unknown, such as of {clip['category']}/"
            f"{clip['clip']}: an earlier release extracted them; extract them again with "
            f"--overwrite"
        )
    sections = {name: settings[name] for name in ("crop", "find", "clips")}
    recorded = format_versions.with_format(format_versions.SETTINGS, sections)
    BoxTable(path, rows, recorded).write()
    n_clips = len(rows[CLIP].drop_duplicates())
    return ExportedBoxes(path, int(cropped.sum()), len(frames), n_clips, int(is_still.sum()))


def _dataset(source: Path) -> tuple[Path, pd.Series | None]:
    """Return a dataset folder, and the face_ids to export; None for all.

    Raises:
        TableError: there is no dataset or manifest, or the manifest's crops have changed.
    """
    import pandas as pd

    if (source / "manifest.json").exists():
        manifest = Manifest.read(source)
        samples = []
        for split in SPLITS:
            samples.append(manifest.samples(split))
            manifest.crop_hashes(split, samples[-1])  # checks them
        return manifest.root, pd.concat(samples)["face_id"]
    if not (source / SETTINGS).exists():
        raise TableError(
            f"{source} is neither a dataset folder (no {SETTINGS}) nor a manifest (no "
            f"manifest.json); create them with `ffpp-extract` and `ffpp-split`"
        )
    return source, None


def _rows(frames: pd.DataFrame, faces: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of a table of boxes, columns as in `BoxRow`."""
    rows = frames.merge(faces, on="frame_id", how="left")
    for column, value in NO_CROP.items():
        dtype = faces[column].dtype
        rows[column] = rows[column].astype(object).where(rows[column].notna(), value).astype(dtype)
    # Errors of reading a clip are found again when it is read; the others end with the path of an
    # original or a mask, which concerns only the machine that wrote it.
    failed = rows["status"].isin(FAILURES)
    rows["error"] = rows["error"].str.partition(": ")[0].mask(failed, "")
    clips = frames[CLIP].drop_duplicates()
    videos = [official_path(*clip).as_posix() for clip in clips.itertuples(index=False)]
    return sorted_rows(rows.merge(clips.assign(video=videos), on=CLIP))
