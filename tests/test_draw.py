import numpy as np
import pandas as pd
import pytest

from ffpp_tools.draw import apportioned, at_random, balanced, capacity, shrunk, steps
from ffpp_tools.errors import SettingsError, SplitError
from ffpp_tools.rows import SPLITS


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
    return table


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
    assert steps(rows, ["a", "b", "real"]) == 6
    assert steps(rows, ["real"]) == 1


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
    with pytest.raises(SplitError, match="leaves nothing of val"):
        shrunk({"train": 100, "val": 10, "test": 20}, {"train": 9, "val": 10, "test": 20})


EIGHTY = {"train": 0.8, "val": 0.1, "test": 0.1}


def test_every_split_gets_one_at_least():
    assert apportioned(3, EIGHTY) == {"train": 1, "val": 1, "test": 1}
    assert apportioned(20, EIGHTY) == {"train": 16, "val": 2, "test": 2}


@pytest.mark.parametrize(
    ("total", "ratios", "words"),
    [
        (2, EIGHTY, r"per_class \(2\) must be at least 3"),
        (10, {"train": 0.0, "val": 0.5, "test": 0.5}, "nothing to train on"),
    ],
)
def test_too_few_to_share_out_are_refused(total, ratios, words):
    with pytest.raises(SettingsError, match=words):
        apportioned(total, ratios)
