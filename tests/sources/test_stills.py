import shutil

import pytest

from ffpp_tools.errors import DataNotFoundError, SettingsError, TableError
from ffpp_tools.sources.celeba import HQ_MAPPING
from ffpp_tools.sources.stills import find_stills, survey

COLUMNS = ",original_path,id,label,label_str,path"


def test_celeba_stills_bear_their_identity(world):
    stills = find_stills(world / "CelebA", "CelebA")
    assert len(stills) == 60
    assert (stills[0].name, stills[0].identity, stills[0].label) == ("000001", "2", "real")


def test_celeba_hq_is_a_flat_folder_of_the_same_numbers(world):
    names = {s.name for s in find_stills(world / "CelebA-HQ", "CelebA-HQ")}
    assert len(names & {s.name for s in find_stills(world / "CelebA", "CelebA")}) == 8


def test_any_folder_of_images_needs_a_label(world):
    with pytest.raises(SettingsError, match=r"--label.*is it CelebA-HQ\?"):
        find_stills(world / "CelebA-HQ", "CelebAHQ")
    with pytest.raises(SettingsError, match=r"--label real or fake$"):
        find_stills(world / "CelebA-HQ", "Portraits")
    assert {s.label for s in find_stills(world / "CelebA-HQ", "Portraits", "fake")} == {"fake"}


def test_a_label_cannot_contradict_what_a_category_is(world):
    with pytest.raises(SettingsError, match="is real, not fake"):
        find_stills(world / "CelebA", "CelebA", "fake")


def test_an_identity_is_found_by_number_whatever_the_suffix(tmp_path):
    (tmp_path / "Anno").mkdir()
    (tmp_path / "Anno/identity_CelebA.txt").write_text("000007.jpg 42\n")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep/000007.png").touch()
    assert [s.identity for s in find_stills(tmp_path, "CelebA-HQ")] == ["42"]


def test_stills_cannot_pass_as_clips(world):
    with pytest.raises(SettingsError, match="ffpp-extract"):
        find_stills(world / "CelebA-HQ", "Youtube")


def test_two_images_of_one_name_are_refused(world, tmp_path):
    image = next((world / "CelebA-HQ").glob("*.jpg"))
    for suffix in (".jpg", ".JPEG"):
        shutil.copy(image, tmp_path / f"a{suffix}")
    with pytest.raises(SettingsError, match="'a'"):
        find_stills(tmp_path, "CelebA")


def test_an_empty_folder_of_stills_is_an_error(tmp_path):
    with pytest.raises(DataNotFoundError, match="no images"):
        find_stills(tmp_path, "CelebA")


def test_hidden_files_are_no_stills(tmp_path):
    for name in ("._a.jpg", "a.jpg"):
        (tmp_path / name).touch()
    assert [s.name for s in find_stills(tmp_path, "CelebA")] == ["a"]


def images(folder, *names):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_celebas_partition_is_read_where_it_is(tmp_path):
    images(
        tmp_path / "Img/img_align_celeba", "000001.jpg", "000002.jpg", "000003.jpg", "000004.jpg"
    )
    (tmp_path / "Eval").mkdir()
    partition = "000001.jpg 0\n000002.jpg 1\n000003.jpg 2\n"
    (tmp_path / "Eval/list_eval_partition.txt").write_text(partition)
    found = {s.photo: s.partition for s in find_stills(tmp_path, "CelebA")}
    assert found == {"000001": "train", "000002": "val", "000003": "test", "000004": ""}


@pytest.mark.parametrize("where", [".", ".."])
def test_celebamask_hqs_indices_are_mapped_to_celebas_numbers(tmp_path, where):
    folder = tmp_path / "CelebAMask-HQ/CelebA-HQ-img"
    images(folder, "0.jpg", "17.jpg", "99.jpg")
    mapping = "idx    orig_idx    orig_file\n0  119612  119613.jpg\n17 99094 099095.jpg\n"
    (folder / where / HQ_MAPPING).write_text(mapping)
    found = {s.name: s.photo for s in find_stills(folder, "CelebA-HQ")}
    assert found == {"0": "119613", "17": "099095", "99": ""}


def test_a_celeba_number_needs_no_mapping_and_other_numbers_are_none(tmp_path):
    images(tmp_path, "012712.jpg", "00017.jpg", "x.jpg", "\u0661\u0662\u0663\u0664\u0665\u0666.jpg")
    found = {s.photo for s in find_stills(tmp_path, "CelebA-HQ")}
    assert found == {"012712", ""}


