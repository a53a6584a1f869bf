import shutil

import numpy as np
import pandas as pd
import pytest

from benchmarks.paper_tables import face_rows, frame_rows
from data_manifests import modes
from ffpp_tools.errors import SettingsError, SplitError
from ffpp_tools.splits import recipes
from ffpp_tools.splits.build import SplitSettings, default_name, make_manifest, make_manifests
from ffpp_tools.splits.recipes import Recipe
from ffpp_tools.store.schema import SPLITS
from ffpp_tools.store.tables import read_faces, read_frames
from tests.helpers.files import hashes
from tests.helpers.tables import VIDEOS, constructed

BINARY = {"fake": 4, "real": 3}


def people(rows):
    videos = rows[rows["compression"] != "still"]
    return set(videos["target_id"]) | set(videos["source_id"]) - {""}


@pytest.mark.parametrize("name", recipes.names())
def test_every_recipe_that_is_shipped_can_be_read_and_says_what_it_is(name):
    recipe = recipes.read(name)
    assert recipe.name == name
    assert recipe.about


def test_the_papers_counts_are_those_of_its_tables():
    counts = recipes.read("paper").counts
    assert counts["binary"] == {"train": 53595, "val": 3350, "test": 10049}  # Table 1
    assert counts["multiclass"] == {"train": 14000, "val": 750, "test": 2000}  # Table 2
    assert set(counts) == set(modes())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("rule = ", "invalid TOML"),
        ("", "'rule' is missing; expected grouped or random or official"),
        ('rule = "magic"', "'rule' must be one of grouped"),
        ('rule = "grouped"\nratio = [1, 1, 1]', "unknown key 'ratio'"),
        ('rule = "grouped"\nratios = [80, 20]', "'ratios' must be three numbers"),
        ('rule = "grouped"\nratios = [80, 20, 0]', "'ratios' must be three numbers"),
        ('rule = "grouped"\nratios = "80/10/10"', "'ratios' must be three numbers"),
        ('rule = "grouped"\nmode = "seven"', "'mode' must be one of"),
        ('rule = "grouped"\nper_class = 2', "'per_class' must be"),
        ('rule = "grouped"\nper_class = true', "'per_class' must be"),
        ('rule = "grouped"\nfolds = 2.5', "'folds' must be"),
        ('rule = "grouped"\nclean = true', "only official lists"),
        ('rule = "official"\nfolds = 5', "supports neither --folds"),
        ('rule = "grouped"\nfolds = 5\nratios = [1, 1, 1]', "folds have equal sizes"),
        ('rule = "grouped"\nmode = "videos"\nleave_out = "FaceSwap"', "requires --mode binary"),
        ('rule = "grouped"\nratios = [nan, 1, 1]', "'ratios' must be three numbers"),
        ('rule = "official"\nratios = [1, 1, 1]', "official lists determine the ratios"),
        ('rule = "grouped"\nmode = "binary"\nleave_out = "Youtube"', "expected one of the fakes"),
        ('rule = "random"\n[counts.binary]\ntrain = 5', "'counts' must be"),
        ('rule = "random"\n[counts.seven]\ntrain = 5\nval = 1\ntest = 1', "'counts' must be"),
        ('rule = "grouped"\n[classes]\nfake = ["FaceSwap"]', "'classes' must be"),
        ('rule = "grouped"\n[classes]\na = ["FaceSwap", "Youtube"]\nb = ["CelebA"]', "one label"),
        ('rule = "grouped"\n[classes]\na = ["CelebA"]\nb = ["CelebA"]', "'classes' must be"),
    ],
)
def test_a_wrong_recipe_is_refused_naming_file_and_key(tmp_path, text, words):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(SettingsError, match=words) as error:
        recipes.read(str(path))
    assert str(path) in str(error.value)


