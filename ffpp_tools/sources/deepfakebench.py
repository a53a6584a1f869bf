"""Face crops in the format of DeepfakeBench: a JSON file that lists the frames of every video.

    {dataset: {label: {split: {compression: {video: {"label": label, "frames": [path, …]}}}}}}

Only FF++'s sets have the level of the compression. The format is that of DeepfakeBench's
`preprocessing/rearrange.py`, which writes such files, and of its loader.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from data_manifests import labels
from ffpp_tools.console import counted
from ffpp_tools.errors import DataNotFoundError, SettingsError
from ffpp_tools.files import checked_paths, exists, read_json
from ffpp_tools.sources.clip import NATIVE, Clip
from ffpp_tools.sources.faceforensics import COMPRESSIONS
from ffpp_tools.store.schema import SPLITS

# In DeepfakeBench's folder; paths that do not begin with "." are relative to it.
RGB = "datasets/rgb"

SUFFIXES = (".png", ".jpg", ".jpeg")
CELEB_REAL = "CelebDFv2_real"  # the label of both Celeb-real and YouTube-real
CATEGORIES = {
    "FF-real": "Youtube",
    "FF-DF": "Deepfakes",
    "FF-F2F": "Face2Face",
    "FF-FS": "FaceSwap",
    "FF-NT": "NeuralTextures",
    "FF-FH": "FaceShifter",
    "DFD_real": "Actors",
    "DFD_fake": "DeepFakeDetection",
    "CelebDFv2_fake": "Celeb-synthesis",
    "DFDC_Real": "DFDC-real",
    "DFDC_Fake": "DFDC-fake",
}
# DeepfakeBench's own files list one video in several splits: val is a copy of test in Celeb-DF and
# DFDCP, and of train in DFDC, and Celeb-DF's train includes its test videos.
SPLIT_PRIORITY = ("test", "train", "val")
PARENTS = 3  # folders above the JSON's that may contain `RGB`
PROBED = 1000  # frames, about, that are looked for to find the root
FFPP_FAKE = re.compile(r"\d{3}(_\d{3})?")  # the target, or target and source, of a fake of FF++
_SPELLINGS = {spelling: name for name, all_ in COMPRESSIONS.items() for spelling in all_}
_OF_VIDEO = ("label", "frames", "masks")  # keys of a video's entry


@dataclass(frozen=True)
class CropClip:
    """The crops of one video. (category, compression, name) identifies it."""

    category: str
    label: str  # "real" or "fake"
    compression: str  # "raw", "c23" or "c40"; "native" for sets without a level of compression
    name: str
    target_id: str  # as in `FrameRow`; empty if the names of the category do not contain it
    source_id: str
    partition: str  # "train", "val" or "test"; empty if the set has no split of its own
    root: Path
    frames: tuple[tuple[int, str], ...]  # frame number and path below the root; sorted


@dataclass(frozen=True)
class CropSet:
    """The clips of a JSON file, sorted by category, compression and name."""

    path: Path
    clips: list[CropClip]
    remarks: list[str] = field(default_factory=list)


def is_crop_set(path: Path) -> bool:
    """Whether a path is that of a JSON file, existing or not, rather than of a folder."""
    return path.is_file() or (path.suffix == ".json" and not path.is_dir())


def parse_label_map(mappings: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Return label → (category, "real" or "fake") of texts like "UADFV_Fake=UADFV-fake:fake".

    Raises:
        SettingsError: a text has another form, or contradicts another one or a known category.
    """
    parsed: dict[str, tuple[str, str]] = {}
    for text in mappings:
        name, _, meaning = text.partition("=")
        category, _, label = meaning.partition(":")
        label = label or labels().get(category, "")
        if not name or not _is_name(category) or label not in ("real", "fake"):
            raise SettingsError(
                f"--map {text!r} must be LABEL=CATEGORY:real or LABEL=CATEGORY:fake, such as "
                f"UADFV_Fake=UADFV-fake:fake"
            )
        if labels().get(category, label) != label:
            raise SettingsError(f"--map {text!r}: {category} is {labels()[category]}, not {label}")
        if parsed.setdefault(name, (category, label)) != (category, label):
            raise SettingsError(f"--map gives label {name} twice; omit one of them")
    known = dict(parsed.values())
    if contradicted := [c for c, label in parsed.values() if known[c] != label]:
        raise SettingsError(f"--map makes {contradicted[0]} both real and fake; use two categories")
    return parsed


