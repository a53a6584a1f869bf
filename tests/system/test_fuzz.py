"""Files with arbitrary content are read, or refused with an error that names the file."""

import copy
import json
import os
from pathlib import Path

import tomli_w
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from classify.errors import ClassifyError
from classify.evaluation.external import read_predictions
from classify.training.run_folder import read_environment
from classify.training.runs import Run
from classify.training.settings import read_config
from ffpp_tools.cli import printing
from ffpp_tools.errors import FfppError
from ffpp_tools.extraction.any_media import read_settings
from ffpp_tools.extraction.settings_file import recorded_settings
from ffpp_tools.script import read_options
from ffpp_tools.sources import official_lists
from ffpp_tools.sources.clip import Clip
from ffpp_tools.sources.faceforensics import VIDEO_CATEGORIES
from ffpp_tools.splits import recipes
from ffpp_tools.splits.manifest import Manifest
from ffpp_tools.store.schema import Part

EXAMPLES = int(os.environ.get("FFPP_TEST_EXAMPLES", "0"))  # random examples; 0: 150 fixed ones

# All examples of a test share one folder: each overwrites the file.
many_examples = settings(
    max_examples=EXAMPLES or 150,
    derandomize=not EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=8,
)
texts = st.text(max_size=200).map(str.encode) | st.binary(max_size=200)
RECIPE = {
    "rule": "grouped",
    "mode": "binary",
    "ratios": [80, 5, 15],
    "counts": {"binary": {"train": 3, "val": 1, "test": 1}},
    "include": ["FaceShifter"],
    "classes": {"a": ["CelebA"], "b": ["Deepfakes"]},
    "folds": 4,
    "clean": False,
}
CONFIG = {
    "manifest": {"path": "m", "sha256": "0"},
    "training": {"arch": "sepconv", "size": 32, "freeze": "none", "learning_rate": 0.1},
}
SETTINGS = {
    "crop": {"margin": 1.3, "shape": "square"},
    "find": {"detector": "hog", "search": "fast"},
    "clips": {"plan": {"every": 25, "count": None}, "smooth": 1},
    "stills": {"whole": False},
}
LISTS = {
    "train.json": [["071", "054"], ["087", "081"]],
    official_lists.CONVERSION: {"000": "abc 0", "001": "def 1"},
}


def damaged(document):
    """Generate variants of a document with one part replaced or removed."""

    def paths(value, path=()):
        yield path
        inner = value.items() if isinstance(value, dict) else enumerate(value)
        for key, part in inner if isinstance(value, (dict, list)) else ():
            yield from (
                paths(part, (*path, key)) if isinstance(part, (dict, list)) else [(*path, key)]
            )

    def changed(path, value, removed):
        if not path:
            return value
        variant = copy.deepcopy(document)
        inner = variant
        for key in path[:-1]:
            inner = inner[key]
        if removed:
            del inner[path[-1]]
        else:
            inner[path[-1]] = value
        return variant

    return st.builds(changed, st.sampled_from(list(paths(document))), values, st.booleans())


def as_json(document):
    return damaged(document).map(lambda variant: json.dumps(variant).encode()) | texts


def as_toml(document):
    def written(variant):
        try:
            return tomli_w.dumps(variant).encode()
        except (TypeError, AttributeError, ValueError):  # TOML has no null, and its root is a table
            return str(variant).encode()

    return damaged(document).map(written) | texts