def test_a_recipe_that_is_not_there_is_refused_with_those_that_are(tmp_path):
    with pytest.raises(SettingsError, match=r"magic.*grouped, holdout, official.*\.toml"):
        recipes.read("magic")
    with pytest.raises(SettingsError, match=r"none\.toml: not a readable recipe"):
        recipes.read(str(tmp_path / "none.toml"))


def test_a_recipe_of_ones_own_fixes_mode_classes_and_ratios(dataset, tmp_path):
    path = tmp_path / "swaps.toml"
    path.write_text(
        'rule = "grouped"\nmode = "binary"\nratios = [2, 1, 1]\n'
        '[classes]\nfake = ["FaceSwap"]\nreal = ["Youtube"]\n'
    )
    manifest = make_manifest(dataset, tmp_path / "m", SplitSettings(recipe=str(path)))
    assert manifest.info["mode"] == "binary"
    assert manifest.info["settings"]["ratios"] == [0.5, 0.25, 0.25]
    for split in SPLITS:
        assert set(manifest.samples(split)["category"]) == {"FaceSwap", "Youtube"}
    with pytest.raises(SettingsError, match="is for mode binary, not videos"):
        make_manifest(dataset, tmp_path / "n", SplitSettings("videos", str(path)))


def test_the_papers_way_says_that_people_are_on_both_sides(dataset, tmp_path):
    settings = SplitSettings("videos", "paper", shrink=True)
    manifest = make_manifest(dataset, tmp_path, settings)
    parts = {s: manifest.samples(s) for s in SPLITS}
    assert people(parts["train"]) & people(parts["test"])
    assert manifest.info["summary"].startswith("Split: paper. PEOPLE APPEAR IN SEVERAL SPLITS")
    first_line = (tmp_path / "manifest.json").read_text().splitlines()[1]
    assert "PEOPLE APPEAR IN SEVERAL SPLITS" in first_line
    sizes = {s: len(p) / 5 for s, p in parts.items()}
    assert sizes["train"] / sum(sizes.values()) == pytest.approx(14000 / 16750, abs=0.05)
    assert not pd.concat(parts.values())["face_id"].duplicated().any()


def test_the_paper_asks_for_more_than_the_demo_has(dataset, tmp_path):
    with pytest.raises(
        SplitError, match=r"16750 samples of each class were requested.*CelebA has \d+.*--shrink"
    ):
        make_manifest(dataset, tmp_path / "m", SplitSettings(recipe="paper"))


def test_shrinking_keeps_the_proportions_of_what_was_asked(dataset, tmp_path):
    settings = SplitSettings("videos", ratios=(50, 25, 25), per_class=4000, shrink=True)
    counts = make_manifest(dataset, tmp_path, settings).info["counts"]
    train, val, test = (counts[s]["Youtube"] for s in SPLITS)
    assert val == test
    assert 0 <= train - 2 * val <= 1


