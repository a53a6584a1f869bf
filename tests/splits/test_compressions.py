"""Compression as part of the design: no class has more of one compression than another."""

import hashlib
import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from data_manifests import modes
from ffpp_tools.errors import SplitError
from ffpp_tools.grouping.dataset import Dataset
from ffpp_tools.splits.apply_recipe import select_samples
from ffpp_tools.splits.audit import audited, with_audit
from ffpp_tools.splits.build import SplitSettings, default_name, make_manifest, make_manifests
from ffpp_tools.splits.compressions import drop_unshared_compressions
from ffpp_tools.splits.confounding import MAX_DISTANCE
from ffpp_tools.splits.manifest import Manifest
from ffpp_tools.splits.overview import draw_overview
from ffpp_tools.splits.recipes import Recipe
from ffpp_tools.store.schema import SPLITS
from tests.helpers.tables import METHODS, VIDEOS, constructed, samples_with


def samples_of(manifest):
    return pd.concat([manifest.samples(s).assign(split=s) for s in SPLITS], ignore_index=True)


def counted(samples, by="class"):
    """Samples of clips: (split, class) × compression."""
    clips = samples[samples["compression"] != "still"]
    return pd.crosstab([clips["split"], clips[by]], clips["compression"])


def same_in_each_class(table):
    by_split = table.groupby("split")
    return by_split.min().equals(by_split.max())


def uneven(category, compression, i):
    """Youtube has every clip at c40 and one in three at c23; of the fakes it is the reverse."""
    most = "c40" if category == "Youtube" else "c23"
    there = compression == most or (compression != "raw" and i % 6 < 2)
    return 6 * there


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    return constructed(tmp_path_factory.mktemp("both") / "dataset", uneven)


@pytest.mark.parametrize("recipe", ["grouped", "paper"])
def test_classes_of_clips_have_equally_many_samples_of_each_compression(both, tmp_path, recipe):
    asked = SplitSettings("videos", recipe, shrink=recipe == "paper")
    manifest = make_manifest(both, tmp_path, asked)
    table = counted(samples_of(manifest))
    assert same_in_each_class(table)
    assert (table.groupby("split").sum().to_numpy() > 0).all()
    assert manifest.info["audit"]["compression"]["cramers_v"] == 0
    assert "CONFOUNDED" not in manifest.info["summary"]


@pytest.mark.parametrize("asked", [{}, {"per_class": 60}, {"recipe": "paper", "shrink": True}])
def test_a_class_with_stills_has_its_clips_compressions_in_the_others_proportion(
    both, tmp_path, asked
):
    manifest = make_manifest(both, tmp_path, SplitSettings("binary", **asked))
    samples = samples_of(manifest)
    assert are_equal(samples)
    table = counted(samples)
    for split in SPLITS:
        fake, real = (table.loc[(split, name)] for name in ("fake", "real"))
        assert (abs(real - fake * real.sum() / fake.sum()) <= 1).all()
    assert not manifest.info["audit"]["confounded"]


def test_methods_are_equal_at_each_compression_too(both, tmp_path):
    samples = samples_of(make_manifest(both, tmp_path, SplitSettings("binary")))
    fakes = counted(samples[samples["label"] == "fake"], by="category")
    assert same_in_each_class(fakes)


def test_nothing_is_given_up_where_classes_have_the_same(tmp_path):
    """Two compressions of everything: twice the samples, half of each."""
    dataset = constructed(tmp_path / "d", lambda _, compression, __: 4 * (compression != "raw"))
    manifest = make_manifest(dataset, tmp_path / "m", SplitSettings("videos"))
    samples = samples_of(manifest)
    assert len(samples) == 5 * 24 * 4 * 2
    assert manifest.info["unbalanced"] == {}
    assert (counted(samples)["c23"] == counted(samples)["c40"]).all()


def test_what_balancing_costs_is_recorded(both, tmp_path):
    info = make_manifest(both, tmp_path, SplitSettings("videos")).info
    assert info["unbalanced"]["train"] > info["counts"]["train"]["Youtube"]
    assert all(info["unbalanced"][s] >= info["counts"][s]["Youtube"] for s in SPLITS)


def test_a_split_that_fails_for_what_was_left_out_says_so(tmp_path):
    """Without c40, which FaceSwap lacks, two people of Youtube are left."""

    def frames_of(category, compression, person):
        if compression == "raw" or (category, compression) == ("FaceSwap", "c40"):
            return 0
        return 4 * (category != "Youtube" or compression == "c40" or person < 2)

    dataset = constructed(tmp_path / "d", frames_of)
    with pytest.raises(
        SplitError, match=r"Youtube: .*\(c40 was excluded, because FaceSwap has none"
    ):
        make_manifest(dataset, tmp_path / "m", SplitSettings("videos"))


