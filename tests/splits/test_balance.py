import numpy as np
import pandas as pd
import pytest

from ffpp_tools.errors import SettingsError, SplitError
from ffpp_tools.splits.balance import (
    apportioned,
    at_random,
    balanced,
    capacity,
    count_multiple,
    shrunk,
    strata_capacity,
    strata_counts,
)
from ffpp_tools.store.schema import SPLITS


def samples(*kinds, split="train"):
    """Samples of some kinds: (class, category, compression, clip, how many)."""
    rows = [
        {
            "class": name,
            "label": "real" if name == "real" else "fake",
            "category": category,
            "compression": compression,
            "clip": clip,
            "face_id": f"{category}/{compression}/{clip}/{number:06d}",
            "split": split,
        }
        for name, category, compression, clip, count in kinds
        for number in range(count)
    ]
    table = pd.DataFrame(rows)
    table["draw"], table["order"] = np.random.default_rng(0).random((2, len(table)))
    return table.assign(face=range(len(table)), original=-1)


FAKES = samples(
    ("fake", "Deepfakes", "c40", "000_001", 6),
    ("fake", "FaceSwap", "c40", "000_001", 2),
    ("real", "Youtube", "c40", "000", 9),
)
MADE_OF = {"fake": ["Deepfakes", "FaceSwap"], "real": ["Youtube"]}


def test_a_class_of_fakes_can_give_as_many_of_each_method_as_there_are_of_the_scarcest():
    assert capacity(FAKES, MADE_OF) == {"fake": 4, "real": 9}
    assert capacity(FAKES, MADE_OF, equal_methods=False) == {"fake": 8, "real": 9}


def test_a_category_of_which_there_is_nothing_leaves_nothing_of_its_fakes():
    assert capacity(FAKES, {"fake": ["Deepfakes", "NeuralTextures"]}) == {"fake": 0}


def test_classes_of_two_and_of_three_methods_are_equal_at_multiples_of_six():
    rows = samples(
        *(("a", category, "c40", "0", 1) for category in ("A", "B")),
        *(("b", category, "c40", "0", 1) for category in ("C", "D", "E")),
        *(("real", category, "c40", "0", 1) for category in ("F", "G", "H", "I", "J")),
    )
    assert count_multiple(rows, ["a", "b", "real"]) == 6
    assert count_multiple(rows, ["real"]) == 1


def test_every_clip_gives_one_before_any_gives_two_at_each_compression_its_own():
    clips = [("real", "Youtube", *clip, 5) for clip in (("c23", "0"), ("c40", "0"), ("c40", "1"))]
    rows = pd.concat([samples(*clips, split=split) for split in SPLITS], ignore_index=True)
    drawn = balanced(rows, {"train": 3, "val": 6, "test": 9})
    for (split, part), each in zip(drawn.items(), (1, 2, 3), strict=True):
        assert set(part["split"]) == {split}
        assert part.groupby(["compression", "clip"]).size().tolist() == [each] * 3
        assert part["face_id"].is_monotonic_increasing


def test_which_samples_are_drawn_at_random_and_their_side_are_chance_and_not_the_rows_order():
    rows = samples(("real", "Youtube", "c40", "000", 300), ("fake", "FaceSwap", "c40", "0_1", 200))
    counts = {"train": 60, "val": 20, "test": 20}
    made = at_random(rows, counts)
    for name in ("real", "fake"):
        own = rows[rows["class"] == name]
        chosen = {split: part[part["class"] == name]["face_id"] for split, part in made.items()}
        assert {split: len(ids) for split, ids in chosen.items()} == counts
        wanted = own.sort_values("draw")["face_id"][:100]
        every = pd.concat(chosen.values())
        assert set(every) == set(wanted)
        # Neither where a row stands nor its `draw` tells the side: that is `order`'s.
        by_order = own[own["face_id"].isin(wanted)].sort_values("order")["face_id"].tolist()
        assert [set(chosen[s]) for s in SPLITS] == [
            set(by_order[:60]),
            set(by_order[60:80]),
            set(by_order[80:]),
        ]
    again = at_random(rows.sample(frac=1, random_state=1), counts)
    for split in SPLITS:
        assert again[split]["face_id"].tolist() == made[split]["face_id"].tolist()