def test_at_random_every_category_is_in_every_split_as_often_as_in_all(tmp_path):
    """All of Youtube is taken and a third of CelebA: who was taken tells nothing of the side."""
    parts = [
        frame_rows(
            category=category,
            label="real" if category in ("Youtube", "CelebA", "CelebA-HQ") else "fake",
            compression="still" if category.startswith("CelebA") else "c23",
            clip=np.char.zfill(np.arange(count).astype(str), 5),
            target_id="",
            source_id="",
            frame=0,
            photo="",
        )
        for category, count in (
            ("Youtube", 200),
            ("CelebA", 900),
            ("CelebA-HQ", 900),
            *((name, 200) for name in ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures")),
        )
    ]
    frames = pd.concat(parts, ignore_index=True)
    frames.to_parquet(tmp_path / "frames.parquet")
    face_rows(frames).to_parquet(tmp_path / "faces.parquet")
    settings = SplitSettings("binary", "paper", shrink=True)
    manifest = make_manifest(tmp_path, tmp_path / "m", settings)
    counts = pd.DataFrame(manifest.info["categories"])
    assert counts.sum(axis=1)[["Youtube", "CelebA", "CelebA-HQ"]].tolist() == [200, 300, 300]
    asked = recipes.read("paper").counts["binary"]
    for category, row in counts.iterrows():
        share = row / row.sum()
        assert share["train"] == pytest.approx(asked["train"] / sum(asked.values()), abs=0.06), (
            category
        )


def test_a_manifests_groups_are_those_of_its_own_samples(dataset, tmp_path):
    """Fakes that are left out connect no people."""
    (tmp_path / "r.toml").write_text(
        'rule = "grouped"\nratios = [2, 1, 1]\n[classes]\na = ["Youtube"]\nb = ["CelebA"]\n'
    )
    made = make_manifest(dataset, tmp_path / "m", SplitSettings(recipe=str(tmp_path / "r.toml")))
    samples = pd.concat([made.samples(s).assign(split=s) for s in SPLITS]).query("`class` == 'a'")
    assert (samples["group"] == "Youtube/" + samples["clip"]).all()
    assert samples["clip"].nunique() == 8
    assert sum(there["clips"] for there in made.info["groups"].values()) == 8


@pytest.mark.parametrize("asked", [{"recipe": "paper", "shrink": True}, {"per_class": 12}], ids=str)
def test_another_seed_draws_others(dataset, tmp_path, asked):
    one, other = (
        make_manifest(dataset, tmp_path / str(seed), SplitSettings("videos", seed=seed, **asked))
        for seed in range(2)
    )
    assert set(one.samples("test")["face_id"]) != set(other.samples("test")["face_id"])


def test_what_was_said_of_an_earlier_manifest_does_not_stay(dataset, tmp_path):
    make_manifest(dataset, tmp_path, SplitSettings("videos"))
    (tmp_path / "overview").mkdir()
    for name in ("overview/faces.jpg", "overview.html", "probe.json", "notes.txt"):
        (tmp_path / name).touch()
    make_manifest(dataset, tmp_path, SplitSettings("videos", seed=1))
    names = sorted(p.name for p in tmp_path.iterdir())
    assert names == ["manifest.json", "notes.txt", "test.csv", "train.csv", "val.csv"]


def test_holdout_is_70_to_30_with_the_validation_split_out_of_the_70(dataset, tmp_path):
    manifest = make_manifest(dataset, tmp_path, SplitSettings("videos", "holdout"))
    assert manifest.info["settings"]["ratios"] == pytest.approx([0.63, 0.07, 0.3])


def test_videos_binary_needs_no_photographs(tmp_path):
    data = constructed(tmp_path / "d", lambda *_: 3, stills=0)
    with pytest.raises(SplitError, match="or --recipe videos-binary"):
        make_manifest(data, tmp_path / "m", SplitSettings("binary"))
    made = make_manifest(data, tmp_path / "m", SplitSettings(recipe="videos-binary"))
    assert made.classes == {"fake": "fake", "real": "real"}
    assert set(made.samples("train")["category"]) == set(VIDEOS)


def test_a_left_out_method_is_in_test_only_and_the_only_one_there(dataset, tmp_path):
    settings = SplitSettings("binary", leave_out="FaceSwap", ratios=(2, 1, 1))
    manifest = make_manifest(dataset, tmp_path, settings)
    for split in ("train", "val"):
        fakes = manifest.samples(split).query("label == 'fake'")["category"]
        assert set(fakes) == {"Deepfakes", "Face2Face", "NeuralTextures"}
        assert len(set(fakes.value_counts())) == 1
    assert set(manifest.samples("test").query("label == 'fake'")["category"]) == {"FaceSwap"}
    assert not manifest.info["audit"]["leaks"]
    assert "FaceSwap in test only" in manifest.info["summary"]


def test_folds_test_everybody_once_and_nobody_crosses(dataset, tmp_path):
    manifests = make_manifests(dataset, tmp_path, SplitSettings("videos", folds=4))
    tested = [people(m.samples("test")) for m in manifests]
    validated = [people(m.samples("val")) for m in manifests]
    assert set.union(*tested) == people(
        pd.concat([m.samples(s) for m in manifests for s in SPLITS])
    )
    assert sum(map(len, tested)) == len(set.union(*tested))
    assert validated == tested[1:] + tested[:1]
    assert not any(m.info["audit"]["leaks"] for m in manifests)
    assert [m.folder.name for m in manifests] == ["fold-1", "fold-2", "fold-3", "fold-4"]
    assert manifests[1].info["fold"] == [2, 4]
    assert "fold 2 of 4" in manifests[1].info["summary"]
    others = make_manifests(dataset, tmp_path / "other", SplitSettings("videos", folds=4, seed=1))
    assert [people(m.samples("test")) for m in others] != tested


def test_a_class_that_is_called_as_a_label_is_refused_beside_others(dataset, tmp_path):
    path = tmp_path / "r.toml"
    path.write_text(
        'rule = "grouped"\n[classes]\n'
        'fake = ["Deepfakes"]\nswap = ["FaceSwap"]\nreal = ["Youtube"]\n'
    )
    with pytest.raises(SplitError, match="name a class fake or real"):
        make_manifest(dataset, tmp_path / "m", SplitSettings(recipe=str(path)))


def test_classes_of_ones_own_hold_one_label(dataset, tmp_path):
    frames = read_frames(dataset)
    folder = tmp_path / "mine"
    folder.mkdir()
    shutil.copy(dataset / "faces.parquet", folder)
    frames["category"] = frames["category"].replace({"FaceSwap": "MyFake", "CelebA": "MyReal"})
    frames.to_parquet(folder / "frames.parquet")
    (tmp_path / "r.toml").write_text(
        'rule = "grouped"\n[classes]\na = ["MyFake", "MyReal"]\nb = ["Youtube"]\n'
    )
    with pytest.raises(SplitError, match="class a would contain real and fake"):
        make_manifest(folder, tmp_path / "m", SplitSettings(recipe=str(tmp_path / "r.toml")))
    (tmp_path / "s.toml").write_text(
        'rule = "grouped"\nratios = [2, 1, 1]\n'
        '[classes]\na = ["MyFake", "Deepfakes"]\nb = ["Youtube"]\n'
    )
    made = make_manifest(folder, tmp_path / "m", SplitSettings(recipe=str(tmp_path / "s.toml")))
    assert made.classes == {"a": "fake", "b": "real"}


def test_a_split_too_small_for_one_of_each_method_is_refused(dataset, tmp_path):
    """Four methods, and never more than three samples of Youtube in a split."""
    frames = read_frames(dataset)
    frames = frames[~frames["compression"].eq("still") & (frames["frame"] == 0)]
    folder = tmp_path / "small"
    folder.mkdir()
    frames.to_parquet(folder / "frames.parquet")
    shutil.copy(dataset / "faces.parquet", folder)
    faces = read_faces(folder)
    faces[faces["frame_id"].isin(frames["frame_id"])].to_parquet(folder / "faces.parquet")
    (tmp_path / "r.toml").write_text(
        'rule = "grouped"\nmode = "binary"\n[classes]\nreal = ["Youtube"]\n'
        'fake = ["Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures"]\n'
    )
    with pytest.raises(SplitError, match=r"4 samples of each class were requested in .*real has 2"):
        make_manifest(folder, tmp_path / "m", SplitSettings(recipe=str(tmp_path / "r.toml")))


def test_ratios_beside_counts_are_refused(dataset, tmp_path):
    with pytest.raises(SettingsError, match="determines the counts"):
        make_manifest(dataset, tmp_path, SplitSettings("videos", "paper", ratios=(1, 1, 1)))


def test_folds_of_an_earlier_partition_do_not_stay(dataset, tmp_path):
    make_manifests(dataset, tmp_path, SplitSettings("videos", folds=4))
    (tmp_path / "fold-notes").mkdir()
    make_manifests(dataset, tmp_path, SplitSettings("videos", folds=3, per_class=15))
    names = sorted(p.name for p in tmp_path.iterdir())
    assert names == ["fold-1", "fold-2", "fold-3", "fold-notes"]


def test_fakes_of_one_method_are_never_more_than_another(dataset, tmp_path):
    """One method has lost half its crops; the others do not fill its place."""
    frames, faces = read_frames(dataset), read_faces(dataset)
    lost = frames[frames["category"] == "Face2Face"].iloc[::2]
    frames.loc[lost.index, "status"] = "no_face"
    folder = tmp_path / "lossy"
    folder.mkdir()
    frames.to_parquet(folder / "frames.parquet")
    faces[~faces["frame_id"].isin(lost["frame_id"])].to_parquet(folder / "faces.parquet")
    manifest = make_manifest(folder, tmp_path / "m", SplitSettings("binary", ratios=(2, 1, 1)))
    for split in SPLITS:
        counts = manifest.samples(split).query("label == 'fake'")["category"].value_counts()
        assert len(counts) == 4
        assert len(set(counts)) == 1


def test_the_same_settings_give_the_same_bytes_whatever_the_rows_order(dataset, tmp_path):
    shuffled = tmp_path / "dataset"
    shuffled.mkdir()
    for name, table in (("frames", read_frames(dataset)), ("faces", read_faces(dataset))):
        table.sample(frac=1, random_state=5).to_parquet(shuffled / f"{name}.parquet")
    for recipe in ("grouped", "paper"):
        settings = SplitSettings("videos", recipe, shrink=recipe == "paper")
        for source, out in ((dataset, "a"), (shuffled, "b")):
            make_manifest(source, tmp_path / out, settings)
        a, b = hashes(tmp_path / "a"), hashes(tmp_path / "b")
        a_info = (tmp_path / "a/manifest.json").read_text().splitlines()
        b_info = (tmp_path / "b/manifest.json").read_text().splitlines()
        differing = [x for x, y in zip(a_info, b_info, strict=True) if x != y]
        assert len(differing) == 1  # the way to the dataset, which is another folder
        assert '"root"' in differing[0]
        assert {k: v for k, v in a.items() if "json" not in str(k)} == {
            k: v for k, v in b.items() if "json" not in str(k)
        }


def test_a_manifests_folder_is_named_after_what_it_is():
    for settings, name in (
        (SplitSettings(), "multiclass"),
        (SplitSettings("videos"), "videos"),
        (SplitSettings("binary", "paper"), "binary-paper"),
        (SplitSettings("binary", leave_out="FaceSwap"), "binary-without-FaceSwap"),
        (SplitSettings("videos", folds=5), "videos-folds"),
        (SplitSettings("videos", include=("Actors",)), "videos-with-Actors"),
        (SplitSettings(recipe="140k"), "140k"),
    ):
        assert default_name(settings) == name


def test_checks_hold_for_recipes_made_in_code():
    with pytest.raises(SettingsError, match="at least 3"):
        recipes.check(Recipe("mine", "grouped", folds=2))
    for ratios in ((80, 20), (80, 20, 0), (80, 20, float("inf"))):
        with pytest.raises(SettingsError, match=r"^ratios \(80, .*three numbers above 0"):
            recipes.check(Recipe("mine", "grouped", ratios=ratios))
    with pytest.raises(SettingsError, match=r"unknown mode '.*binary$"):
        recipes.check(Recipe("mine", "grouped", mode="seven"))
    with pytest.raises(SettingsError, match=r"; did you mean --recipe 140k\?"):
        recipes.check(Recipe("mine", "grouped", mode="140k"))
