import pandas as pd
import pytest

from ffpp_tools.groups import groups
from ffpp_tools.tables import read_frames


def ledger(*rows):
    columns = ["category", "compression", "clip", "target_id", "source_id"]
    return pd.DataFrame(rows, columns=columns)


def test_a_fake_ties_its_target_to_its_source():
    frames = ledger(
        ("Youtube", "c40", "183", "183", ""),
        ("Youtube", "c40", "253", "253", ""),
        ("Youtube", "c40", "469", "469", ""),
        ("Deepfakes", "c40", "253_183", "253", "183"),
        ("FaceSwap", "c23", "183_253", "183", "253"),
    )
    found = list(groups(frames))
    assert found == ["youtube/183", "youtube/183", "youtube/469", "youtube/183", "youtube/183"]


def test_numbers_of_actors_and_of_videos_are_not_mixed_up():
    frames = ledger(
        ("Youtube", "c40", "013", "013", ""),
        ("Actors", "c40", "013__kitchen_pan", "013", ""),
        ("DeepFakeDetection", "c40", "013_07__kitchen_pan__ABC", "013", "07"),
    )
    assert list(groups(frames)) == ["youtube/013", "actor/013", "actor/013"]


def test_photographs_are_tied_by_identity_and_by_celeba_number():
    frames = ledger(
        ("CelebA", "still", "000001", "2880", ""),
        ("CelebA", "still", "000002", "2880", ""),
        ("CelebA", "still", "000003", "17", ""),
        ("CelebA-HQ", "still", "000002", "", ""),
        ("CelebA-HQ", "still", "000009", "", ""),
        ("Portraits", "still", "000003", "", ""),
    )
    first, second, third, same_as_second, own, other = groups(frames)
    assert first == second == same_as_second
    assert len({first, third, own, other}) == 4


def test_a_nested_celeba_hq_image_is_tied_by_its_number_too():
    frames = ledger(
        ("CelebA", "still", "img_align_celeba/000057", "12", ""),
        ("CelebA-HQ", "still", "train/female/000057", "", ""),
        ("Portraits", "still", "a/000057", "", ""),
        ("Portraits", "still", "b/000057", "", ""),
    )
    celeba, hq, first, second = groups(frames)
    assert celeba == hq
    assert len({celeba, first, second}) == 3


@pytest.mark.parametrize("seed", range(3))
def test_groups_do_not_depend_on_the_order_of_the_rows(dataset, seed):
    frames = read_frames(dataset)
    shuffled = frames.sample(frac=1, random_state=seed)
    pd.testing.assert_series_equal(groups(shuffled).sort_index(), groups(frames))
