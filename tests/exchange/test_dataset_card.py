"""The dataset card: its YAML header, tables and escaped names."""

import dataclasses

import pytest
import yaml

from ffpp_tools.exchange.dataset_card import dataset_card
from ffpp_tools.exchange.description import describe
from ffpp_tools.splits.manifest import MANIFEST_COLUMNS, Manifest
from ffpp_tools.store.schema import SPLITS
from tests.helpers.markdown import HOSTILE, Rendered, table


@pytest.fixture(scope="module")
def description(videos_manifest):
    splits = {split: videos_manifest.samples(split) for split in SPLITS}
    return describe(videos_manifest, splits)


@pytest.fixture(scope="module")
def card(description):
    return dataset_card(description, beside=True)


def header(card):
    return yaml.safe_load(card.split("---\n")[1])


def body(card):
    return card.split("---\n", 2)[2]


def test_the_header_names_the_files_and_the_types_of_their_columns(card):
    values = header(card)
    assert values["license"] == "other"
    assert values["size_categories"] == ["n<1K"]
    (config,) = values["configs"]
    assert config["data_files"] == [{"split": s, "path": f"{s}.csv"} for s in SPLITS]
    features = {f["name"]: f["dtype"] for f in values["dataset_info"]["features"]}
    assert tuple(features) == MANIFEST_COLUMNS
    numbers = {name for name, dtype in features.items() if dtype == "int64"}
    assert numbers == {"class_index", "frame"}


def test_a_card_in_another_folder_names_no_files(description):
    assert {"configs", "dataset_info"}.isdisjoint(header(dataset_card(description, beside=False)))


def test_the_tables_are_those_of_the_manifest(card, description):
    info = description.manifest.info
    text = body(card)
    classes = table(text, "What it is", "class")[1:]
    assert [row[0] for row in classes] == list(info["classes"])
    assert [int(n) for n in classes[2][3:]] == [info["counts"][s]["FaceSwap"] for s in SPLITS]
    groups = table(text, "Identities and audit", "split")[1:]
    assert [int(row[2]) for row in groups] == [info["groups"][s]["clips"] for s in SPLITS]
    assert [int(row[5]) for row in groups] == [info["pairs"][s]["paired"] for s in SPLITS]
    hashes = dict(table(text, "Files", "file")[1:])
    assert hashes == {**info["files"], "manifest.json": description.manifest.sha256}
    for _, (first, *rows) in Rendered(text).tables:
        assert rows
        assert {len(row) for row in rows} == {len(first)}


def test_it_states_the_guarantee_the_limits_and_the_terms(card, description):
    text = Rendered(body(card)).text
    for sentence in (*description.limitations, *description.biases, description.missing):
        assert sentence in text
    assert "They contain no image" in text
    assert "the FaceForensics Terms of Use" in text
    assert "CelebA, and CelebA-HQ" not in text
    assert str(description.manifest.root) not in card
    for name in description.manifest.samples("test")["clip"].unique():
        assert name not in card


def test_names_are_escaped(card, description):
    info = {**description.manifest.info, "about": HOSTILE, "summary": HOSTILE}
    manifest = Manifest(description.manifest.folder.parent / HOSTILE.replace("/", "%"), info)
    changed = dataset_card(dataclasses.replace(description, manifest=manifest), beside=True)
    plain, found = Rendered(body(card)), Rendered(body(changed))
    assert (found.tags, found.links) == (plain.tags, plain.links)
    assert found.text.count(HOSTILE.replace("\n", " ")) == 3
    assert header(changed)["pretty_name"] == manifest.folder.name


def test_older_manifests_have_no_pairs(description):
    info = {key: value for key, value in description.manifest.info.items() if key != "pairs"}
    manifest = Manifest(description.manifest.folder, info)
    card = dataset_card(dataclasses.replace(description, manifest=manifest), beside=True)
    assert table(body(card), "Identities and audit", "split")[1][-2:] == ["–", "–"]
