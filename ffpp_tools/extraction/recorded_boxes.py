"""Crops at recorded boxes: extraction from a table of boxes, without a detector.

Only frames and pixels are read from the videos. Boxes, and the status of frames without a crop, are
those of the table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from data_manifests import labels
from ffpp_tools.errors import DataNotFoundError, DecodeError, SettingsError, TableError
from ffpp_tools.extraction.clips import (
    add_decode_error,
    content_sha256,
    crop_names,
    delete_stale_crops,
    open_clip,
    planned_rows,
    unreadable,
)
from ffpp_tools.extraction.results import crop_face, decoded_row
from ffpp_tools.extraction.settings import ClipSettings
from ffpp_tools.extraction.settings_file import checked_sections, clip_settings
from ffpp_tools.faces.detect import Box, Face
from ffpp_tools.files import exists
from ffpp_tools.sources.clip import NATIVE, Clip
from ffpp_tools.sources.faceforensics import COMPRESSIONS, find_clips, official_path
from ffpp_tools.store.boxes import CLIP, REMEDY, BoxRow, BoxTable, check, frame_ids
from ffpp_tools.store.schema import FAILURES, FaceRow, FrameRow, Part
from ffpp_tools.video.decode import Frame
from ffpp_tools.video.decode_limits import Limits
from ffpp_tools.video.frame_hash import frame_hash

OTHER_BOXES = "extracted before with other boxes: use another --out, or start over with --overwrite"


@dataclass(frozen=True)
class RecordedBoxes:
    """The boxes of a table, by the clips of a copy of the videos."""

    table: BoxTable
    settings: ClipSettings  # with which the boxes were found
    rules: int  # version of the extraction rules, as in settings.json
    clips: Mapping[Clip, pd.DataFrame]  # clip → its rows; its file may be missing


@dataclass(frozen=True)
class Comparison:
    """The crops of a dataset folder, compared with the table that they were extracted from."""

    equal: int  # number of crops with the recorded bytes
    differing: int  # with other bytes, by another version of a library
    missing: int
    failed: dict[str, str]  # clip whose crops or frames are missing → reason


def read_recorded_boxes(
    path: Path,
    root: Path,
    categories: Sequence[str] = (),
    compressions: Sequence[str] = (),
    limit: int | None = None,
) -> RecordedBoxes:
    """Read a table of boxes, and find its clips in a copy of the videos.

    Args:
        path: the table, or the folder with it.
        root: the copy of FF++, Celeb-DF or DFDC.
        categories: only these categories of the table; all if empty.
        compressions: only these compressions of the table; all if empty.
        limit: at most this many clips of the table per category and compression.

    Raises:
        TableError: the table is missing, damaged or of another kind.
        FormatError: a newer release wrote the table.
        SettingsError: the table has no clips of a category or compression.
        DataNotFoundError: there is no such tree, or it has none of the clips.
    """
    table = BoxTable.read(path)
    settings, rules = _checked_settings(table)
    rows = _selected(table, categories, compressions, limit)
    found = {
        (clip.category, clip.compression, clip.name): clip
        for clip in find_clips(root, compressions=compressions)
    }
    clips: dict[Clip, pd.DataFrame] = {}
    for (category, compression, name), clip_rows in rows.groupby(CLIP, sort=False):
        path = root / official_path(category, compression, name)
        missing = Clip(category, compression, name, path)
        clips[found.get((category, compression, name), missing)] = clip_rows
    if not any(exists(clip.path) for clip in clips):
        first = next(iter(clips))
        raise DataNotFoundError(
            f"{root} has none of the {len(clips)} clips of {table.path}, such as {first.path}; "
            f"pass the folder of the videos that the boxes were found in"
        )
    return RecordedBoxes(table, settings, rules, clips)


def _checked_settings(table: BoxTable) -> tuple[ClipSettings, int]:
    """Return the settings of a table, and check that its rows agree with them.

    Raises:
        TableError: the settings or the rows are damaged.
        FormatError: a newer release wrote the settings.
    """
    rows = table.rows
    try:
        settings, rules = clip_settings(checked_sections(table.path, table.settings))
    except (SettingsError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise TableError(f"{table.path}: its settings are damaged ({error!r}); {REMEDY}") from error
    if rows.empty:
        raise TableError(f"{table.path}: it has no rows; {REMEDY}")
    ids = frame_ids(rows)
    if settings.faces != "largest":
        ids += "/" + rows["track"].astype(str)
    smallest = max(settings.crop.min_face, 1)
    problems = (
        (~rows["category"].isin(labels()), "the category is unknown"),
        (~rows["compression"].isin([*COMPRESSIONS, NATIVE]), "the compression is unknown"),
        (table.has_crop & (rows["face_id"] != ids), "its face_id is that of another crop"),
        (
            table.has_crop & (rows[["box_w", "box_h"]].max(axis=1) < smallest),
            f"the box is smaller than the minimum face of {smallest} pixels",
        ),
    )
    check(table.path, rows, problems)
    return settings, rules


def _selected(
    table: BoxTable, categories: Sequence[str], compressions: Sequence[str], limit: int | None
) -> pd.DataFrame:
    """Return the rows of the selected clips.

    Raises:
        SettingsError: there are no clips of a category or compression.
    """
    rows = table.rows
    for column, wanted in (("category", categories), ("compression", compressions)):
        present = sorted(rows[column].unique())
        if absent := [name for name in wanted if name not in present]:
            raise SettingsError(
                f"{table.path} has no clips of {column} {', '.join(absent)}; it has "
                f"{', '.join(present)}"
            )
        if wanted:
            rows = rows[rows[column].isin(wanted)]
    if rows.empty:
        raise SettingsError(f"{table.path} has no clips of both the categories and compressions")
    if limit is not None:
        clips = rows[CLIP].drop_duplicates()
        clips = clips[clips.groupby(["category", "compression"]).cumcount() < limit]
        rows = rows.merge(clips, on=CLIP)
    return rows


def extract_recorded(
    clips: Mapping[Clip, pd.DataFrame],
    settings: ClipSettings,
    dataset: Path,
    done: Callable[[Clip], bool] = lambda _: False,
    limits: Limits = Limits(),  # noqa: B008 (frozen)
) -> Iterator[tuple[Clip, Part]]:
    """Write the crops at the recorded boxes to `dataset`; as `clips.extract_family`.

    Bad data raises no errors: the frames of a clip that is missing, or is another video than the
    recorded one, get rows with status `unreadable`.

    Raises:
        FfppError: a crop cannot be written.
    """
    for clip, rows in clips.items():
        if not done(clip):
            boxes: dict[int, list[BoxRow]] = {}
            for values in rows.to_dict("records"):
                row = BoxRow(**{str(name): value for name, value in values.items()})
                boxes.setdefault(row.frame, []).append(row)
            yield clip, _extract(clip, boxes, settings, dataset, limits)


def _extract(
    clip: Clip,
    boxes: Mapping[int, Sequence[BoxRow]],
    settings: ClipSettings,
    dataset: Path,
    limits: Limits,
) -> Part:
    """Extract one clip, and return its rows."""
    if not exists(clip.path):
        return unreadable(clip, boxes, f"{clip.path}: the video is missing")
    try:
        video, frames = open_clip(clip, lambda _: list(boxes), limits)
    except DecodeError as error:
        return unreadable(clip, boxes, str(error))
    content = content_sha256(clip, video, settings.plan)
    recorded = next(iter(boxes.values()))[0].source_sha256
    if recorded and content != recorded:
        return unreadable(
            clip,
            boxes,
            f"{clip.path}: not the video that the boxes were found in (SHA-256 of the coded "
            f"frames {content[:12]}…, recorded {recorded[:12]}…); download it again",
        )
    rows = planned_rows(clip, video, boxes, content)
    faces: list[FaceRow] = []
    decoded = set()
    try:
        for frame in frames:
            decoded.add(frame.index)
            row, crops = _cropped(
                clip, rows[frame.index], frame, boxes[frame.index], settings, dataset
            )
            rows[frame.index] = row
            faces += crops
    except DecodeError as error:
        add_decode_error(rows, rows.keys() - decoded, error)
    delete_stale_crops(dataset / "faces" / clip.category / clip.compression / clip.name, faces)
    return Part(tuple(rows.values()), tuple(faces))


def _cropped(
    clip: Clip,
    row: FrameRow,
    frame: Frame,
    boxes: Sequence[BoxRow],
    settings: ClipSettings,
    dataset: Path,
) -> tuple[FrameRow, list[FaceRow]]:
    """Write the crops of a frame, and return its row and theirs.

    Args:
        clip: the clip.
        row: the row of the frame before it was decoded.
        frame: the frame.
        boxes: its rows in the table.
        settings: extraction settings.
        dataset: the dataset folder.
    """
    recorded, picture = boxes[0], frame.picture
    if recorded.status in FAILURES:
        error = f"{clip.path}: frame {frame.index} was not decoded when its faces were detected"
        return replace(row, status=recorded.status, error=error), []
    if (picture.width, picture.height) != (recorded.width, recorded.height):
        error = (
            f"{clip.path}: frame {frame.index} has {picture.width} × {picture.height} pixels, "
            f"recorded {recorded.width} × {recorded.height}"
        )
        return replace(row, error=error), []
    faces = []
    for box in boxes:
        if box.face_id:
            _, path = crop_names(row.frame_id, box.track, settings)
            place = Box(box.box_x, box.box_y, box.box_w, box.box_h)
            face = Face(place, box.score, box.box_from, box.track)
            result = crop_face(picture, face, settings, dataset, row.frame_id, box.face_id, path)
            if result.row:
                faces.append(replace(result.row, difference=box.difference))
    row = replace(
        decoded_row(row, picture, ()),
        status=recorded.status,
        faces_found=recorded.faces_found,
        unchanged_by=recorded.unchanged_by,
        error=recorded.error,
        frame_hash=frame_hash(picture.grey),
    )
    return row, faces


def compare(boxes: RecordedBoxes, frames: pd.DataFrame, faces: pd.DataFrame) -> Comparison:
    """Compare the crops of a dataset folder with those that the table records.

    Args:
        boxes: the boxes that were extracted.
        frames: the ledger of the dataset folder.
        faces: its crop table.
    """
    rows = pd.concat(boxes.clips.values(), ignore_index=True)
    cropped = rows["face_id"] != ""
    hashes = faces.set_index("face_id")["sha256"].reindex(rows["face_id"]).reset_index(drop=True)
    equal, missing = cropped & (hashes == rows["sha256"]), cropped & hashes.isna()
    ids = frame_ids(rows)
    ledger = frames.set_index("frame_id")[["status", "error"]].reindex(ids).reset_index(drop=True)
    unread = ledger["status"].isin(FAILURES) & ~rows["status"].isin(FAILURES)
    errors = ledger["error"].fillna("").replace("", OTHER_BOXES)[missing | unread]
    return Comparison(
        int(equal.sum()),
        int((cropped & ~equal & ~missing).sum()),
        int(missing.sum()),
        errors.groupby(ids.str.rpartition("/")[0]).first().to_dict(),
    )