@pytest.mark.parametrize("text", ["idx\n0 1\n", "idx\nzero 1 000001.jpg\n", ""])
def test_a_damaged_mapping_is_named(tmp_path, text):
    images(tmp_path, "0.jpg")
    (tmp_path / HQ_MAPPING).write_text(text)
    with pytest.raises(DataNotFoundError, match=HQ_MAPPING):
        find_stills(tmp_path, "CelebA-HQ")


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
    assert found["test/real/missing"] is False  # it will be a row that says so
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
        ("0,a,0,0,fale,train/fake/a.jpg", "do not belong together"),
        ("0,a,0,0,fake,../../secret.jpg", "must lie below"),
        ("0,a,0,0,fake,/etc/passwd", "must lie below"),
        ("0,a,0,0,fake,", "must lie below"),
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


def test_without_a_category_nothing_is_guessed(tmp_path):
    images(tmp_path, "a.jpg")
    with pytest.raises(SettingsError, match="--category NAME"):
        find_stills(tmp_path)


def passed(found):
    """What a survey has passed over: reason → names below its root."""
    reasons = {}
    for one in found.passed_over:
        reasons.setdefault(one.why, []).append(one.path.relative_to(found.root).as_posix())
    return reasons


def mapped(folder, numbers):
    """CelebAMask-HQ's mapping from indices to CelebA's numbers."""
    rows = [f"{i} {int(n) - 1} {n}.jpg" for i, n in enumerate(numbers)]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / HQ_MAPPING).write_text("\n".join(["idx orig_idx orig_file", *rows]) + "\n")


IDENTITY = "".join(f"{i:06d}.jpg {100 + i}\n" for i in range(1, 9))


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
        assert any("segmentation masks: 10 (" in line for line in found.said())


def test_identities_that_the_dataset_has_kept_are_counted(tmp_path):
    images(tmp_path, "000005.jpg", "000009.jpg")
    found = survey(tmp_path, "CelebA-HQ")
    assert "known: identity of 0, split of 0, number in CelebA of 2" in next(found.said())
    assert "known: identity of 1, " in next(found.said({"000009": "7"}))


def test_a_folder_of_masks_alone_holds_no_photographs(tmp_path):
    images(tmp_path, "0/00000_hair.png", "0/00000_ear_r.png")
    with pytest.raises(DataNotFoundError, match=r"no images.*as segmentation masks: 2 .*Name the"):
        find_stills(tmp_path, "CelebA-HQ")


@pytest.mark.parametrize(
    ("kept", "left", "why"),
    [
        (
            "Img/img_align_celeba/1.jpg",
            "Img/img_align_celeba_png/1.png",
            "the same photographs again",
        ),
        ("img_align_celeba/1.jpg", "img_celeba/1.jpg", "the same photographs again"),
        ("img_align_celeba/1.jpg", "docs/figure.png", "pictures outside img_align_celeba"),
        (
            "images1024x1024/00000/1.png",
            "thumbnails128x128/00000/1.png",
            "the same photographs again",
        ),
        ("images1024x1024/1.png", "in-the-wild-images/1.png", "the same photographs again"),
        ("images256x256/1.png", "images128x128/1.png", "the same photographs in another size"),
        ("in-the-wild-images/1.png", "thumbnails128x128/1.png", "the same photographs again"),
        ("celeba-1024/1.jpg", "celeba-256/1.jpg", "the same photographs in another size"),
        ("512x512/1.jpg", "128x128/1.jpg", "the same photographs in another size"),
        ("1.jpg", "thumbs/1.jpg", "the same photographs again"),
        ("images/1.jpg", "masks/1.png", "segmentation masks"),
        ("a/1.jpg", "__MACOSX/a/1.jpg", "hidden"),
        ("a/1.jpg", "a/.thumbnails/1.jpg", "hidden"),
    ],
)
def test_second_editions_and_by_products_are_left_out_by_name(tmp_path, kept, left, why):
    images(tmp_path, kept, left)
    found = survey(tmp_path, "CelebA")
    assert [s.path.relative_to(tmp_path).as_posix() for s in found.stills] == [kept]
    assert passed(found) == {why: [left]}
    images(tmp_path / "alone", left.split("/")[-1])
    assert len(find_stills(tmp_path / "alone", "CelebA")) == 1


def test_nothing_is_left_out_for_an_empty_folder(tmp_path):
    images(tmp_path, "img_celeba/000001.jpg", "thumbs/x.txt")
    (tmp_path / "img_align_celeba").mkdir()
    (tmp_path / "CelebA-HQ-img").mkdir()
    assert [s.name for s in find_stills(tmp_path, "CelebA")] == ["000001"]