def read_or_refused(read, path, data):
    """Write a file and read it; return None if it is refused with an error that names it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    try:
        return read()
    except (FfppError, ClassifyError) as error:
        assert path.name in str(error)
        return None


@many_examples
@given(data=as_toml(RECIPE))
def test_any_recipe_is_read_or_refused(tmp_path, data):
    path = tmp_path / "mine.toml"
    read_or_refused(lambda: recipes.read(str(path)), path, data)


@many_examples
@given(data=as_toml(CONFIG))
def test_any_configuration_is_read_or_refused(tmp_path, data):
    path = tmp_path / "config.toml"
    read_or_refused(lambda: read_config(path), path, data)
    read_or_refused(lambda: Run.read(tmp_path), path, data)


@many_examples
@given(data=as_toml({"every": 25, "faces": "all"}))
def test_any_option_file_is_read_or_refused(tmp_path, data):
    path = tmp_path / "options.toml"
    options = read_or_refused(lambda: read_options(path, {"every": "every"}), path, data)
    assert options is None or set(options) <= {"every"}


@many_examples
@given(data=st.data())
def test_any_manifest_is_read_or_refused(videos_manifest, tmp_path, data):
    path = tmp_path / "manifest.json"
    info = json.loads((videos_manifest.folder / "manifest.json").read_text())
    manifest = read_or_refused(lambda: Manifest.read(tmp_path), path, data.draw(as_json(info)))
    if manifest is not None:
        assert set(manifest.classes.values()) <= {"real", "fake"}
        assert manifest.root.is_absolute()
        printing.manifest(manifest)


@many_examples
@given(data=st.data())
def test_any_predictions_are_read_or_refused(videos_manifest, tmp_path, data):
    path = tmp_path / "theirs.csv"
    table = videos_manifest.samples("test")[["face_id"]].assign(p_fake=0.5).to_csv(index=False)
    position = data.draw(st.integers(0, len(table)))
    inserted = data.draw(st.text(max_size=20) | st.sampled_from(["nan", "-1", '"', ",,,", "\0"]))
    raw = data.draw(
        st.just((table[:position] + inserted + table[position:]).encode("utf-8", "replace")) | texts
    )
    predictions = read_or_refused(
        lambda: read_predictions(path, videos_manifest, "test"), path, raw
    )
    if predictions is not None:
        assert ((predictions[0].p_fake >= 0) & (predictions[0].p_fake <= 1)).all()


@many_examples
@given(data=st.data())
def test_any_official_list_is_read_or_refused(tmp_path, data):
    name = data.draw(st.sampled_from(sorted(LISTS)))
    path = tmp_path / "lists" / name
    content = data.draw(as_json(LISTS[name]))
    read_or_refused(lambda: official_lists.READERS[name](path), path, content)


@many_examples
@given(data=as_json(SETTINGS))
def test_any_settings_of_a_dataset_or_run_are_read_or_refused(tmp_path, data):
    path = tmp_path / "settings.json"
    read_or_refused(lambda: read_settings(path), path, data)
    read_or_refused(lambda: recorded_settings(tmp_path), path, data)


@many_examples
@given(data=as_json({"frames": [], "faces": []}))
def test_any_part_is_read_or_refused(tmp_path, data):
    path = tmp_path / "000.json"
    read_or_refused(lambda: Part.read(path), path, data)


@many_examples
@given(data=texts)
def test_any_environment_file_of_a_run_is_accepted(tmp_path, data):
    (tmp_path / "environment.json").write_bytes(data)
    assert isinstance(read_environment(tmp_path), dict)


@many_examples
@given(name=st.text(max_size=30), category=st.sampled_from(VIDEO_CATEGORIES))
def test_any_clip_name_has_a_label_and_identities(name, category):
    clip = Clip(category, "c23", name, Path(name or "x"))
    assert clip.label in ("real", "fake")
    assert isinstance(clip.target_id, str)
    assert isinstance(clip.source_id, str)
    assert clip.original_key[0] in VIDEO_CATEGORIES


def test_deeply_nested_files_are_refused(tmp_path):
    for name, read, opening in (
        ("manifest.json", lambda: Manifest.read(tmp_path), b'{"a":' * 100_000),
        ("mine.toml", lambda: recipes.read(str(tmp_path / "mine.toml")), b"a = " + b"[" * 100_000),
    ):
        assert read_or_refused(read, tmp_path / name, opening) is None
