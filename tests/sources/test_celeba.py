"""CelebA's lists and image numbers."""

import pytest

from ffpp_tools.errors import DataNotFoundError, TableError
from ffpp_tools.sources.celeba import HQ_MAPPING
from ffpp_tools.sources.stills import find_stills, survey
from tests.helpers.stills import IDENTITY, NUMBERS, images, mapped


def test_celebas_official_split_is_read_from_eval(tmp_path):
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


def test_celebas_numbers_need_no_mapping_and_other_names_have_no_number(tmp_path):
    images(tmp_path, "012712.jpg", "00017.jpg", "x.jpg", "\u0661\u0662\u0663\u0664\u0665\u0666.jpg")
    found = {s.photo for s in find_stills(tmp_path, "CelebA-HQ")}
    assert found == {"012712", ""}


@pytest.mark.parametrize("text", ["idx\n0 1\n", "idx\nzero 1 000001.jpg\n", ""])
def test_a_damaged_mapping_is_named(tmp_path, text):
    images(tmp_path, "0.jpg")
    (tmp_path / HQ_MAPPING).write_text(text)
    with pytest.raises(DataNotFoundError, match=HQ_MAPPING):
        find_stills(tmp_path, "CelebA-HQ")


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
def test_celebas_lists_are_found_in_every_known_layout(tmp_path, folder, place, root, kind):
    images(tmp_path / folder, "000001.jpg", "000002.jpg", "000003.jpg", "000009.jpg")
    (tmp_path / place).mkdir(parents=True, exist_ok=True)
    (tmp_path / place / "identity_CelebA.txt").write_text(IDENTITY)
    rows = [("000001.jpg", "2"), ("000002.jpg", "0"), ("000003.jpg", "1")]
    text = "image_id,partition\r\n" * (kind == "csv")  # some copies have no header
    text += "".join(("," if kind == "csv" else " ").join(row) + "\n" for row in rows)
    (tmp_path / place / f"list_eval_partition.{kind}").write_text(text)
    found = survey(tmp_path / root, "CelebA")
    assert [(s.name, s.photo, s.identity, s.partition) for s in found.stills] == [
        ("000001", "000001", "101", "test"),
        ("000002", "000002", "102", "train"),
        ("000003", "000003", "103", "val"),
        ("000009", "000009", "", ""),
    ]
    assert next(found.summary_lines()) == (
        "CelebA: 4 photographs; identity known for 3 (from identity_CelebA.txt), split known for 3 "
        f"(from list_eval_partition.{kind}), CelebA number known for 4"
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("000001.jpg 3\n", "not one of 0, 1, 2"),
        ("000001.jpg\n", "expected lines of"),
        ("000001.jpg 0\n000001.jpg 1\n", "twice"),
    ],
)
def test_a_damaged_partition_is_named(tmp_path, text, words):
    images(tmp_path, "000001.jpg")
    (tmp_path / "list_eval_partition.txt").write_text(text)
    with pytest.raises(TableError, match=rf"list_eval_partition\.txt.*{words}"):
        find_stills(tmp_path, "CelebA")


@pytest.mark.parametrize(
    ("names", "known"),
    [
        ("0 1 9", "000005 000009 108000"),
        ("00000 00001 00009", "000005 000009 108000"),
        ("000000 000001 000009", "000005 000009 108000"),
        ("1 2 10", "000005 000009 108000"),  # numbered from 1
        ("00001 00002 00010", "000005 000009 108000"),
        ("000001 000002 000010", "000005 000009 108000"),
        ("000009 031000 108000", "000009 031000 108000"),  # CelebA's own numbers
        ("00001 00002 00009", ""),  # from 0 or from 1
        ("000005 000009", ""),  # from 0, from 1 or CelebA's
        ("00003 00011", ""),  # outside the mapping
        ("031001 042000", ""),  # CelebA's, but not in CelebA-HQ
        ("000001 000031000", ""),
    ],
)
def test_ambiguous_numbers_of_celeba_hq_are_ignored(tmp_path, names, known):
    images(tmp_path, *(f"{name}.jpg" for name in names.split()))
    mapped(tmp_path, NUMBERS)
    (tmp_path / "identity_CelebA.txt").write_text("".join(f"{n}.jpg {n}\n" for n in NUMBERS))
    found = survey(tmp_path, "CelebA-HQ")
    assert " ".join(sorted(s.photo for s in found.stills)).strip() == known
    assert [s.identity for s in found.stills] == [s.photo for s in found.stills]
    assert f"CelebA number known for {len(known.split())}" in next(found.summary_lines())
    assert known or any("names may be" in t or "do not match" in t for t in found.remarks)


def test_images_in_celebamask_hqs_own_folder_are_numbered_from_0(tmp_path):
    images(tmp_path / "CelebA-HQ-img", "1.jpg", "2.jpg")
    mapped(tmp_path, NUMBERS)
    assert [s.photo for s in find_stills(tmp_path, "CelebA-HQ")] == ["000009", "031000"]
    images(tmp_path / "test_img", "0.jpg", "1.jpg")  # renumbered by its script g_partition.py
    assert [s.photo for s in find_stills(tmp_path / "test_img", "CelebA-HQ")] == ["", ""]


@pytest.mark.parametrize(("spread", "known"), [(7, True), (1, False)])
def test_numbers_that_could_be_indices_are_celebas_only_if_chance_is_excluded(
    tmp_path, spread, known
):
    """Ten CelebA-HQ images with low CelebA numbers, of which one in seven is in CelebA-HQ."""
    numbers = [f"{1 + spread * i:06d}" for i in range(300)]
    mapped(tmp_path, numbers)
    images(tmp_path, *(f"{n}.jpg" for n in numbers[:10]))
    found = survey(tmp_path, "CelebA-HQ")
    assert [s.photo for s in found.stills] == (numbers[:10] if known else [""] * 10)


def test_numbers_that_occur_in_several_folders_are_not_indices(tmp_path):
    images(tmp_path, "male/0.jpg", "female/0.jpg", "female/1.jpg")
    mapped(tmp_path, NUMBERS)
    assert {s.photo for s in find_stills(tmp_path, "CelebA-HQ")} == {""}


@pytest.mark.parametrize(
    ("category", "numbers", "known"),
    [
        ("CelebA", range(1, 4), True),
        ("CelebA", range(3), False),  # CelebA has no 000000
        ("CelebA", [1, 202_600], False),
        ("CelebA-HQ", range(3), False),
        ("CelebA-HQ", range(1, 1200), False),  # without a gap, so they are indices
    ],
)
def test_six_digit_names_are_celebas_numbers_only_if_all_are_in_range(
    tmp_path, category, numbers, known
):
    images(tmp_path, *(f"{n:06d}.jpg" for n in numbers))
    (tmp_path / "identity_CelebA.txt").write_text(IDENTITY)
    found = survey(tmp_path, category)
    assert all(bool(s.photo) == bool(s.identity) == known for s in found.stills)
