"""What is said about a manifest, by its counts, audit and settings."""

import dataclasses

import pytest

from ffpp_tools.exchange.description import describe, sources
from ffpp_tools.splits.build import SplitSettings, make_manifest
from ffpp_tools.splits.manifest import Manifest
from ffpp_tools.splits.shortcuts import ProbeResult
from ffpp_tools.store.schema import SPLITS

LEAK = {"reason": "person", "count": 3, "sides": {"train+test": 3}, "example": ["a", "b"]}


def described(manifest):
    return describe(manifest, {split: manifest.samples(split) for split in SPLITS})


@pytest.fixture(scope="module")
def description(videos_manifest):
    return described(videos_manifest)


def changed(description, **keys):
    """The description of a manifest with other keys of manifest.json; `audit` is merged."""
    info = description.manifest.info
    info = {**info, **keys, "audit": {**info["audit"], **keys.get("audit", {})}}
    return dataclasses.replace(description, manifest=Manifest(description.manifest.folder, info))


def test_crops_and_clips_are_counted_by_category_compression_and_split(videos_manifest):
    counted = {(s.category, s.compression): s for s in sources(videos_manifest)}
    for split in SPLITS:
        samples = videos_manifest.samples(split)
        assert sum(source.crops[split] for source in counted.values()) == len(samples)
        own = samples[(samples["category"] == "FaceSwap") & (samples["compression"] == "c23")]
        source = counted["FaceSwap", "c23"]
        assert source.label == "fake"
        assert (source.crops[split], source.clips[split]) == (len(own), own["clip"].nunique())


def test_the_settings_of_extraction_and_selection_are_described(description):
    steps = description.preprocessing
    assert steps["face detection"] == "detector hog, search fast"
    assert "margin 1.3" in steps["face crops"]
    assert steps["frames per clip"] == "every 10"
    assert steps["selection"].startswith("recipe grouped (Every identity group is in one split")
    assert steps["selection"].endswith("mode videos, ratios 50 : 25 : 25, seed 0")


def test_limitations_start_with_the_guarantee_and_name_what_is_not_known(description):
    info = description.manifest.info
    first, *others = description.limitations
    assert first == f"{info['summary']}."
    assert "No identity group is known to be in two splits" in first
    assert info["audit"]["not_known"]
    assert {f"Not known: {what}." for what in info["audit"]["not_known"]} <= set(others)
    assert f"train {info['groups']['train']['clips']} of clips" in " ".join(others)


def test_leaks_and_what_was_left_out_are_limitations(description):
    left_out = {"c40": {"samples": 7, "lacking": ["FaceSwap"]}}
    removed = [{"who": "Youtube/1", "samples": 4}, {"who": "Youtube/2", "samples": 1}]
    found = changed(
        description, audit={"crossings": [LEAK]}, unused_compressions=left_out, removed=removed
    ).limitations
    assert any(text.startswith("In several splits: 3 (") for text in found)
    assert "7 samples at c40 were left out, because FaceSwap has none." in found
    assert "5 samples were removed, because they connected two splits." in found
    assert "Youtube/1" not in " ".join(found)


def test_what_else_may_distinguish_the_classes_is_a_bias(description):
    unmeasured = dataclasses.replace(description, probes=())
    assert "ffpp-audit was not run" in unmeasured.biases[-1]
    probe = ProbeResult("Youtube against FaceSwap", "", 0.912, 0.834, 3, 10, "red")
    audit = {"misses_differ": True, "unequal_splits": ["val"]}
    found = changed(dataclasses.replace(description, probes=[probe]), audit=audit).biases
    assert found[1:3] == [
        "Missed faces differ by category by more than chance.",
        "Classes differ in size in val.",
    ]
    assert found[-1].endswith("reach an AUC of 0.912 for Youtube against FaceSwap.")


def test_photographs_have_their_own_terms_and_confounding(dataset, tmp_path):
    settings = SplitSettings("multiclass", ratios=(50, 25, 25), shrink=True)
    found = described(make_manifest(dataset, tmp_path / "m", settings))
    assert "frames of videos and photographs of CelebA, CelebA-HQ, Deepfakes" in found.collection
    assert [terms.dataset.split(",")[0] for terms in found.terms] == ["FaceForensics++", "CelebA"]
    assert any("Still against video alone predicts" in text for text in found.biases)
    assert "still" not in " ".join(found.compressions)
