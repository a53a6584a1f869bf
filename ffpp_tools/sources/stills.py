"""Find the photographs of CelebA, CelebA-HQ, the 140k set or any folder of images."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path, PurePosixPath

from data_manifests import labels
from ffpp_tools.console import counted
from ffpp_tools.errors import DataNotFoundError, SettingsError
from ffpp_tools.files import escapes_root, exists, regular_file
from ffpp_tools.sources import celeba, media_files, official_lists
from ffpp_tools.sources.celeba import CELEBA, CELEBA_HQ, HQ_MAPPING
from ffpp_tools.sources.derived_folders import HQ_MASK_FILE, MASKS, left_out
from ffpp_tools.sources.faceforensics import VIDEO_CATEGORIES
from ffpp_tools.sources.media_files import PICTURE, SkippedFile

# Folders in which a dataset stores its photographs; images outside them are ignored.
SET_FOLDERS = {
    **dict.fromkeys(celeba.FOLDERS, CELEBA),
    celeba.HQ_FOLDER: CELEBA_HQ,
}
PARTITION_LISTS = ("list_eval_partition.txt", "list_eval_partition.csv")
IDENTITY_LISTS = (official_lists.IDENTITIES, "identity_CelebA.csv")
# Split names of the 140k set.
PARTITIONS = {"train": "train", "valid": "val", "test": "test"}
KAGGLE_CATEGORIES = {"real": "140k-real", "fake": "140k-fake"}
KAGGLE_COLUMNS = ("original_path", "id", "label", "label_str", "path")
KAGGLE_CSVS = ("train.csv", "valid.csv", "test.csv")
KAGGLE_FOLDERS = ("", "real-vs-fake", "real_vs_fake/real-vs-fake")
KAGGLE_LABELS = {"fake": "0", "real": "1"}


@dataclass(frozen=True)
class Still:
    """One photograph. (category, name) identifies it."""

    category: str  # "CelebA", "CelebA-HQ", …
    label: str
    name: str  # path relative to the folder, without suffix
    path: Path
    identity: str = ""  # the person's label in an identity list; empty if unknown
    photo: str = ""  # number of this photograph in CelebA, or of the one it was created from
    partition: str = ""  # "train", "val" or "test" in the dataset's own lists; else empty


@dataclass(frozen=True)
class Photographs:
    """The image files of a folder."""

    folder: Path  # names are relative to it
    paths: list[Path]  # sorted
    passed_over: list[SkippedFile]


@dataclass(frozen=True)
class Survey:
    """The photographs of a folder, with the identities and splits from its lists."""

    root: Path
    stills: list[Still]
    passed_over: list[SkippedFile]
    identities: Path | None = None  # the identity list
    partitions: Path | None = None  # the list of splits
    remarks: list[str] = field(default_factory=list)

    def known(self, people: Collection[str] = ()) -> Iterator[str]:
        """Describe how many photographs have a known identity, split and CelebA number.

        Args:
            people: numbers of further CelebA photographs whose identity is known.
        """
        for category, total in Counter(still.category for still in self.stills).items():
            stills = [still for still in self.stills if still.category == category]
            identities = sum(bool(s.identity) or s.photo in people for s in stills)
            partitions = sum(bool(s.partition) for s in stills)
            counts = [
                f"identity known for {identities:,}{_from(self.identities)}",
                f"split known for {partitions:,}{_from(self.partitions)}",
            ]
            if category in (CELEBA, CELEBA_HQ):
                counts.append(f"CelebA number known for {sum(bool(s.photo) for s in stills):,}")
            yield f"{category}: {counted(total, 'photograph')}; {', '.join(counts)}"
        yield from self.remarks

    def summary_lines(self, people: Collection[str] = ()) -> Iterator[str]:
        """Describe the photographs, as `known` does, and the skipped files."""
        yield from self.known(people)
        yield from media_files.summary(self.passed_over, self.root)


def find_stills(
    root: Path, category: str | None = None, label: str | None = None, limit: int | None = None
) -> list[Still]:
    """Return the photographs of a folder; arguments and errors as for `survey`."""
    return survey(root, category, label, limit).stills


def survey(
    root: Path, category: str | None = None, label: str | None = None, limit: int | None = None
) -> Survey:
    """Find the photographs of CelebA, CelebA-HQ, the 140k set or any folder, sorted by name.

    The following lists are read if they exist: CelebA's `identity_CelebA.txt` and
    `list_eval_partition.txt` or `.csv`, next to the photographs, in `Anno/` or `Eval/`, or up to
    two folders up; CelebAMask-HQ's `CelebA-HQ-to-CelebA-mapping.txt`; and the 140k set's
    `train.csv`, `valid.csv` and `test.csv`.

    Args:
        root: CelebA in the layout of its authors, torchvision or Kaggle; CelebA-HQ, CelebAMask-HQ,
            the 140k set, or any folder of images.
        category: category to record; not for the 140k set, which has two of its own.
        label: "real" or "fake"; required only for categories that the project does not know.
        limit: at most this many photographs per category.

    Raises:
        DataNotFoundError: there are no images, or a list cannot be read.
        SettingsError: the category is unknown and has no label, or is a category of videos.
    """
    if is_140k(root):
        if category or label:
            raise SettingsError(
                f"{root} is the 140k set, which has the categories "
                f"{', '.join(KAGGLE_CATEGORIES.values())}; omit --category and --label"
            )
        surveyed = _kaggle(root)
        return replace(surveyed, stills=_limited(surveyed.stills, limit))
    if category is None:
        raise SettingsError(f"{root}: pass the category of its images with --category NAME")
    return _with_lists(root, category, _label(category, label), limit)


def images_below(folder: Path) -> list[Path]:
    """Return the image files that `photographs` finds; empty if there are none."""
    try:
        return photographs(folder).paths
    except DataNotFoundError:
        return []


def photographs(root: Path, category: str = "") -> Photographs:
    """Find the image files of a dataset or any folder, without masks, thumbnails and duplicates.

    Args:
        root: the folder.
        category: if there are several datasets under `root`, take the one of this category.

    Raises:
        DataNotFoundError: there are no images.
    """
    images = media_files.find_files(root, (PICTURE,), left_out)
    masks = {path for path in images.paths if HQ_MASK_FILE.fullmatch(path.name)}
    paths = [path for path in images.paths if path not in masks] if masks else images.paths
    skipped = [*images.passed_over, *(SkippedFile(path, MASKS) for path in sorted(masks))]
    counts = Counter(path.parent for path in paths)
    set_counts = Counter[Path]()
    for parent, count in counts.items():
        if folder := _set_folder(root, parent):
            set_counts[folder] += count
    matching = [folder for folder in set_counts if SET_FOLDERS[folder.name] == category]
    folder = max(matching or set_counts, key=lambda f: (set_counts[f], f), default=root)
    outside = {parent for parent in counts if not parent.is_relative_to(folder)}
    if outside:
        why = f"images outside {folder.name}"
        skipped += [SkippedFile(path, why) for path in paths if path.parent in outside]
        paths = [path for path in paths if path.parent not in outside]
    if not paths:
        raise DataNotFoundError(_no_images_message(root, skipped))
    return Photographs(folder, paths, skipped)


def _set_folder(root: Path, parent: Path) -> Path | None:
    """Return the innermost of `SET_FOLDERS` that contains `parent`, or `parent` itself."""
    relative = parent.relative_to(root)
    ancestors = (relative, *relative.parents)
    return next((root / folder for folder in ancestors if folder.name in SET_FOLDERS), None)


def _no_images_message(root: Path, skipped: list[SkippedFile]) -> str:
    if problem := _no_folder(root):
        return f"{root} {problem}; pass the folder of the photographs"
    reasons = "; ".join(media_files.summary(skipped, root))
    return (
        f"no images under {root}{': ' if reasons else ''}{reasons}. Pass the folder of the "
        f"unpacked photographs ({', '.join(media_files.SUFFIXES[PICTURE])}), such as CelebA's Img/"
        f"img_align_celeba. `ffpp-demo` generates synthetic stills."
    )


def _no_folder(root: Path) -> str:
    if not exists(root):
        return "does not exist"
    return "" if root.is_dir() else "is not a folder"


def _with_lists(root: Path, category: str, label: str, limit: int | None) -> Survey:
    """Find the photographs of any dataset but 140k, with identities and splits from its lists."""
    images = photographs(root, category)
    _check_one_label(images, label)
    folder, stems = images.folder, [path.stem for path in images.paths]
    is_celeba = category in (CELEBA, CELEBA_HQ)
    numbering = celeba.numbering(category, folder, stems) if is_celeba else celeba.Numbering()
    lists = celeba.find_list(folder, IDENTITY_LISTS), celeba.find_list(folder, PARTITION_LISTS)
    identities = official_lists.read_values(lists[0]) if lists[0] else {}
    partitions = celeba.partition(lists[1]) if lists[1] else {}
    if is_celeba:  # the lists are keyed by CelebA's numbers
        identities, partitions = celeba.by_number(identities), celeba.by_number(partitions)
    stills = []
    for path in images.paths[:limit]:
        photo = numbering.numbers.get(path.stem, "")
        key = photo if is_celeba else path.stem
        identity, partition = identities.get(key, ""), partitions.get(key, "")
        name = path.relative_to(folder).with_suffix("").as_posix()
        stills.append(Still(category, label, name, path, identity, photo, partition))
    _check_distinct(folder, stills)
    mapping = celeba.find_list(folder, (HQ_MAPPING,))
    used = {path.absolute() for path in (*lists, mapping) if path}
    skipped = [file for file in images.passed_over if file.path.absolute() not in used]
    remarks = [f"{category}: {numbering.explanation}"] if is_celeba else []
    return Survey(root, stills, skipped, *lists, remarks)


def _check_one_label(images: Photographs, label: str) -> None:
    """Reject a folder that mixes real and fake images, since all of them would get one label.

    Raises:
        SettingsError: a folder contains subfolders named real and fake.
    """
    folders = {path.parent.relative_to(images.folder) for path in images.paths}
    folders |= {folder for inner in folders for folder in inner.parents}
    names = {(folder.parent, folder.name.lower()) for folder in folders}
    mixed = sorted(parent for parent, name in names if name == "real" and (parent, "fake") in names)
    if mixed:
        raise SettingsError(
            f"{images.folder / mixed[0]} contains folders named real and fake, which cannot both "
            f"be {label}: pass one of them, with a category of its own"
        )


def _from(path: Path | None) -> str:
    return f" (from {path.name})" if path else ""


def _label(category: str, label: str | None) -> str:
    """Return the label of a category, after checking that the two are consistent."""
    if category != Path(category).name:
        raise SettingsError(f"category {category!r} is a path; pass a plain name")
    if category in VIDEO_CATEGORIES:
        raise SettingsError(f"category {category!r} is a category of videos; use ffpp-extract")
    if label and labels().get(category, label) != label:
        raise SettingsError(f"category {category!r} is {labels()[category]}, not {label}")
    label = label or labels().get(category)
    if label not in ("real", "fake"):
        similar = get_close_matches(category, labels(), n=1)
        hint = f"; or did you mean {similar[0]}?" if similar else ""
        raise SettingsError(
            f"category {category!r} is unknown: pass its label with --label real or fake{hint}"
        )
    return label


def is_140k(root: Path) -> bool:
    """Whether a folder contains Kaggle's dataset "140k real and fake faces"."""
    return all(exists(root / name) for name in KAGGLE_CSVS) or _kaggle_folder(root) is not None