def test_a_compression_that_a_class_lacks_is_left_out_and_named(tmp_path):
    """Only three of the four methods were made from raw video, and no original is at c23."""

    def frames_of(category, compression, _):
        lacks = {"raw": "FaceSwap", "c23": "Youtube"}
        return 4 * (lacks.get(compression) != category)

    dataset = constructed(tmp_path / "d", frames_of)
    manifest = make_manifest(dataset, tmp_path / "m", SplitSettings("binary"))
    assert set(samples_of(manifest)["compression"]) == {"c40", "still"}
    assert manifest.info["unused_compressions"] == {
        "c23": {"samples": 4 * 24 * 4, "lacking": ["Youtube"]},
        "raw": {"samples": 4 * 24 * 4, "lacking": ["FaceSwap"]},
    }
    page = draw_overview(manifest, faces=False).read_text()
    assert "c23 (384 samples; missing for Youtube); raw (384 samples; missing for FaceSwap)" in page
    asked = SplitSettings("binary", compression=("c40",))
    same = make_manifest(dataset, tmp_path / "c40", asked)
    for split in SPLITS:
        assert same.samples(split).equals(manifest.samples(split))
    with pytest.raises(SplitError, match=r"--compression c23: the dataset has no Youtube at c23"):
        make_manifest(dataset, tmp_path / "n", SplitSettings("binary", compression=("c23", "c40")))


@pytest.mark.parametrize("recipe", ["grouped", "paper"])
def test_classes_that_share_no_compression_are_named_in_the_first_line(tmp_path, recipe):
    """The reals are c23, the fakes c40: nothing can be balanced."""
    dataset = constructed(
        tmp_path / "d",
        lambda category, c, _: 4 * (c == ("c23" if category == "Youtube" else "c40")),
    )
    asked = SplitSettings("videos", recipe, shrink=recipe == "paper")
    manifest = make_manifest(dataset, tmp_path / "m", asked)
    assert (
        "CLASS AND COMPRESSION ARE CONFOUNDED: in train, 0% of the clip samples of Deepfakes and "
        "100% of those of Youtube are at c23, so compression alone separates the two with 100% "
        "accuracy (chance: 50%)"
    ) in (tmp_path / "m/manifest.json").read_text().splitlines()[1]
    assert manifest.info["audit"]["confounded"] is True
    assert manifest.info["audit"]["compression"]["label_accuracy"] == 1
    assert manifest.info["audit"]["compression"]["cramers_v"] == 1
    page = draw_overview(manifest, faces=False).read_text()
    assert "CLASS AND COMPRESSION ARE CONFOUNDED" in page
    assert "train, c23" in page


def test_only_clips_of_the_compressions_that_are_asked_for(both, tmp_path):
    manifest = make_manifest(both, tmp_path, SplitSettings("binary", compression=("c40",)))
    samples = samples_of(manifest)
    assert set(samples["compression"]) == {"c40", "still"}
    assert manifest.info["settings"]["compression"] == ["c40"]
    assert manifest.info["summary"].startswith("Split: grouped, c40 only. ")
    assert "Split: grouped, c40 only" in draw_overview(manifest, faces=False).read_text()
    assert manifest.info["audit"]["compression"] is None
    twice = SplitSettings("binary", compression=("c40", "c23", "c40"))
    assert make_manifest(both, tmp_path / "2", twice).info["settings"]["compression"] == [
        "c23",
        "c40",
    ]


@pytest.mark.parametrize(
    ("compression", "words"),
    [
        ("c41", "--compression c41: the clips of these categories in the dataset have c23 and c40"),
        ("raw", "--compression raw: the clips of these categories in the dataset have c23 and c40"),
        ("still", "have c23 and c40"),
    ],
)
def test_a_compression_that_is_not_there_is_refused_naming_those_that_are(
    both, tmp_path, compression, words
):
    with pytest.raises(SplitError, match=words):
        make_manifest(both, tmp_path / "m", SplitSettings("videos", compression=(compression,)))


def test_a_category_without_the_compression_is_refused_naming_what_it_has(tmp_path):
    dataset = constructed(
        tmp_path / "d", lambda category, c, _: 2 * (c == "c40" or category != "Youtube")
    )
    with pytest.raises(SplitError, match="--compression c23: the dataset has Youtube at c40 only"):
        make_manifest(dataset, tmp_path / "m", SplitSettings("videos", compression=("c23",)))