@pytest.mark.parametrize(
    ("there", "expected"),
    [
        ({"train": 200, "val": 20, "test": 40}, {"train": 100, "val": 10, "test": 20}),
        ({"train": 50, "val": 20, "test": 40}, {"train": 50, "val": 5, "test": 10}),
        ({"train": 90, "val": 20, "test": 10}, {"train": 50, "val": 5, "test": 10}),
    ],
    ids=["more than enough", "train is short", "test is shorter"],
)
def test_shrinking_goes_as_far_as_it_must_and_never_asks_for_more(there, expected):
    assert shrunk({"train": 100, "val": 10, "test": 20}, there) == expected


def test_a_split_that_would_be_shrunk_to_nothing_is_refused():
    with pytest.raises(
        SplitError, match=r"leaves no samples in val: .* has 9 train, 10 val, 20 test"
    ):
        shrunk({"train": 100, "val": 10, "test": 20}, {"train": 9, "val": 10, "test": 20})


EIGHTY = {"train": 0.8, "val": 0.1, "test": 0.1}


def test_every_split_gets_one_at_least():
    assert apportioned(3, EIGHTY) == {"train": 1, "val": 1, "test": 1}
    assert apportioned(20, EIGHTY) == {"train": 16, "val": 2, "test": 2}


@pytest.mark.parametrize(
    ("total", "ratios", "words"),
    [
        (2, EIGHTY, r"per_class \(2\) must be at least 3"),
        (10, {"train": 0.0, "val": 0.5, "test": 0.5}, "no training samples"),
    ],
)
def test_too_few_to_share_out_are_refused(total, ratios, words):
    with pytest.raises(SettingsError, match=words):
        apportioned(total, ratios)


TWO = samples(
    ("fake", "Deepfakes", "c23", "0_1", 9),
    ("fake", "Deepfakes", "c40", "0_1", 4),
    ("fake", "FaceSwap", "c23", "0_1", 6),
    ("fake", "FaceSwap", "c40", "0_1", 7),
    ("real", "Youtube", "c23", "0", 3),
    ("real", "Youtube", "c40", "0", 9),
    ("real", "CelebA", "still", "0", 40),
)
MADE_OF_TWO = {"fake": ["Deepfakes", "FaceSwap"], "real": ["CelebA", "Youtube"]}


def test_each_compression_is_limited_by_the_class_that_has_least_of_it():
    """Of 24 samples Youtube gives 12, so its 3 at c23 are enough for 6 of each class."""
    assert strata_capacity(TWO, MADE_OF_TWO, 24) == {"c23": 6, "c40": 8}
    assert strata_capacity(TWO, MADE_OF_TWO, 24, equal_methods=False) == {"c23": 6, "c40": 11}
    no_stills = TWO[TWO["compression"] != "still"]
    assert strata_capacity(no_stills, MADE_OF_TWO, 12) == {"c23": 3, "c40": 8}
    no_youtube = TWO[TWO["category"] != "Youtube"]
    assert strata_capacity(no_youtube, MADE_OF_TWO, 24) == {"c23": 12, "c40": 8}
    lacking = TWO[(TWO["category"] != "FaceSwap") | (TWO["compression"] != "c23")]
    assert strata_capacity(lacking, MADE_OF_TWO, 14) == {"c23": 0, "c40": 8}


def test_samples_are_shared_over_compressions_as_equally_as_can_be():
    assert strata_counts({"c23": 50, "c40": 18}, 20) == {"c23": 10, "c40": 10}
    assert strata_counts({"c23": 50, "c40": 18}, 21) == {"c23": 11, "c40": 10}
    assert strata_counts({"c23": 12, "c40": 4}, 12, 4) == {"c23": 8, "c40": 4}


def test_compressions_are_drawn_in_the_asked_numbers_and_stills_fill_up():
    rows = pd.concat([TWO.assign(split=split) for split in SPLITS], ignore_index=True)
    counts = {"train": 14, "val": 9, "test": 2}
    strata = {
        "train": {"c23": 6, "c40": 8},
        "val": {"c23": 5, "c40": 4},
        "test": {"c23": 1, "c40": 1},
    }
    drawn = balanced(rows, counts, strata)
    keys = ["category", "compression"]
    sizes = {split: part.groupby(keys).size().to_dict() for split, part in drawn.items()}
    assert sizes["train"] == {
        ("Deepfakes", "c23"): 3,
        ("Deepfakes", "c40"): 4,
        ("FaceSwap", "c23"): 3,
        ("FaceSwap", "c40"): 4,
        ("Youtube", "c23"): 3,
        ("Youtube", "c40"): 4,
        ("CelebA", "still"): 7,
    }
    # Of nine one method gives five; what is odd at c23 goes to the one, if at c40, to the other.
    assert sizes["val"] == {
        ("Deepfakes", "c23"): 3,
        ("Deepfakes", "c40"): 2,
        ("FaceSwap", "c23"): 2,
        ("FaceSwap", "c40"): 2,
        ("Youtube", "c23"): 2,
        ("Youtube", "c40"): 2,
        ("CelebA", "still"): 5,
    }
    fakes = drawn["test"].query("label == 'fake'")
    assert sorted(fakes["category"]) == ["Deepfakes", "FaceSwap"]
    assert sorted(fakes["compression"]) == ["c23", "c40"]


