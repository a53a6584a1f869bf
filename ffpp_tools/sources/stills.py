"""What lies where: CelebA, CelebA-HQ, the 140k set and plain folders of photographs."""

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

# Folders of which a set says that they hold its photographs; what lies beside them does not count.
SET_FOLDERS = {
    **dict.fromkeys(celeba.FOLDERS, CELEBA),
    celeba.HQ_FOLDER: CELEBA_HQ,
}
PARTITION_LISTS = ("list_eval_partition.txt", "list_eval_partition.csv")
IDENTITY_LISTS = (official_lists.IDENTITIES, "identity_CelebA.csv")
# What the 140k set calls the splits.
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
    name: str  # path below the folder, without suffix
    path: Path
    identity: str = ""  # whose photograph, where an identity file says so
    photo: str = ""  # number of the CelebA photograph it is, or was made from
    partition: str = ""  # "train", "val" or "test" where the set's own lists say so


@dataclass(frozen=True)
class Photographs:
    """The picture files of a folder."""

    folder: Path  # below which they are named
    paths: list[Path]  # sorted
    passed_over: list[SkippedFile]


@dataclass(frozen=True)
class Survey:
    """What a folder of photographs holds, and what its lists say of them."""

    root: Path
    stills: list[Still]
    passed_over: list[SkippedFile]
    identities: Path | None = None  # the list that was read
    partitions: Path | None = None
    remarks: list[str] = field(default_factory=list)

    def known(self, people: Collection[str] = ()) -> Iterator[str]:
        """How many there are, and what is known of how many.

        Args:
            people: numbers of CelebA's photographs whose identity is known from elsewhere.
        """
        for category, of in Counter(still.category for still in self.stills).items():
            own = [still for still in self.stills if still.category == category]
            counts = [
                f"identity of {sum(bool(s.identity) or s.photo in people for s in own):,}"
                f"{_by(self.identities)}",
                f"split of {sum(bool(s.partition) for s in own):,}{_by(self.partitions)}",
            ]
            if category in (CELEBA, CELEBA_HQ):
                counts.append(f"number in CelebA of {sum(bool(s.photo) for s in own):,}")
            yield f"{category}: {counted(of, 'photograph')}; known: {', '.join(counts)}"
        yield from self.remarks

    def said(self, people: Collection[str] = ()) -> Iterator[str]:
        """What is known of how many, as `known` says it, and what was passed over."""
        yield from self.known(people)
        yield from media_files.summary(self.passed_over, self.root)


def find_stills(
    root: Path, category: str | None = None, label: str | None = None, limit: int | None = None
) -> list[Still]:
    """The photographs of a folder, as `survey` finds them."""
    return survey(root, category, label, limit).stills


def survey(
    root: Path, category: str | None = None, label: str | None = None, limit: int | None = None
) -> Survey:
    """The photographs of CelebA's tree, of CelebA-HQ, the 140k set or any folder, sorted by name.

    Read where they are there: CelebA's `identity_CelebA.txt` and `list_eval_partition.txt` or
    `.csv`, beside the photographs, in `Anno/` or `Eval/`, or up to two folders above;
    CelebAMask-HQ's `CelebA-HQ-to-CelebA-mapping.txt`; and the 140k set's `train.csv`, `valid.csv`
    and `test.csv`.

    Args:
        root: CelebA as its authors, torchvision or Kaggle lay it out, CelebA-HQ, CelebAMask-HQ, the
            140k set or a folder of images.
        category: what they are recorded as; the 140k set has two of its own.
        label: "real" or "fake"; needed only for categories the project does not know.
        limit: at most so many of each category.

    Raises:
        DataNotFoundError: no image there, or a list that cannot be read.
        SettingsError: an unknown category without a label, or one of a set of videos.
    """
    if is_140k(root):
        if category or label:
            raise SettingsError(
                f"{root} is the 140k set, whose categories are "
                f"{', '.join(KAGGLE_CATEGORIES.values())}; leave out --category and --label"
            )
        found = _kaggle(root)
        return replace(found, stills=_of_each(found.stills, limit))
    if category is None:
        raise SettingsError(f"{root}: say what its images are recorded as, with --category NAME")
    return _with_lists(root, category, _label(category, label), limit)


def images_below(folder: Path) -> list[Path]:
    """The picture files that `photographs` finds; none where there are none."""
    try:
        return photographs(folder).paths
    except DataNotFoundError:
        return []