def test_stills_have_no_compression_to_choose(tmp_path):
    dataset = constructed(tmp_path / "d", lambda *_: 0)
    (tmp_path / "r.toml").write_text(
        'rule = "grouped"\ncompression = ["c40"]\n[classes]\na = ["CelebA"]\nb = ["CelebA-HQ"]\n'
    )
    with pytest.raises(
        SplitError, match="no clips of these categories, and stills have no compression"
    ):
        make_manifest(dataset, tmp_path / "m", SplitSettings(recipe=str(tmp_path / "r.toml")))


def test_a_recipe_names_compressions_and_the_command_line_others(both, tmp_path):
    path = tmp_path / "r.toml"
    path.write_text('rule = "grouped"\nmode = "videos"\ncompression = ["c40"]\n')
    own = make_manifest(both, tmp_path / "m", SplitSettings(recipe=str(path)))
    assert set(samples_of(own)["compression"]) == {"c40"}
    asked = SplitSettings(recipe=str(path), compression=("c23",))
    assert set(samples_of(make_manifest(both, tmp_path / "n", asked))["compression"]) == {"c23"}
    assert default_name(asked) == "videos-r-c23"
    assert default_name(SplitSettings("videos", compression=("c40",), folds=3)) == (
        "videos-c40-folds"
    )


def test_more_than_equal_compressions_allow_is_refused_naming_the_option(both, tmp_path):
    with pytest.raises(
        SplitError, match=r"with the same compressions in every class.*--compression"
    ):
        make_manifest(both, tmp_path / "m", SplitSettings("videos", per_class=140))
    made = make_manifest(both, tmp_path / "m", SplitSettings("videos", per_class=140, shrink=True))
    assert same_in_each_class(counted(samples_of(made)))


def are_equal(samples):
    sizes = pd.crosstab(samples["split"], samples["class"])
    return (sizes.min(axis=1) == sizes.max(axis=1)).all()


def assert_alike(samples):
    """Every class's clips have the same compressions, and a class the same of each method."""
    table = counted(samples)
    for split in table.index.unique("split"):
        rows = table.loc[split]
        shares = rows.div(rows.sum(axis=1), axis=0)
        assert (shares.max() - shares.min() <= 1 / rows.sum(axis=1).min()).all()  # by rounding
    fakes = samples[samples["label"] == "fake"]
    sizes = fakes.groupby(["split", "class", "category"]).size().groupby(["split", "class"])
    assert (sizes.max() - sizes.min() <= 1).all()


cells = st.fixed_dictionaries({c: st.tuples(*[st.integers(1, 9)] * 3) for c in VIDEOS})


@settings(max_examples=20, deadline=None)
@given(
    there=st.fixed_dictionaries(dict.fromkeys(SPLITS, cells)),
    stills=st.integers(1, 60),
    mode=st.sampled_from(["videos", "binary"]),
    per_class=st.none() | st.integers(3, 20),
)
def test_compressions_are_alike_wherever_every_category_has_all_of_them(
    there, stills, mode, per_class
):
    """So many clips of each category at raw, c23 and c40, of one sample each."""
    rows = [
        (split, category, compression, str(i))
        for split, categories in there.items()
        for category, sizes in categories.items()
        for compression, count in zip(("raw", "c23", "c40"), sizes, strict=True)
        for i in range(count)
    ]
    rows += [
        (split, category, "still", str(i))
        for split in SPLITS
        for category in ("CelebA", "CelebA-HQ")
        for i in range(stills)
    ]
    samples = pd.DataFrame(rows, columns=["split", "category", "compression", "clip"])
    space = modes()[mode]
    class_of = {c: name for name, parts in space.classes.items() for c in parts}
    samples = samples[samples["category"].isin(class_of)].reset_index(drop=True)
    samples["class"] = samples["category"].map(class_of)
    samples["label"] = np.where(samples["category"].isin(METHODS), "fake", "real")
    samples["face_id"] = [f"{i:06d}" for i in range(len(samples))]
    samples["draw"] = np.random.default_rng(0).random(len(samples))
    samples = samples.assign(face=range(len(samples)), original=-1)
    recipe = Recipe("mine", "grouped", mode=mode, ratios=(0.6, 0.2, 0.2), per_class=per_class)
    try:
        found = select_samples(samples, space, recipe)
    except SplitError as error:
        assert per_class or "4 samples of each class were requested" in str(error)
        return
    drawn = pd.concat(found.splits)
    assert not drawn["face_id"].duplicated().any()
    assert are_equal(drawn)
    assert_alike(drawn)
    if mode == "videos" and not per_class:
        least = {
            split: [min(sizes[i] for sizes in there[split].values()) for i in range(3)]
            for split in SPLITS
        }
        assert drawn["split"].value_counts().to_dict() == {s: 5 * sum(n) for s, n in least.items()}


some = st.tuples(*[st.integers(0, 3)] * 3)