def read_crop_set(
    path: Path,
    root: Path | None = None,
    mappings: Iterable[str] = (),
    limit: int | None = None,
) -> CropSet:
    """Read a JSON file in DeepfakeBench's format. No image is opened.

    Args:
        path: the JSON file.
        root: folder that contains `datasets/rgb`, or `datasets/rgb` itself. By default it is
            searched for next to the JSON, up to `PARENTS` folders above, and in the working
            directory.
        mappings: further labels, as in `parse_label_map`.
        limit: at most this many clips per category and compression.

    Raises:
        DataNotFoundError: the file is damaged, or none of its frames exists.
        SettingsError: a label is unknown, or a mapping is not valid.
    """
    if root and not root.is_dir():
        raise DataNotFoundError(f"--root {root} is not a folder; pass the one with {RGB}")
    reader = _Reader(path, root, parse_label_map(mappings))
    try:
        content = read_json(path, _unique)
    except (OSError, ValueError) as error:
        raise DataNotFoundError(
            f"{path}: not a readable JSON file in DeepfakeBench's format ({error})"
        ) from error
    reader.read(content)
    if not reader.videos:
        raise DataNotFoundError(f"{path}: lists no videos")
    keys = sorted(reader.videos)
    folder = _root(path, root, [f for key in keys for _, f in reader.videos[key]])
    splits, remarks = _splits(reader.splits)
    counts = Counter[tuple[str, str]]()
    clips = []
    for key in keys:
        counts[key[:2]] += 1
        if limit is None or counts[key[:2]] <= limit:
            category, compression, name = key
            label = reader.label_of_category[category]
            ids = _people(category, label, name)
            clips.append(
                CropClip(
                    category,
                    label,
                    compression,
                    name,
                    *ids,
                    splits[key],
                    folder,
                    reader.videos[key],
                )
            )
    checked_paths(folder / frame for clip in clips for _, frame in clip.frames)
    checked_paths(Path(clip.name) for clip in clips)
    return CropSet(path, clips, [*reader.remarks(), *remarks, *_unknown_people(clips)])


Key = tuple[str, str, str]  # category, compression, name
Frames = tuple[tuple[int, str], ...]