def photographs(root: Path, category: str = "") -> Photographs:
    """The picture files of a set or of any folder, without masks, previews and second editions.

    Args:
        root: the folder.
        category: of several sets below it, take the one of this category.

    Raises:
        DataNotFoundError: none there.
    """
    found = media_files.find_files(root, (PICTURE,), left_out)
    masks = {path for path in found.paths if HQ_MASK_FILE.fullmatch(path.name)}
    paths = [path for path in found.paths if path not in masks] if masks else found.paths
    passed = [*found.passed_over, *(SkippedFile(path, MASKS) for path in sorted(masks))]
    counts = Counter(path.parent for path in paths)
    of_sets = Counter[Path]()
    for parent, count in counts.items():
        if folder := _set_folder(root, parent):
            of_sets[folder] += count
    own = [folder for folder in of_sets if SET_FOLDERS[folder.name] == category]
    folder = max(own or of_sets, key=lambda one: (of_sets[one], one), default=root)
    outside = {parent for parent in counts if not parent.is_relative_to(folder)}
    if outside:
        why = f"pictures outside {folder.name}"
        passed += [SkippedFile(path, why) for path in paths if path.parent in outside]
        paths = [path for path in paths if path.parent not in outside]
    if not paths:
        raise DataNotFoundError(_nothing_in(root, passed))
    return Photographs(folder, paths, passed)


def _set_folder(root: Path, parent: Path) -> Path | None:
    """The innermost folder that a set keeps its photographs in, of those that lead to `parent`."""
    below = parent.relative_to(root)
    above = (below, *below.parents)
    return next((root / folder for folder in above if folder.name in SET_FOLDERS), None)


def _nothing_in(root: Path, passed: list[SkippedFile]) -> str:
    if what := _no_folder(root):
        return f"{root}: {what}; name the folder that holds the photographs"
    told = "; ".join(media_files.summary(passed, root))
    return (
        f"no images under {root}{': ' if told else ''}{told}. Name the folder that holds the "
        f"photographs, unpacked: {', '.join(media_files.SUFFIXES[PICTURE])}, or CelebA's Img/"
        f"img_align_celeba. `ffpp-demo` draws stills of the same shape."
    )


def _no_folder(root: Path) -> str:
    if not exists(root):
        return "there is no such folder"
    return "" if root.is_dir() else "it is no folder"


def _with_lists(root: Path, category: str, label: str, limit: int | None) -> Survey:
    """The photographs of CelebA, of CelebA-HQ or of any folder, with what the sets' lists say."""
    found = photographs(root, category)
    _check_one_label(found, label)
    folder, stems = found.folder, [path.stem for path in found.paths]
    of_celeba = category in (CELEBA, CELEBA_HQ)
    names = celeba.numbering(category, folder, stems) if of_celeba else celeba.Numbering()
    listed = celeba.find_list(folder, IDENTITY_LISTS), celeba.find_list(folder, PARTITION_LISTS)
    identities = official_lists.read_values(listed[0]) if listed[0] else {}
    partitions = celeba.partition(listed[1]) if listed[1] else {}
    if of_celeba:  # whose lists name photographs by their number in CelebA
        identities, partitions = celeba.by_number(identities), celeba.by_number(partitions)
    stills = []
    for path in found.paths[:limit]:
        photo = names.numbers.get(path.stem, "")
        key = photo if of_celeba else path.stem
        identity, partition = identities.get(key, ""), partitions.get(key, "")
        name = path.relative_to(folder).with_suffix("").as_posix()
        stills.append(Still(category, label, name, path, identity, photo, partition))
    _check_distinct(folder, stills)
    mapping = celeba.find_list(folder, (HQ_MAPPING,))
    read = {path.absolute() for path in (*listed, mapping) if path}
    passed = [one for one in found.passed_over if one.path.absolute() not in read]
    remarks = [f"{category}: {names.said}"] if of_celeba else []
    return Survey(root, stills, passed, *listed, remarks)


def _check_one_label(found: Photographs, label: str) -> None:
    """Refuse to take real and fake pictures for one of these.

    Raises:
        SettingsError: a folder holds folders called real and fake.
    """
    folders = {path.parent.relative_to(found.folder) for path in found.paths}
    folders |= {folder for inner in folders for folder in inner.parents}
    called = {(folder.parent, folder.name.lower()) for folder in folders}
    both = sorted(
        parent for parent, name in called if name == "real" and (parent, "fake") in called
    )
    if both:
        raise SettingsError(
            f"{found.folder / both[0]} holds folders called real and fake, which cannot all be "
            f"{label}: name one of them, with a category of its own"
        )


def _by(path: Path | None) -> str:
    return f" (by {path.name})" if path else ""