def test_of_two_sets_in_one_folder_the_one_of_the_category_is_read(tmp_path):
    images(tmp_path, "CelebA/Img/img_align_celeba/000001.jpg")
    images(tmp_path, "CelebAMask-HQ/CelebA-HQ-img/0.jpg", "CelebAMask-HQ/CelebA-HQ-img/1.jpg")
    assert [s.name for s in find_stills(tmp_path, "CelebA")] == ["000001"]
    assert [s.name for s in find_stills(tmp_path, "CelebA-HQ")] == ["0", "1"]


def test_folders_that_are_people_or_wear_masks_are_no_by_products(tmp_path):
    names = ("64/1.jpg", "128/2.jpg", "with_mask/3.jpg", "id128/4.jpg", "id64/5.jpg")
    images(tmp_path, *names)
    assert len(find_stills(tmp_path, "Mine", "real")) == len(names)


@pytest.mark.parametrize(
    ("folder", "place", "root"),
    [
        ("Img/img_align_celeba", "Anno", "."),
        ("celeba/img_align_celeba", "celeba", "."),  # torchvision's
        ("celeba/img_align_celeba", "celeba", "celeba"),
        ("celeba/img_align_celeba", "celeba", "celeba/img_align_celeba"),
        ("img_align_celeba/img_align_celeba", ".", "."),  # Kaggle's
        ("img_align_celeba/img_align_celeba", ".", "img_align_celeba/img_align_celeba"),
        ("Img/img_align_celeba", "Anno", "Img/img_align_celeba"),
    ],
)
@pytest.mark.parametrize("kind", ["txt", "csv"])
def test_celebas_lists_are_read_wherever_copies_have_them(tmp_path, folder, place, root, kind):
    images(tmp_path / folder, "000001.jpg", "000002.jpg", "000003.jpg", "000009.jpg")
    (tmp_path / place).mkdir(parents=True, exist_ok=True)
    (tmp_path / place / "identity_CelebA.txt").write_text(IDENTITY)
    rows = [("000001.jpg", "2"), ("000002.jpg", "0"), ("000003.jpg", "1")]
    text = "image_id,partition\r\n" * (kind == "csv")  # which is not in all copies
    text += "".join(("," if kind == "csv" else " ").join(row) + "\n" for row in rows)
    (tmp_path / place / f"list_eval_partition.{kind}").write_text(text)
    found = survey(tmp_path / root, "CelebA")
    assert [(s.name, s.photo, s.identity, s.partition) for s in found.stills] == [
        ("000001", "000001", "101", "test"),
        ("000002", "000002", "102", "train"),
        ("000003", "000003", "103", "val"),
        ("000009", "000009", "", ""),
    ]
    assert next(found.said()) == (
        "CelebA: 4 photographs; known: identity of 3 (by identity_CelebA.txt), split of 3 (by "
        f"list_eval_partition.{kind}), number in CelebA of 4"
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("000001.jpg 3\n", "none of 0, 1, 2"),
        ("000001.jpg\n", "expected lines of"),
        ("000001.jpg 0\n000001.jpg 1\n", "twice"),
    ],
)
def test_a_damaged_partition_is_named(tmp_path, text, words):
    images(tmp_path, "000001.jpg")
    (tmp_path / "list_eval_partition.txt").write_text(text)
    with pytest.raises(TableError, match=rf"list_eval_partition\.txt.*{words}"):
        find_stills(tmp_path, "CelebA")


NUMBERS = [f"{n:06d}" for n in (5, 9, 31000, 42000, 53000, 64000, 75000, 86000, 97000, 108000)]


@pytest.mark.parametrize(
    ("names", "known"),
    [
        ("0 1 9", "000005 000009 108000"),
        ("00000 00001 00009", "000005 000009 108000"),
        ("000000 000001 000009", "000005 000009 108000"),
        ("1 2 10", "000005 000009 108000"),  # counted from 1
        ("00001 00002 00010", "000005 000009 108000"),
        ("000001 000002 000010", "000005 000009 108000"),
        ("000009 031000 108000", "000009 031000 108000"),  # CelebA's own numbers
        ("00001 00002 00009", ""),  # from 0 or from 1
        ("000005 000009", ""),  # any of them
        ("00003 00011", ""),  # beyond the mapping
        ("031001 042000", ""),  # of CelebA, and not of CelebA-HQ
        ("000001 000031000", ""),
    ],
)
def test_numbers_of_celeba_hq_are_read_only_where_they_can_mean_one_thing(tmp_path, names, known):
    images(tmp_path, *(f"{name}.jpg" for name in names.split()))
    mapped(tmp_path, NUMBERS)
    (tmp_path / "identity_CelebA.txt").write_text("".join(f"{n}.jpg {n}\n" for n in NUMBERS))
    found = survey(tmp_path, "CelebA-HQ")
    assert " ".join(sorted(s.photo for s in found.stills)).strip() == known
    assert [s.identity for s in found.stills] == [s.photo for s in found.stills]
    assert f"number in CelebA of {len(known.split())}" in next(found.said())
    assert known or any("their names may be" in t or "not the numbers" in t for t in found.remarks)