def _kaggle_folder(root: Path) -> Path | None:
    """Return the folder of train, valid and test, if both real and fake exist in any of them."""
    for folder in (root / name for name in KAGGLE_FOLDERS):
        if all((folder / split).is_dir() for split in PARTITIONS):
            kinds = {kind for _, kind, place in _kaggle_places(folder) if place.is_dir()}
            if kinds == set(KAGGLE_LABELS):
                return folder
    return None


def _kaggle_places(folder: Path) -> list[tuple[str, str, Path]]:
    """Return split, label and path of each of the dataset's folders, which may not exist."""
    return [(s, kind, folder / s / kind) for s in PARTITIONS for kind in KAGGLE_LABELS]


def _kaggle(root: Path) -> Survey:
    """Find the photographs of the 140k set from its CSV files if they exist, else its folders."""
    folder = _kaggle_folder(root) or root
    searched = media_files.find_files(folder, (PICTURE,))
    stills, remarks, used = list[Still](), list[str](), set[Path]()
    if all(exists(root / name) for name in KAGGLE_CSVS):
        used = {root / name for name in KAGGLE_CSVS}
        for name in KAGGLE_CSVS:
            for path, label in _kaggle_rows(root / name):
                stills.append(_kaggle_still(folder, path, label, Path(name).stem))
        if stills and not any(exists(still.path) for still in stills):
            raise DataNotFoundError(
                f"{root}: none of the {len(stills):,} images listed in {', '.join(KAGGLE_CSVS)} "
                f"exists, such as {stills[0].path}; unpack the folder real_vs_fake next to the "
                f"lists"
            )
        why = f"images not listed in {', '.join(KAGGLE_CSVS)}"
    else:
        for split, label, place in _kaggle_places(folder):
            # Each is searched separately: the same folder may be linked to several places.
            paths = media_files.find_files(place, (PICTURE,)).paths if place.is_dir() else []
            if not paths:
                remarks.append(f"{place} contains no images")
            for image in paths:
                relative = image.relative_to(folder).as_posix()
                stills.append(_kaggle_still(folder, relative, label, split))
        why = "images outside real and fake of train, valid and test"
    if not stills:
        raise DataNotFoundError(
            f"no images under {root}: {'; '.join(remarks) or 'its lists are empty'}. Unpack the "
            f"140k set there: train, valid and test, each with real and fake"
        )
    stills.sort(key=lambda still: (still.category, still.name))
    _check_distinct(root, stills)
    still_paths = {still.path for still in stills}
    used |= {place for _, _, place in _kaggle_places(folder)}  # links to one folder are all read
    skipped = [file for file in searched.passed_over if file.path not in used]
    skipped += [SkippedFile(path, why) for path in searched.paths if path not in still_paths]
    return Survey(root, stills, skipped, remarks=remarks)


