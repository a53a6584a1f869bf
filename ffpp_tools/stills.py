"""What lies where: CelebA, CelebA-HQ, the 140k set and plain folders of photographs."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path, PurePosixPath

from data_manifests import labels
from ffpp_tools import lists
from ffpp_tools.errors import DataNotFoundError, SettingsError
from ffpp_tools.files import leads_out, named, read_text, there
from ffpp_tools.layout import VIDEO_CATEGORIES

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
# What other sets' lists call the splits, by word and (CelebA's) by number.
PARTITIONS = {"train": "train", "valid": "val", "val": "val", "test": "test"}
CELEBA_PARTITIONS = {"0": "train", "1": "val", "2": "test"}
# CelebAMask-HQ counts its images from 0; this file of it says which of CelebA's each was made from.
HQ_MAPPING = "CelebA-HQ-to-CelebA-mapping.txt"
CELEBA_DIGITS = 6  # its images are called 000001 to 202599
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


def find_stills(
    root: Path, category: str | None = None, label: str | None = None, limit: int | None = None
) -> list[Still]:
    """The photographs of CelebA's tree, of CelebA-HQ, the 140k set or any folder, sorted by name.

    Read where they are there: CelebA's `Anno/identity_CelebA.txt` and
    `Eval/list_eval_partition.txt`, CelebAMask-HQ's `CelebA-HQ-to-CelebA-mapping.txt`, and the
    140k set's `train.csv`, `valid.csv` and `test.csv`.

    Args:
        root: CelebA (with `Img/img_align_celeba`), CelebA-HQ, the 140k set or a folder of images.
        category: what they are recorded as; the 140k set has two of its own.
        label: "real" or "fake"; needed only for categories the project does not know.
        limit: at most so many of each category.

    Raises:
        DataNotFoundError: no image there, or a list that cannot be read.
        SettingsError: an unknown category without a label, or one of a set of videos.
    """
    if _is_kaggle(root):
        if category or label:
            raise SettingsError(
                f"{root} is the 140k set, whose categories are "
                f"{', '.join(KAGGLE_CATEGORIES.values())}; leave out --category and --label"
            )
        return _of_each(_kaggle(root), limit)
    if category is None:
        raise SettingsError(f"{root}: say what its images are recorded as, with --category NAME")
    return _photographs(root, category, _label(category, label), limit)


def _photographs(root: Path, category: str, label: str, limit: int | None) -> list[Still]:
    """Those of CelebA, of CelebA-HQ or of any folder, with what the sets' own lists say of them."""
    aligned = root / "Img" / "img_align_celeba"
    folder = aligned if aligned.is_dir() else root
    paths = images_below(folder)
    if not paths:
        raise DataNotFoundError(
            f"no images under {folder}: looked for *{', *'.join(IMAGE_SUFFIXES)} "
            f"(and for CelebA's Img/img_align_celeba). `ffpp-demo` draws stills of the same shape."
        )
    identities = _values(root / "Anno" / lists.IDENTITIES)
    partitions = _values(root / "Eval" / "list_eval_partition.txt")
    mapping = _hq_mapping(root) if category == "CelebA-HQ" else {}
    stills = []
    for path in paths[:limit]:
        photo = _photo(path.stem, mapping) if category in ("CelebA", "CelebA-HQ") else ""
        key = photo or path.stem
        stills.append(
            Still(
                category,
                label,
                _name(path, folder),
                path,
                identities.get(key, ""),
                photo,
                CELEBA_PARTITIONS.get(partitions.get(key, ""), ""),
            )
        )
    _check_distinct(folder, stills)
    return stills


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


def _photo(stem: str, mapping: dict[int, str]) -> str:
    """The CelebA number of an image: by its own name, or by its index in CelebAMask-HQ."""
    if not (stem.isascii() and stem.isdigit()):
        return ""
    if len(stem) == CELEBA_DIGITS:
        return stem
    return mapping.get(int(stem), "")


def _hq_mapping(root: Path) -> dict[int, str]:
    """Index → CelebA number, from the file beside the images or beside their folder."""
    path = next((p for f in (root, root.parent) if there(p := f / HQ_MAPPING)), None)
    if path is None:
        return {}
    try:
        _, *lines = read_text(path).splitlines()
        rows = [line.split() for line in lines if line.strip()]
        return {int(index): Path(file).stem for index, _, file in rows}
    except ValueError as error:
        raise DataNotFoundError(
            f"{path}: expected a headline and lines of 'idx orig_idx orig_file'; {error}"
        ) from error


def _values(path: Path) -> dict[str, str]:
    return lists.read_values(path) if path.is_file() else {}


def _is_kaggle(root: Path) -> bool:
    return all(there(root / name) for name in KAGGLE_CSVS) or _kaggle_folder(root) is not None


def _kaggle_folder(root: Path) -> Path | None:
    """The folder that holds train, valid and test, each with real and fake."""
    folders = [root / name for name in KAGGLE_FOLDERS]
    wanted = [f"{split}/{label}" for split in ("train", "valid", "test") for label in KAGGLE_LABELS]
    return next((f for f in folders if all((f / w).is_dir() for w in wanted)), None)


def _kaggle(root: Path) -> list[Still]:
    """By its CSVs where they are there, else by its folders."""
    folder = _kaggle_folder(root)
    stills = []
    if all(there(root / name) for name in KAGGLE_CSVS):
        for name in KAGGLE_CSVS:
            for path, label in _kaggle_rows(root / name):
                stills.append(_kaggle_still(folder or root, path, label, Path(name).stem))
    elif folder is not None:
        for image in images_below(folder):
            split, label, *_ = image.relative_to(folder).parts
            if split in PARTITIONS and label in KAGGLE_CATEGORIES:
                path = image.relative_to(folder).as_posix()
                stills.append(_kaggle_still(folder, path, label, split))
    stills.sort(key=lambda still: (still.category, still.name))
    _check_distinct(root, stills)
    return stills


def _kaggle_still(folder: Path, path: str, label: str, split: str) -> Still:
    name = PurePosixPath(path).with_suffix("").as_posix()
    return Still(KAGGLE_CATEGORIES[label], label, name, folder / path, partition=PARTITIONS[split])


def _kaggle_rows(path: Path) -> Iterator[tuple[str, str]]:
    """The columns `path` and `label_str` of a list, checked."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
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
                if not image or leads_out(image):
                    raise DataNotFoundError(
                        f"{path}, line {rows.line_num}: path {image!r} must lie below the folder"
                    )
                yield image, label
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataNotFoundError(f"{path}: not a readable CSV file ({error})") from error


def _of_each(stills: list[Still], limit: int | None) -> list[Still]:
    seen: Counter[str] = Counter()
    kept = []
    for still in stills:
        seen[still.category] += 1
        if limit is None or seen[still.category] <= limit:
            kept.append(still)
    return kept


def _name(path: Path, folder: Path) -> str:
    return path.relative_to(folder).with_suffix("").as_posix()


def _check_distinct(folder: Path, stills: list[Still]) -> None:
    counts = Counter((still.category, still.name) for still in stills)
    twice = next((name for (_, name), n in counts.items() if n > 1), None)
    if twice:
        raise SettingsError(f"{folder}: several images are called {twice!r}; rename all but one")


def images_below(folder: Path) -> list[Path]:
    """The files below a folder that are called like pictures, sorted."""
    return named(sorted(p for p in folder.rglob("*") if _is_image(p)))


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")