def test_indices_of_celebamask_hqs_own_folder_count_from_0(tmp_path):
    images(tmp_path / "CelebA-HQ-img", "1.jpg", "2.jpg")
    mapped(tmp_path, NUMBERS)
    assert [s.photo for s in find_stills(tmp_path, "CelebA-HQ")] == ["000009", "031000"]
    images(tmp_path / "test_img", "0.jpg", "1.jpg")  # numbered anew by its script g_partition.py
    assert [s.photo for s in find_stills(tmp_path / "test_img", "CelebA-HQ")] == ["", ""]


@pytest.mark.parametrize(("spread", "known"), [(7, True), (1, False)])
def test_numbers_that_may_be_indices_too_are_celebas_only_beyond_chance(tmp_path, spread, known):
    """Ten CelebA-HQ pictures with low numbers in CelebA, of which one in seven is in CelebA-HQ."""
    numbers = [f"{1 + spread * i:06d}" for i in range(300)]
    mapped(tmp_path, numbers)
    images(tmp_path, *(f"{n}.jpg" for n in numbers[:10]))
    found = survey(tmp_path, "CelebA-HQ")
    assert [s.photo for s in found.stills] == (numbers[:10] if known else [""] * 10)


def test_numbers_that_repeat_in_several_folders_are_no_indices(tmp_path):
    images(tmp_path, "male/0.jpg", "female/0.jpg", "female/1.jpg")
    mapped(tmp_path, NUMBERS)
    assert {s.photo for s in find_stills(tmp_path, "CelebA-HQ")} == {""}


@pytest.mark.parametrize(
    ("category", "numbers", "known"),
    [
        ("CelebA", range(1, 4), True),
        ("CelebA", range(3), False),  # 000000 is no photograph of CelebA
        ("CelebA", [1, 202_600], False),
        ("CelebA-HQ", range(3), False),
        ("CelebA-HQ", range(1, 1200), False),  # without a gap: indices, whatever they count from
    ],
)
def test_six_digits_are_celebas_numbers_only_if_they_can_be(tmp_path, category, numbers, known):
    images(tmp_path, *(f"{n:06d}.jpg" for n in numbers))
    (tmp_path / "identity_CelebA.txt").write_text(IDENTITY)
    found = survey(tmp_path, category)
    assert all(bool(s.photo) == bool(s.identity) == known for s in found.stills)


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
    assert any(line.endswith(f"{empty} holds no images") for line in found.said())
    (root / empty).rmdir()
    assert len(find_stills(tmp_path / "set")) == 5


def test_a_140k_set_without_an_image_is_an_error(tmp_path):
    names = kaggle(tmp_path)
    for name in names:
        (tmp_path / "real_vs_fake/real-vs-fake" / name).unlink()
    with pytest.raises(DataNotFoundError, match=r"no images.*train/fake holds no images.*Unpack"):
        find_stills(tmp_path)
    listed(tmp_path, names)
    with pytest.raises(DataNotFoundError, match=r"none of the 6 images.*unpack"):
        find_stills(tmp_path)


def test_images_of_the_140k_set_on_no_list_are_named(tmp_path):
    names = kaggle(tmp_path)
    listed(tmp_path, names[1:])
    (left_out,) = passed(survey(tmp_path)).values()
    assert left_out == [f"real_vs_fake/real-vs-fake/{names[0]}"]


def test_a_place_that_is_no_folder_is_said(tmp_path):
    for name, words in (("nowhere", "there is no such folder"), ("file", "it is no folder")):
        (tmp_path / "file").touch()
        with pytest.raises(DataNotFoundError, match=words):
            find_stills(tmp_path / name, "CelebA")


@pytest.mark.parametrize(
    "names", [("a/real/1.jpg", "a/fake/x/2.jpg"), ("Real/1.jpg", "Fake/2.jpg")]
)
def test_folders_of_reals_and_fakes_are_not_taken_for_one_label(tmp_path, names):
    images(tmp_path, *names)
    with pytest.raises(SettingsError, match="cannot all be real: name one of them"):
        find_stills(tmp_path, "Mine", "real")
    images(tmp_path / "b", "real/1.jpg", "x/fake/2.jpg")
    assert len(find_stills(tmp_path / "b", "Mine", "real")) == 2
