"""Photographs of CelebA, CelebA-HQ, the 140k set and plain folders."""

import shutil

import pytest

from ffpp_tools.errors import DataNotFoundError, SettingsError
from ffpp_tools.sources.stills import find_stills, survey
from tests.helpers.stills import IDENTITY, images, mapped, passed

COLUMNS = ",original_path,id,label,label_str,path"


def test_celebas_stills_have_identities(world):
    stills = find_stills(world / "CelebA", "CelebA")
    assert len(stills) == 60
    assert (stills[0].name, stills[0].identity, stills[0].label) == ("000001", "2", "real")


def test_celeba_hq_is_a_flat_folder_of_the_same_numbers(world):
    names = {s.name for s in find_stills(world / "CelebA-HQ", "CelebA-HQ")}
    assert len(names & {s.name for s in find_stills(world / "CelebA", "CelebA")}) == 8


def test_any_folder_of_images_needs_a_label(world):
    with pytest.raises(SettingsError, match=r"--label.*did you mean CelebA-HQ\?"):
        find_stills(world / "CelebA-HQ", "CelebAHQ")
    with pytest.raises(SettingsError, match=r"--label real or fake$"):
        find_stills(world / "CelebA-HQ", "Portraits")
    assert {s.label for s in find_stills(world / "CelebA-HQ", "Portraits", "fake")} == {"fake"}


def test_a_label_cannot_contradict_a_known_category(world):
    with pytest.raises(SettingsError, match="is real, not fake"):
        find_stills(world / "CelebA", "CelebA", "fake")


def test_an_identity_is_found_by_number_whatever_the_suffix(tmp_path):
    (tmp_path / "Anno").mkdir()
    (tmp_path / "Anno/identity_CelebA.txt").write_text("000007.jpg 42\n")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep/000007.png").touch()
    assert [s.identity for s in find_stills(tmp_path, "CelebA-HQ")] == ["42"]


def test_categories_of_videos_are_rejected(world):
    with pytest.raises(SettingsError, match="ffpp-extract"):
        find_stills(world / "CelebA-HQ", "Youtube")


def test_two_images_of_the_same_name_are_an_error(world, tmp_path):
    image = next((world / "CelebA-HQ").glob("*.jpg"))
    for suffix in (".jpg", ".JPEG"):
        shutil.copy(image, tmp_path / f"a{suffix}")
    with pytest.raises(SettingsError, match="'a'"):
        find_stills(tmp_path, "CelebA")


def test_an_empty_folder_of_stills_is_an_error(tmp_path):
    with pytest.raises(DataNotFoundError, match="no images"):
        find_stills(tmp_path, "CelebA")


def test_hidden_files_are_not_stills(tmp_path):
    for name in ("._a.jpg", "a.jpg"):
        (tmp_path / name).touch()
    assert [s.name for s in find_stills(tmp_path, "CelebA")] == ["a"]


def kaggle(root, below="real_vs_fake/real-vs-fake"):
    """The 140k set's folders with one image of each kind."""
    names = [f"{s}/{k}/{k[0]}{s}.jpg" for s in ("train", "valid", "test") for k in ("real", "fake")]
    images(root / below, *names)
    return names


def listed(root, names):
    """The set's CSVs for such images."""
    for split in ("train", "valid", "test"):
        rows = [
            f"{i},/source/{n},{i},{int('real' in n)},{n.split('/')[1]},{n}"
            for i, n in enumerate(n for n in names if n.startswith(split))
        ]
        (root / f"{split}.csv").write_text("\n".join([COLUMNS, *rows]) + "\n")


@pytest.mark.parametrize("below", ["real_vs_fake/real-vs-fake", "real-vs-fake", "."])
@pytest.mark.parametrize("by", ["folder", "csv"])
def test_the_140k_set_is_found_by_folder_and_by_csv(tmp_path, below, by):
    names = kaggle(tmp_path, below)
    if by == "csv":
        listed(tmp_path, names)
    found = find_stills(tmp_path)
    assert [(s.category, s.label, s.partition, s.name) for s in found] == [
        (f"140k-{k}", k, partition, f"{folder}/{k}/{k[0]}{folder}")
        for k in ("fake", "real")
        for folder, partition in (("test", "test"), ("train", "train"), ("valid", "val"))
    ]
    assert all(s.path.is_file() for s in found)
    assert len(find_stills(tmp_path, limit=1)) == 2


def test_the_csvs_decide_what_is_in_the_140k_set(tmp_path):
    names = kaggle(tmp_path)
    listed(tmp_path, [*names[1:], "test/real/missing.jpg"])
    found = {s.name: s.path.is_file() for s in find_stills(tmp_path)}
    assert found["test/real/missing"] is False  # it gets a ledger row with an error
    assert len(found) == 6
    assert names[0].removesuffix(".jpg") not in found


def test_the_140k_set_has_its_own_categories(tmp_path):
    kaggle(tmp_path)
    with pytest.raises(SettingsError, match="140k-real, 140k-fake"):
        find_stills(tmp_path, "Faces", "real")


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("0,a,0,1,fake,train/fake/a.jpg", r"train\.csv, line 2: label '1' and label_str 'fake'"),
        ("0,a,0,0,fale,train/fake/a.jpg", "are inconsistent"),
        ("0,a,0,0,fake,../../secret.jpg", "must be inside"),
        ("0,a,0,0,fake,/etc/passwd", "must be inside"),
        ("0,a,0,0,fake,", "must be inside"),
    ],
)
def test_wrong_rows_of_the_140k_set_are_named(tmp_path, row, words):
    listed(tmp_path, kaggle(tmp_path))
    (tmp_path / "train.csv").write_text(f"{COLUMNS}\n{row}\n")
    with pytest.raises(DataNotFoundError, match=words):
        find_stills(tmp_path)