def _label(category: str, label: str | None) -> str:
    if category != Path(category).name:
        raise SettingsError(f"category {category!r} names a folder; it must be a plain name")
    if category in VIDEO_CATEGORIES:
        raise SettingsError(f"category {category!r} belongs to videos; use ffpp-extract")
    if label and labels().get(category, label) != label:
        raise SettingsError(f"category {category!r} is {labels()[category]}, not {label}")
    label = label or labels().get(category)
    if label not in ("real", "fake"):
        alike = get_close_matches(category, labels(), n=1)
        meant = f"; or is it {alike[0]}?" if alike else ""
        raise SettingsError(
            f"category {category!r} is new: say what it is with --label real or fake{meant}"
        )
    return label


def is_140k(root: Path) -> bool:
    """Whether a folder is that of the Kaggle set 140k real and fake faces."""
    return all(exists(root / name) for name in KAGGLE_CSVS) or _kaggle_folder(root) is not None


def _kaggle_folder(root: Path) -> Path | None:
    """The folder that holds train, valid and test, with real and fake in one or more of them."""
    for folder in (root / name for name in KAGGLE_FOLDERS):
        if all((folder / split).is_dir() for split in PARTITIONS):
            kinds = {kind for _, kind, place in _kaggle_places(folder) if place.is_dir()}
            if kinds == set(KAGGLE_LABELS):
                return folder
    return None


def _kaggle_places(folder: Path) -> list[tuple[str, str, Path]]:
    """Split and label of each of the set's folders."""
    return [(s, kind, folder / s / kind) for s in PARTITIONS for kind in KAGGLE_LABELS]


def _kaggle(root: Path) -> Survey:
    """By its CSVs where they are there, else by its folders."""
    folder = _kaggle_folder(root) or root
    searched = media_files.find_files(folder, (PICTURE,))
    stills, remarks, own = list[Still](), list[str](), set[Path]()
    if all(exists(root / name) for name in KAGGLE_CSVS):
        own = {root / name for name in KAGGLE_CSVS}
        for name in KAGGLE_CSVS:
            for path, label in _kaggle_rows(root / name):
                stills.append(_kaggle_still(folder, path, label, Path(name).stem))
        if stills and not any(exists(still.path) for still in stills):
            raise DataNotFoundError(
                f"{root}: none of the {len(stills):,} images that {', '.join(KAGGLE_CSVS)} name is "
                f"there, such as {stills[0].path}; unpack the set's folder real_vs_fake beside them"
            )
        why = f"pictures on none of {', '.join(KAGGLE_CSVS)}"
    else:
        for split, label, place in _kaggle_places(folder):
            # Each by itself: the same folder may be linked to several places.
            paths = media_files.find_files(place, (PICTURE,)).paths if place.is_dir() else []
            if not paths:
                remarks.append(f"{place} holds no images")
            for image in paths:
                below = image.relative_to(folder).as_posix()
                stills.append(_kaggle_still(folder, below, label, split))
        why = "pictures outside real and fake of train, valid and test"
    if not stills:
        raise DataNotFoundError(
            f"no images under {root}: {'; '.join(remarks) or 'its lists are empty'}. Unpack the "
            f"140k set there: train, valid and test, each with real and fake"
        )
    stills.sort(key=lambda still: (still.category, still.name))
    _check_distinct(root, stills)
    taken = {still.path for still in stills}
    own |= {place for _, _, place in _kaggle_places(folder)}  # links to one folder are all read
    passed = [one for one in searched.passed_over if one.path not in own]
    passed += [SkippedFile(path, why) for path in searched.paths if path not in taken]
    return Survey(root, stills, passed, remarks=remarks)


def _kaggle_still(folder: Path, path: str, label: str, split: str) -> Still:
    name = PurePosixPath(path).with_suffix("").as_posix()
    return Still(KAGGLE_CATEGORIES[label], label, name, folder / path, partition=PARTITIONS[split])


def _kaggle_rows(path: Path) -> Iterator[tuple[str, str]]:
    """The columns `path` and `label_str` of a list, checked."""
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
                        f"{label!r} do not belong together (fake is 0, real 1)"
                    )
                if not image or escapes_root(image):
                    raise DataNotFoundError(
                        f"{path}, line {rows.line_num}: path {image!r} must lie below the folder"
                    )
                yield image, label
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataNotFoundError(f"{path}: not a readable CSV file ({error})") from error


def _of_each(stills: list[Still], limit: int | None) -> list[Still]:
    seen: Counter[str] = Counter()
    kept = []
    for still in stills:
        seen[still.category] += 1
        if limit is None or seen[still.category] <= limit:
            kept.append(still)
    return kept


def _check_distinct(folder: Path, stills: list[Still]) -> None:
    counts = Counter((still.category, still.name) for still in stills)
    twice = next((name for (_, name), n in counts.items() if n > 1), None)
    if twice:
        raise SettingsError(f"{folder}: several images are called {twice!r}; rename all but one")
