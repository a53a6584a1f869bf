import shutil

import pytest

from ffpp_tools.errors import DataNotFoundError, SettingsError
from ffpp_tools.stills import HQ_MAPPING, find_stills

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