def test_a_missing_column_of_the_140k_set_is_named(tmp_path):
    listed(tmp_path, kaggle(tmp_path))
    (tmp_path / "train.csv").write_text("original_path,id,label,path\na,0,0,b\n")
    with pytest.raises(DataNotFoundError, match=r"train\.csv: column label_str is missing"):
        find_stills(tmp_path)


def test_a_plain_folder_needs_a_category(tmp_path):
    images(tmp_path, "a.jpg")
    with pytest.raises(SettingsError, match="--category NAME"):
        find_stills(tmp_path)


@pytest.mark.parametrize("root", [".", "CelebAMask-HQ", "CelebAMask-HQ/CelebA-HQ-img"])
def test_of_celebamask_hq_only_the_photographs_are_read(tmp_path, root):
    folder = tmp_path / "CelebAMask-HQ"
    images(folder / "CelebA-HQ-img", "0.jpg", "1.jpg", "3.jpg")
    masks = [f"{i % 2}/{i:05d}_{part}.png" for i in range(4) for part in ("hair", "l_brow")]
    images(folder / "CelebAMask-HQ-mask-anno", *masks)
    images(folder / "CelebAMask-HQ-mask", "0.png", "1.png")  # as its script g_mask.py makes them
    mapped(folder, ["000005", "000002", "000008", "000003"])
    (folder / "identity_CelebA.txt").write_text(IDENTITY)
    found = survey(tmp_path / root, "CelebA-HQ")
    assert [(s.name, s.photo, s.identity) for s in found.stills] == [
        ("0", "000005", "105"),
        ("1", "000002", "102"),
        ("3", "000003", "103"),
    ]
    if not root.endswith("img"):
        assert len(passed(found)["segmentation masks"]) == 10
        assert any("skipped 10 (segmentation masks)" in line for line in found.summary_lines())


def test_identities_known_from_the_dataset_are_counted(tmp_path):
    images(tmp_path, "000005.jpg", "000009.jpg")
    found = survey(tmp_path, "CelebA-HQ")
    counts = "; identity known for 0, split known for 0, CelebA number known for 2"
    assert counts in next(found.summary_lines())
    assert "; identity known for 1, " in next(found.summary_lines({"000009": "7"}))


def test_the_category_selects_one_of_two_datasets_in_a_folder(tmp_path):
    images(tmp_path, "CelebA/Img/img_align_celeba/000001.jpg")
    images(tmp_path, "CelebAMask-HQ/CelebA-HQ-img/0.jpg", "CelebAMask-HQ/CelebA-HQ-img/1.jpg")
    assert [s.name for s in find_stills(tmp_path, "CelebA")] == ["000001"]
    assert [s.name for s in find_stills(tmp_path, "CelebA-HQ")] == ["0", "1"]


@pytest.mark.parametrize("empty", ["train/real", "valid/fake"])
def test_linked_and_empty_class_folders_of_the_140k_set(tmp_path, empty):
    root = tmp_path / "set/real_vs_fake/real-vs-fake"
    names = [name for name in kaggle(tmp_path / "set") if not name.startswith(empty)]
    shutil.rmtree(root / empty)
    (root / empty).mkdir()
    (root / "test/fake").rename(tmp_path / "elsewhere")
    (root / "test/fake").symlink_to(tmp_path / "elsewhere")
    found = survey(tmp_path / "set")
    assert sorted(s.name for s in found.stills) == sorted(n.removesuffix(".jpg") for n in names)
    assert any(line.endswith(f"{empty} contains no images") for line in found.summary_lines())
    (root / empty).rmdir()
    assert len(find_stills(tmp_path / "set")) == 5


def test_a_140k_set_without_an_image_is_an_error(tmp_path):
    names = kaggle(tmp_path)
    for name in names:
        (tmp_path / "real_vs_fake/real-vs-fake" / name).unlink()
    with pytest.raises(
        DataNotFoundError, match=r"no images.*train/fake contains no images.*Unpack"
    ):
        find_stills(tmp_path)
    listed(tmp_path, names)
    with pytest.raises(DataNotFoundError, match=r"none of the 6 images.*unpack"):
        find_stills(tmp_path)


def test_images_that_are_not_listed_in_the_140k_set_are_reported(tmp_path):
    names = kaggle(tmp_path)
    listed(tmp_path, names[1:])
    (unlisted,) = passed(survey(tmp_path)).values()
    assert unlisted == [f"real_vs_fake/real-vs-fake/{names[0]}"]


def test_a_missing_folder_or_a_file_in_its_place_is_an_error(tmp_path):
    for name, words in (("nowhere", "nowhere does not exist"), ("file", "file is not a folder")):
        (tmp_path / "file").touch()
        with pytest.raises(DataNotFoundError, match=words):
            find_stills(tmp_path / name, "CelebA")


@pytest.mark.parametrize(
    "names", [("a/real/1.jpg", "a/fake/x/2.jpg"), ("Real/1.jpg", "Fake/2.jpg")]
)
def test_folders_named_real_and_fake_cannot_have_one_label(tmp_path, names):
    images(tmp_path, *names)
    with pytest.raises(SettingsError, match="cannot both be real: pass one of them"):
        find_stills(tmp_path, "Mine", "real")
    images(tmp_path / "b", "real/1.jpg", "x/fake/2.jpg")
    assert len(find_stills(tmp_path / "b", "Mine", "real")) == 2