@pytest.mark.slow
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    frames=st.fixed_dictionaries({c: st.tuples(some, some) for c in VIDEOS}),
    mode=st.sampled_from(["videos", "binary"]),
    asked=st.sampled_from([{}, {"per_class": 31}, {"folds": 3}, {"leave_out": "FaceSwap"}]),
    seed=st.integers(0, 3),
)
def test_no_drawn_world_is_confounded_without_a_word(frames, mode, asked, seed, tmp_path_factory):
    """Of each category, every third pair of people has so many frames at c23 and c40."""
    folder = tmp_path_factory.mktemp("drawn")

    def frames_of(category, compression, i):
        return frames[category][compression == "c40"][i // 2 % 3] if compression != "raw" else 0

    constructed(folder, frames_of, pairs=9, stills=30)
    mode = "binary" if "leave_out" in asked else mode
    try:
        manifests = make_manifests(folder, folder / "m", SplitSettings(mode, seed=seed, **asked))
    except SplitError:
        event("refused")
        return
    for manifest in manifests:
        samples = samples_of(manifest)
        assert are_equal(samples)
        if "CONFOUNDED" in manifest.info["summary"]:
            event("confounded")
        else:
            event("alike")
            found = manifest.info["audit"]["compression"]
            assert found is None or found["excess"] <= MAX_DISTANCE


def test_an_audit_finds_it_in_a_manifest_that_was_made_otherwise(both, tmp_path):
    """As manifests were made before: with as many samples, and no regard to compression."""
    manifest = make_manifest(both, tmp_path, SplitSettings("videos", compression=("c40",)))
    samples = samples_of(manifest)
    fakes = (samples["label"] == "fake") & (samples["split"] == "test")
    samples.loc[fakes, "compression"] = "c23"
    found = audited(samples, Dataset.read(both))
    assert found.confounded
    info = with_audit(manifest.info, found)
    assert "in test, 100% of the clip samples of Deepfakes and 0% of those of" in info["summary"]
    assert info["audit"]["compression"]["counts"]["test"]["FaceSwap"]["c23"] > 0
    json.dumps(info)


def test_a_manifest_from_before_is_read_and_drawn(both, tmp_path):
    manifest = make_manifest(both, tmp_path, SplitSettings("videos"))
    new = ("compression", "confounded", "still_accuracy")
    audit = {k: v for k, v in manifest.info["audit"].items() if k not in new}
    rest = ("unused_compressions", "unbalanced")
    info = {k: v for k, v in manifest.info.items() if k not in rest} | {"audit": audit}
    info["settings"].pop("compression")
    (tmp_path / "manifest.json").write_text(json.dumps(info))
    old = Manifest.read(tmp_path)
    assert "Compression" not in draw_overview(old, faces=False).read_text()
    again = with_audit(old.info, audited(samples_of(old), Dataset.read(both)))
    assert again["summary"] == manifest.info["summary"]


def test_classes_that_lack_nothing_are_left_as_they_are():
    samples = samples_with(
        of={(n, n, c): 2 for n in ("fake", "real") for c in ("c23", "c40", "still")}
    ).assign(category="x")
    kept, left_out = drop_unshared_compressions(samples)
    assert kept is samples
    assert left_out == {}


ONE_COMPRESSION = {
    "multiclass": "dc1122678008baeb",
    "videos": "30cccc1b9dc0f0c6",
    "binary": "e420be8abe171bb2",
    "holdout": "3af7406315ae224f",
    "paper": "ffc61983c5d49eac",
    "per_class": "8b1fe419277a3edc",
    "leave_out": "acbed01883417c1b",
}


@pytest.mark.parametrize("name", ONE_COMPRESSION)
def test_manifests_of_one_compression_stay_as_they_always_were(tmp_path, name):
    """The bytes of the CSV files, as the first version wrote them: without column `pair`."""
    rng = np.random.default_rng(0)
    dataset = constructed(
        tmp_path / "d", lambda _, c, __: int(rng.integers(3, 8)) * (c == "c40"), pairs=20
    )
    asked = {
        "holdout": SplitSettings("binary", "holdout"),
        "paper": SplitSettings("binary", "paper", shrink=True),
        "per_class": SplitSettings("binary", per_class=101),
        "leave_out": SplitSettings("binary", leave_out="FaceSwap"),
    }
    manifest = make_manifest(dataset, tmp_path / "m", asked.get(name, SplitSettings(name)))
    lines = [
        line.rpartition(",")[0] + "\n"
        for split in SPLITS
        for line in (manifest.folder / f"{split}.csv").read_text().splitlines()
    ]
    assert hashlib.sha256("".join(lines).encode()).hexdigest()[:16] == ONE_COMPRESSION[name]