def test_a_method_short_of_one_compression_gives_all_that_it_has_of_it():
    rows = pd.concat([TWO.assign(split=split) for split in SPLITS], ignore_index=True)
    rows = rows[rows["label"] == "fake"]
    strata = {split: {"c23": 14, "c40": 2} for split in SPLITS}
    drawn = balanced(rows, dict.fromkeys(SPLITS, 16), strata)["train"]
    sizes = drawn.groupby(["category", "compression"]).size().to_dict()
    assert sizes["Deepfakes", "c23"] == 8
    assert sizes["FaceSwap", "c23"] == 6
    assert sizes["FaceSwap", "c40"] == sizes["Deepfakes", "c40"] == 1


def test_a_class_short_of_clips_at_one_compression_takes_fewer_of_both():
    """Youtube has one sample at c23, where the fakes have as many there as at c40."""
    rows = pd.concat(
        [TWO[(TWO["category"] != "Youtube") | (TWO["compression"] != "c23")], TWO[26:27]],
        ignore_index=True,
    )
    assert rows.iloc[-1][["category", "compression"]].tolist() == ["Youtube", "c23"]
    rows = pd.concat([rows.assign(split=split) for split in SPLITS], ignore_index=True)
    strata = {split: {"c23": 4, "c40": 4} for split in SPLITS}
    drawn = balanced(rows, dict.fromkeys(SPLITS, 8), strata)
    real = drawn["train"].query("label == 'real'")["compression"].value_counts().to_dict()
    assert real == {"c23": 1, "c40": 1, "still": 6}


def test_at_random_every_split_has_its_share_of_each_compression():
    rows = samples(
        *(
            (name, category, compression, "0", 60)
            for name, category in (("fake", "FaceSwap"), ("real", "Youtube"))
            for compression in ("c23", "c40")
        )
    )
    made = at_random(rows, {"train": 60, "val": 10, "test": 20}, {"c23": 30, "c40": 60})
    for split, expected in (("train", (20, 40)), ("val", (3, 7)), ("test", (7, 13))):
        sizes = made[split].groupby(["class", "compression"]).size()
        assert sizes["fake"].tolist() == sizes["real"].tolist() == list(expected)


def test_every_group_gives_a_sample_before_any_gives_two():
    """Three groups of two clips each; the draw alone would take both clips of one group."""
    rows = pd.concat(
        [samples(("real", "Youtube", "c40", f"{i}", 4), split=s) for s in SPLITS for i in range(6)],
        ignore_index=True,
    )
    rows["group"] = "group " + (rows["clip"].astype(int) // 2).astype("str")
    rows["draw"] = rows["clip"].astype(int) + np.arange(len(rows)) / 1000
    counts = dict.fromkeys(SPLITS, 3)
    plain, fair = balanced(rows, counts), balanced(rows, counts, every_group=True)
    for split in SPLITS:
        assert sorted(plain[split]["group"]) == ["group 0", "group 0", "group 1"]
        assert sorted(fair[split]["group"]) == ["group 0", "group 1", "group 2"]
        assert fair[split]["clip"].tolist() == ["0", "2", "4"]


def test_a_group_with_less_choice_is_served_first():
    """Each class has room for one: the group of both gives way where another has no other."""
    rows = samples(
        ("fake", "FaceSwap", "c40", "0_1", 2),
        ("real", "Youtube", "c40", "0", 2),
        ("real", "Youtube", "c40", "2", 2),
    )
    rows = pd.concat([rows.assign(split=split) for split in SPLITS], ignore_index=True)
    rows["group"] = np.where(rows["clip"] == "2", "2", "0")
    rows["draw"] = np.arange(len(rows)) / 100  # the draw alone would take clip 0 of Youtube
    drawn = balanced(rows, dict.fromkeys(SPLITS, 1), every_group=True)
    for split in SPLITS:
        assert sorted(drawn[split]["clip"]) == ["0_1", "2"]
