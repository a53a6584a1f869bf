"""Croissant metadata, by its keys and by the library that reads it."""

import json
import re

import pytest

from ffpp_tools.errors import FfppError
from ffpp_tools.exchange.croissant import COLUMNS, written
from ffpp_tools.exchange.export import export_manifest
from ffpp_tools.files import sha256
from ffpp_tools.splits.build import DERIVED, SplitSettings, make_manifest
from ffpp_tools.splits.manifest import MANIFEST_COLUMNS
from ffpp_tools.store.schema import SPLITS
from tests.helpers.files import hashes
from tests.helpers.project import ROOT

REQUIRED = ("@context", "@type", "conformsTo", "description", "license", "name", "url", "creator")
FILES = ["croissant.json", "dataset-card.md"]


@pytest.fixture
def manifest(dataset, tmp_path):
    """A manifest in a folder of its own."""
    return make_manifest(dataset, tmp_path / "m", SplitSettings("videos", ratios=(50, 25, 25)))


@pytest.fixture(scope="module")
def metadata(videos_manifest, tmp_path_factory):
    folder = tmp_path_factory.mktemp("described") / "e"
    export_manifest(videos_manifest, "croissant", folder, {"creator": "A lab"})
    return json.loads((folder / "croissant.json").read_text(encoding="utf-8"))


def test_the_required_properties_are_present(metadata, videos_manifest):
    assert set(REQUIRED) <= set(metadata)
    assert metadata["@type"] == "sc:Dataset"
    assert metadata["conformsTo"] == [
        "http://mlcommons.org/croissant/1.1",
        "http://mlcommons.org/croissant/RAI/1.0",
    ]
    assert metadata["name"] == "videos"
    assert metadata["creator"] == {"@type": "sc:Organization", "name": "A lab"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", metadata["datePublished"])
    assert metadata["version"] == f"1.0.0+{videos_manifest.sha256[:12]}"
    assert [licence["name"] for licence in metadata["license"]] == ["Terms of FaceForensics++"]
    assert "roessler2019faceforensicspp" in metadata["citeAs"]


def test_the_rai_fields_have_the_audit_and_the_terms(metadata, videos_manifest):
    audit = videos_manifest.info["audit"]
    limitations = metadata["rai:dataLimitations"]
    assert f"{videos_manifest.info['summary']}." in limitations
    assert {f"Not known: {what}." for what in audit["not_known"]} <= set(limitations)
    assert "FaceForensics Terms of Use" in metadata["rai:dataCollectionRawData"]
    assert any("Age, sex, skin colour" in bias for bias in metadata["rai:dataBiases"])
    assert any("faces of real people" in t for t in metadata["rai:personalSensitiveInformation"])
    assert "contain no image" in metadata["rai:dataReleaseMaintenancePlan"]
    texts = ("Collection", "AnnotationProtocol", "CollectionMissingData", "SocialImpact")
    assert all(isinstance(metadata[f"rai:data{name}"], str) for name in texts)


@pytest.mark.parametrize("inside", [True, False])
def test_files_are_described_by_relative_paths_and_hashes(manifest, tmp_path, inside):
    folder = manifest.folder if inside else tmp_path / "a/b"
    before = hashes(manifest.folder)
    made = export_manifest(manifest, "croissant", folder)
    assert made.samples == {split: len(manifest.samples(split)) for split in SPLITS}
    objects = json.loads((folder / "croissant.json").read_text())["distribution"]
    assert [o["@id"] for o in objects] == ["train.csv", "val.csv", "test.csv", "manifest.json"]
    for file in objects:
        path = folder / file["contentUrl"]
        assert path.samefile(manifest.folder / file["@id"])
        assert (file["sha256"], file["contentSize"]) == (sha256(path), f"{path.stat().st_size} B")
    new = [path for path in hashes(folder) if path not in before] if inside else hashes(folder)
    assert sorted(new) == FILES
    assert before.items() <= hashes(manifest.folder).items()
    assert export_manifest(manifest, "croissant", manifest.folder).folder == manifest.folder


def test_each_split_is_a_record_set_with_a_field_for_every_column(metadata, videos_manifest):
    sets = {record_set["@id"]: record_set for record_set in metadata["recordSet"]}
    assert list(sets) == ["splits", "classes", *SPLITS]
    assert [row["classes/name"] for row in sets["classes"]["data"]] == list(videos_manifest.classes)
    assert [row["splits/url"] for row in sets["splits"]["data"]] == [
        "cr:TrainingSplit",
        "cr:ValidationSplit",
        "cr:TestSplit",
    ]
    for split in SPLITS:
        first, *fields = sets[split]["field"]
        assert first["source"]["extract"] == {"fileProperty": "filename"}
        assert [field["@id"] for field in fields] == [f"{split}/{c}" for c in MANIFEST_COLUMNS]
        for field, column in zip(fields, MANIFEST_COLUMNS, strict=True):
            assert field["source"]["fileObject"] == {"@id": f"{split}.csv"}
            assert field["source"]["extract"] == {"column": column}
        types = {field["name"]: field["dataType"] for field in fields}
        assert types["clip"] == types["target_id"] == "sc:Text"
        assert types["frame"] == "sc:Integer"
        assert types["class_index"] == ["sc:Integer", "cr:Label"]


def test_columns_are_described_as_in_the_schema():
    rows = re.findall(
        r"^\| `(\w+)` \| (.+) \|$", (ROOT / "data_manifests/README.md").read_text(), re.MULTILINE
    )
    schema = {name: text.replace("`", "") for name, text in rows if name in MANIFEST_COLUMNS}
    assert schema == COLUMNS
    assert tuple(COLUMNS) == MANIFEST_COLUMNS


def test_no_name_of_a_clip_and_no_absolute_path_is_written(metadata, videos_manifest):
    text = json.dumps(metadata)
    assert str(videos_manifest.root) not in text
    samples = videos_manifest.samples("train")
    for name in {*samples["clip"], *samples["group"]}:
        assert f'"{name}"' not in text
        assert f"/{name}" not in text


def test_a_new_manifest_in_the_folder_deletes_the_description(manifest, dataset):
    export_manifest(manifest, "croissant", manifest.folder)
    assert set(written([])) <= set(DERIVED)
    make_manifest(dataset, manifest.folder, SplitSettings("videos", ratios=(50, 25, 25), seed=1))
    assert not any((manifest.folder / name).exists() for name in FILES)


def test_a_failed_description_leaves_the_manifest_unchanged(manifest, monkeypatch):
    def fail(*_, **__):
        raise FfppError("disk full")

    before = hashes(manifest.folder)
    monkeypatch.setattr("ffpp_tools.exchange.dataset_card.dataset_card", fail)
    with pytest.raises(FfppError, match="disk full"):
        export_manifest(manifest, "croissant", manifest.folder)
    assert hashes(manifest.folder) == before


def test_mlcroissant_validates_the_metadata_and_reads_the_rows(manifest, caplog):
    mlcroissant = pytest.importorskip("mlcroissant")
    export_manifest(manifest, "croissant", manifest.folder)
    read = mlcroissant.Dataset(manifest.folder / "croissant.json")
    issues = read.metadata.ctx.issues
    assert (issues.errors, issues.warnings) == (set(), set())
    assert not caplog.records
    for split in SPLITS:
        rows = list(read.records(split))
        samples = manifest.samples(split)
        assert [row[f"{split}/face_id"].decode() for row in rows] == samples["face_id"].to_list()
        assert [row[f"{split}/frame"] for row in rows] == samples["frame"].to_list()
        assert {row[f"{split}/split"] for row in rows} == {split.encode()}