def _kaggle_still(folder: Path, path: str, label: str, split: str) -> Still:
    name = PurePosixPath(path).with_suffix("").as_posix()
    return Still(KAGGLE_CATEGORIES[label], label, name, folder / path, partition=PARTITIONS[split])


def _kaggle_rows(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the columns `path` and `label_str` of a list, after checking each row."""
    try:
        with regular_file(path).open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file)
            missing = [c for c in KAGGLE_COLUMNS if c not in (rows.fieldnames or ())]
            if missing:
                raise DataNotFoundError(f"{path}: column {', '.join(missing)} is missing")
            for row in rows:
                label, image = row["label_str"], row["path"]
                if KAGGLE_LABELS.get(label) != row["label"]:
                    raise DataNotFoundError(
                        f"{path}, line {rows.line_num}: label {row['label']!r} and label_str "
                        f"{label!r} are inconsistent (fake is 0, real 1)"
                    )
                if not image or escapes_root(image):
                    raise DataNotFoundError(
                        f"{path}, line {rows.line_num}: path {image!r} must be inside the folder"
                    )
                yield image, label
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataNotFoundError(f"{path}: not a readable CSV file ({error})") from error


def _limited(stills: list[Still], limit: int | None) -> list[Still]:
    """Return the first `limit` stills of each category; all if None."""
    counts: Counter[str] = Counter()
    limited = []
    for still in stills:
        counts[still.category] += 1
        if limit is None or counts[still.category] <= limit:
            limited.append(still)
    return limited


def _check_distinct(folder: Path, stills: list[Still]) -> None:
    counts = Counter((still.category, still.name) for still in stills)
    duplicate = next((name for (_, name), n in counts.items() if n > 1), None)
    if duplicate:
        raise SettingsError(f"{folder}: several images are named {duplicate!r}; rename all but one")