class _Reader:
    """Collects the videos of a JSON file, and their splits."""

    def __init__(
        self, path: Path, root: Path | None, label_map: Mapping[str, tuple[str, str]]
    ) -> None:
        self.path, self.root = path, root.absolute() if root else None
        known = {name: (category, labels()[category]) for name, category in CATEGORIES.items()}
        self.label_map = {**known, **label_map}
        self.own_celeb_real = CELEB_REAL not in label_map
        self.videos: dict[Key, Frames] = {}
        self.splits: defaultdict[Key, set[str]] = defaultdict(set)
        self.label_of_category: dict[str, str] = {}
        self.unknown: Counter[str] = Counter()
        self.nameless: list[str] = []

    def read(self, content: Any) -> None:
        """Read the content of the file.

        Raises:
            DataNotFoundError: it does not have the format, or contradicts itself.
            SettingsError: a label is unknown.
        """
        for place, label, split, compression, name, video in self._entries(content):
            label = video.get("label", label)  # decides in DeepfakeBench's loader, too
            category = self._category(label, name, place)
            if not category:
                continue
            key = (category, compression, self._clip_name(name, place))
            frames = self._frames(video["frames"], place)
            if self.videos.setdefault(key, frames) != frames:
                raise self._damaged(
                    place, f"{'/'.join(key)} is listed twice with different frames; delete one"
                )
            self.splits[key].add(split)
        if self.unknown:
            found = ", ".join(f"{n} ({counted(c, 'video')})" for n, c in self.unknown.items())
            first = next(iter(self.unknown))
            raise SettingsError(
                f"{self.path}: unknown labels: {found}. Give the category and the label of each, "
                f"such as --map {first}=MYSET-fake:fake. Known labels: "
                f"{', '.join([*CATEGORIES, CELEB_REAL])}"
            )
        self._check_shared_frames()

    def remarks(self) -> Iterator[str]:
        """Describe what was skipped."""
        if self.nameless:
            yield (f"skipped {', '.join(self.nameless)}: frames without the name of their video")

    def _entries(self, content: Any) -> Iterator[tuple[str, str, str, str, str, dict[str, Any]]]:
        """Yield place, label, split, compression, name and entry of every video."""
        for dataset, by_label in self._items(content, ""):
            for label, by_split in self._items(by_label, dataset):
                for split, videos in self._items(by_split, f"{dataset}/{label}"):
                    place = f"{dataset}/{label}/{split}"
                    if split not in SPLITS:
                        raise self._damaged(place, f"the split must be {', '.join(SPLITS)}")
                    for entry in self._videos(videos, place):
                        yield (entry[0], label, split, *entry[1:])

    def _videos(self, videos: Any, place: str) -> Iterator[tuple[str, str, str, dict[str, Any]]]:
        """Yield place, compression, name and entry of every video of a split."""
        for name, value in self._items(videos, place):
            inside = f"{place}/{name}"
            if name in _OF_VIDEO and not isinstance(value, dict):
                # rearrange.py stores the last test video of DFDC as its val split.
                if place not in self.nameless:
                    self.nameless.append(place)
            elif isinstance(value, dict) and "frames" in value:
                yield inside, NATIVE, name, value
            elif name in _SPELLINGS:
                for video, entry in self._items(value, inside):
                    if not isinstance(entry, dict) or "frames" not in entry:
                        raise self._damaged(f"{inside}/{video}", 'expected {"frames": [path, …]}')
                    yield f"{inside}/{video}", _SPELLINGS[name], video, entry
            else:
                raise self._damaged(
                    inside,
                    f'expected a video, {{"frames": [path, …]}}, or a compression '
                    f"({', '.join(_SPELLINGS)}) with videos",
                )

    def _items(self, value: Any, place: str) -> Iterable[tuple[str, Any]]:
        if not isinstance(value, dict):
            raise self._damaged(place, f"expected an object, got {str(value)[:40]!r}")
        return value.items()

    def _category(self, label: Any, name: str, place: str) -> str:
        """Return the category of a video; empty, and counted, if its label is unknown."""
        if not isinstance(label, str):
            raise self._damaged(place, f"the label must be text, got {str(label)[:40]!r}")
        if label == CELEB_REAL and self.own_celeb_real:
            category = "Celeb-real" if re.fullmatch(r"id\d+_\d+", name) else "YouTube-real"
            meaning = (category, "real")
        elif label in self.label_map:
            meaning = self.label_map[label]
        else:
            self.unknown[label] += 1
            return ""
        if self.label_of_category.setdefault(*meaning) != meaning[1]:
            raise SettingsError(f"{meaning[0]} is both real and fake; use two categories in --map")
        return meaning[0]

    def _clip_name(self, name: str, place: str) -> str:
        """Return the name of a clip: that of the video, with "_" for separators of folders."""
        clip = re.sub(r"[\\/]+", "_", name.removeprefix("./").removeprefix(".\\"))
        if not _is_name(clip):
            raise self._damaged(place, f"{name!r} cannot be the name of a clip")
        return clip

    def _frames(self, paths: Any, place: str) -> Frames:
        """Return the numbers and paths of a video's frames, sorted."""
        if not isinstance(paths, list) or not all(isinstance(path, str) for path in paths):
            raise self._damaged(place, '"frames" must be a list of paths')
        frames: dict[int, str] = {}
        for text in paths:
            path = self._relative(text, place)
            stem, suffix = path.name.partition(".")[0], path.suffix
            if not (stem.isascii() and stem.isdigit() and suffix.lower() in SUFFIXES):
                raise self._damaged(
                    place, f"{text!r}: expected a frame's number with {' or '.join(SUFFIXES)}"
                )
            if int(stem) in frames:
                raise self._damaged(place, f"{text!r}: frame {int(stem)} is listed twice")
            frames[int(stem)] = path.as_posix().removeprefix(f"{RGB}/")
        return tuple(sorted(frames.items()))

    def _relative(self, text: str, place: str) -> PurePosixPath:
        """Return a frame's path relative to the root."""
        path = PurePosixPath(text.replace("\\", "/"))
        is_absolute = path.is_absolute() or re.match(r"[A-Za-z]:", text)
        if is_absolute and self.root and path.is_relative_to(self.root):
            path = path.relative_to(self.root)
        elif is_absolute:
            raise self._damaged(
                place,
                f"{text!r} is an absolute path{f' outside {self.root}' if self.root else ''}; pass "
                f"--root with a folder above it, or make the paths start with ./{RGB}/",
            )
        if ".." in path.parts:
            raise self._damaged(place, f"{text!r} contains '..', which may lead out of the root")
        return path

    def _check_shared_frames(self) -> None:
        """Check that no file is a frame of two clips."""
        clip_of_frame: dict[str, Key] = {}
        for key, frames in self.videos.items():
            for _, frame in frames:
                if (other := clip_of_frame.setdefault(frame, key)) != key:
                    raise self._damaged(
                        "/".join(key), f"{frame} is also a frame of {'/'.join(other)}; delete one"
                    )

    def _damaged(self, place: str, problem: str) -> DataNotFoundError:
        return DataNotFoundError(f"{self.path}: {f'{place}: ' if place else ''}{problem}")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object.

    Raises:
        ValueError: a key occurs twice.
    """
    values = dict(pairs)
    if len(values) < len(pairs):
        key = next(key for key, n in Counter(key for key, _ in pairs).items() if n > 1)
        raise ValueError(f"an object contains {key!r} twice")
    return values


def _is_name(text: str) -> bool:
    """Whether a text can be the name of a folder in the dataset folder."""
    return text not in ("", ".", "..") and text.isprintable() and not re.search(r"[\\/]", text)


def _root(path: Path, given: Path | None, frames: Sequence[str]) -> Path:
    """Return the folder that contains the frames.

    Raises:
        DataNotFoundError: none of the first frames is in any of the folders.
    """
    parents = path.absolute().parents[: PARENTS + 1]
    roots = [given.absolute()] if given else [*parents, Path.cwd()]
    probed = frames[:: max(len(frames) // PROBED, 1)]  # of many videos, as some may be missing
    for root in dict.fromkeys(roots):
        for folder in (root / RGB, root):
            if any(exists(folder / frame) for frame in probed):
                return folder
    if not frames:
        return roots[0]
    raise DataNotFoundError(
        f"{path}: none of its frames exists, such as {RGB}/{frames[0]}; searched in "
        f"{', '.join(map(str, dict.fromkeys(roots)))}. Pass the folder that contains {RGB} with "
        f"--root"
    )


def _splits(listed: Mapping[Key, set[str]]) -> tuple[dict[Key, str], list[str]]:
    """Return the split of every clip, and remarks on clips that are listed in several.

    Sets without a split of their own, such as DeepFakeDetection, list all videos in every split.
    """
    several = Counter(key[0] for key, names in listed.items() if len(names) > 1)
    train = {key: names for key, names in listed.items() if "train" in names}
    own_train = {key[0] for key, names in train.items() if "test" not in names}
    unsplit = {key[0] for key in train} - own_train
    splits = {
        key: "" if key[0] in unsplit else next(s for s in SPLIT_PRIORITY if s in names)
        for key, names in listed.items()
    }
    remarks = []
    for category, count in sorted(several.items()):
        rule = (
            "all of train is in test, so that no split is recorded for this category"
            if category in unsplit
            else f"each is recorded in the first of {', '.join(SPLIT_PRIORITY)}"
        )
        remarks.append(f"{category}: {counted(count, 'clip')} in several splits; {rule}")
    return splits, remarks


def _people(category: str, label: str, name: str) -> tuple[str, str]:
    """Return target_id and source_id of a clip.

    Fakes of a category that the project does not know show people of FF++ if they are named so.
    """
    if category in labels():
        clip = Clip(category, NATIVE, name, Path(name))
        return clip.target_id, clip.source_id
    if label == "fake" and FFPP_FAKE.fullmatch(name):
        target, _, source = name.partition("_")
        return target, source
    return "", ""


def _unknown_people(clips: Iterable[CropClip]) -> Iterator[str]:
    counts = Counter(clip.category for clip in clips if not clip.target_id)
    for category, count in sorted(counts.items()):
        yield (
            f"{category}: the people in {counted(count, 'clip')} are unknown; ffpp-identify can "
            f"find the same person in several clips"
        )
