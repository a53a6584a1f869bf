"""A manifest described as Croissant 1.1 metadata (JSON-LD), and in a dataset card; no images.

    FOLDER/croissant.json      the CSV files, their columns, and responsible AI (RAI) fields
    FOLDER/dataset-card.md     the same for people; see `dataset_card`

FOLDER may be the manifest's own. The vocabularies are those of
http://mlcommons.org/croissant/1.1 and http://mlcommons.org/croissant/RAI/1.0.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path, PurePath
from typing import Any

from ffpp_tools.exchange import dataset_card
from ffpp_tools.exchange.crops import CropTable
from ffpp_tools.exchange.description import (
    NO_IMAGES,
    PERSONAL,
    UNSUITABLE,
    USES,
    Description,
    describe,
)
from ffpp_tools.files import write_atomically
from ffpp_tools.splits.manifest import TEXT_COLUMNS, Manifest
from ffpp_tools.store.schema import SPLITS

FILE = "croissant.json"
LAYOUT = f"{FILE} and {dataset_card.FILE}, without images"
CREATOR = "not stated"
# The context of the specification; mlcroissant has schema.org with https.
CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "prov": "http://www.w3.org/ns/prov#",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "description": {"@container": "@language"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "name": {"@container": "@language"},
    **{
        term: f"cr:{term}"
        for term in (
            *("arrayShape", "citeAs", "column", "containedIn", "equivalentProperty", "extract"),
            *("field", "fileObject", "fileProperty", "fileSet", "format", "includes", "isArray"),
            *("isLiveDataset", "jsonPath", "key", "md5", "parentField", "path", "recordSet"),
            *("references", "regex", "repeated", "replace", "samplingRate", "separator", "source"),
            *("subField", "transform"),
        )
    },
}
COLUMNS = {  # as in data_manifests/README.md
    "face_id": "category/compression/clip/frame, unique; followed by /track if a frame has several "
    "faces",
    "path": "path of the crop, relative to the manifest's root",
    "class": "the class in this mode",
    "class_index": "index of the class, in alphabetical order",
    "label": "real or fake",
    "category": "source or manipulation: CelebA, CelebA-HQ, Deepfakes, Face2Face, FaceSwap, "
    "NeuralTextures, Youtube, …",
    "compression": "raw, c23 or c40; native for video datasets with a single compression; still "
    "for photographs",
    "clip": "the video's name, such as 000_003; for a still its path relative to its folder, "
    "without suffix",
    "target_id": "the person whose frames and body are shown; for a still its identity, if an "
    "identity file gives it",
    "source_id": "the person whose face or expression was inserted; empty for originals and stills",
    "frame": "index in the video, from 0; 0 for stills",
    "group": "the identity group: samples that must stay in one split because they show the same "
    "people; named after one of them",
    "pair": "clip/frame/compression of the original (followed by /track if a frame has several "
    "faces) if a fake and its original were cropped from the same frame with the same window; the "
    "same for both; otherwise empty, as in manifests of earlier versions",
}
LABELS = ("class", "class_index", "label")
SPLIT_URLS = dict(zip(SPLITS, ("TrainingSplit", "ValidationSplit", "TestSplit"), strict=True))


def written(tables: Iterable[CropTable], creator: str = CREATOR) -> list[str]:
    """Return the names of the files that `write` creates."""
    return [FILE, dataset_card.FILE]


def write(tables: Sequence[CropTable], folder: Path, creator: str = CREATOR) -> int:
    """Write the metadata and the card.

    Args:
        tables: the crops of each split.
        folder: the folder to write to: the manifest's, or any other.
        creator: the person or organisation that made the manifest.

    Returns:
        0, the number of crops that are hard links.

    Raises:
        TableError: a file of the manifest or its dataset is damaged.
        FfppError: a file cannot be written.
    """
    manifest = tables[0].manifest
    description = describe(manifest, {table.split: table.table for table in tables})
    place = os.path.relpath(manifest.folder.resolve(), folder.resolve())
    values = metadata(description, PurePath(place), creator)
    text = json.dumps(values, indent=2, ensure_ascii=False) + "\n"
    write_atomically(folder / FILE, text.encode())
    card = dataset_card.dataset_card(description, beside=place == ".")
    write_atomically(folder / dataset_card.FILE, card.encode())
    return 0


def metadata(description: Description, place: PurePath, creator: str) -> dict[str, Any]:
    """Return the Croissant metadata of a manifest.

    Args:
        description: of the manifest.
        place: the manifest's folder, relative to that of the metadata.
        creator: the person or organisation that made the manifest.
    """
    manifest = description.manifest
    modified = (manifest.folder / "manifest.json").stat().st_mtime
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": [
            "http://mlcommons.org/croissant/1.1",
            "http://mlcommons.org/croissant/RAI/1.0",
        ],
        "name": description.name,
        "description": f"{description.about} {manifest.info['summary']}. {NO_IMAGES}",
        "url": dataset_card.FILE,
        "version": f"1.0.0+{manifest.sha256[:12]}",
        "creator": {"@type": "sc:Organization", "name": creator},
        "datePublished": datetime.fromtimestamp(modified, UTC).date().isoformat(),
        "license": _licences(description),
        "citeAs": "\n".join(terms.citation for terms in description.terms),
        "keywords": ["deepfake detection", "face manipulation", *description.categories],
        "isLiveDataset": False,
        "prov:wasDerivedFrom": [
            {"@id": terms.url, "prov:label": terms.dataset} for terms in description.terms
        ],
        "prov:wasGeneratedBy": {
            "@type": "prov:Activity",
            "prov:label": f"ffpp-split (ffpp-tools {version('ffpp-tools')}): "
            f"{description.preprocessing['selection']}",
        },
        **_responsible_ai(description),
        "distribution": _files(manifest, place),
        "recordSet": [_splits(), _classes(manifest), *(_rows(manifest, s) for s in SPLITS)],
    }


def _licences(description: Description) -> list[dict[str, str]]:
    known = [
        {
            "@type": "sc:CreativeWork",
            "name": f"Terms of {terms.dataset}",
            "description": terms.text.plain,
            "url": terms.url,
        }
        for terms in description.terms
    ]
    unknown = [
        {
            "@type": "sc:CreativeWork",
            "name": f"Terms of {category}",
            "description": "unknown; read those that come with the data",
        }
        for category in description.unknown_terms
    ]
    return known + unknown


def _responsible_ai(description: Description) -> dict[str, Any]:
    terms = "; ".join(f"{terms.dataset}: {terms.text.plain}" for terms in description.terms)
    values = {
        "dataCollection": description.collection,
        "dataCollectionType": ["Secondary Data analysis", "Software Collection"],
        "dataCollectionRawData": f"Videos and photographs of {', '.join(description.categories)}. "
        f"Terms, if the data come from the datasets with these categories: {terms or 'unknown'}.",
        "dataCollectionMissingData": description.missing,
        "dataPreprocessingProtocol": [
            f"{step}: {settings}" for step, settings in description.preprocessing.items()
        ],
        "dataAnnotationProtocol": description.annotation,
        "dataLimitations": [
            *description.limitations,
            *(f"Not suitable for: {use}" for use in UNSUITABLE),
        ],
        "dataBiases": description.biases,
        "dataUseCases": list(USES),
        "personalSensitiveInformation": list(PERSONAL),
        "dataSocialImpact": "Detectors help to recognise manipulated videos of people. Their "
        "errors harm people in both directions: a real video is doubted, or a fake is believed.",
        "dataReleaseMaintenancePlan": NO_IMAGES,
    }
    return {f"rai:{name}": value for name, value in values.items()}


def _files(manifest: Manifest, place: PurePath) -> list[dict[str, Any]]:
    hashes = {**manifest.info["files"], "manifest.json": manifest.sha256}
    return [
        {
            "@type": "cr:FileObject",
            "@id": name,
            "name": name,
            "description": f"The rows of {name.removesuffix('.csv')}."
            if name.endswith(".csv")
            else "Settings, counts, hashes and audit of the manifest.",
            "contentUrl": (place / name).as_posix(),
            "contentSize": f"{(manifest.folder / name).stat().st_size} B",
            "encodingFormat": "text/csv" if name.endswith(".csv") else "application/json",
            "sha256": sha256,
        }
        for name, sha256 in hashes.items()
    ]


def _splits() -> dict[str, Any]:
    return {
        **_record_set("splits", "The splits.", "name"),
        "dataType": "cr:Split",
        "field": [
            _field("splits", "name", "name of the split", "sc:Text"),
            _field("splits", "url", "its meaning", "cr:Split", "sc:URL"),
        ],
        "data": [
            {"splits/name": split, "splits/url": f"cr:{url}"} for split, url in SPLIT_URLS.items()
        ],
    }


def _classes(manifest: Manifest) -> dict[str, Any]:
    return {
        **_record_set("classes", "The classes, in the order of their indices.", "name"),
        "dataType": "sc:Enumeration",
        "field": [
            _field("classes", "name", "name of the class", "sc:Text"),
            _field("classes", "index", "index of the class", "sc:Integer"),
            _field("classes", "label", "real or fake", "sc:Text"),
        ],
        "data": [
            {"classes/name": name, "classes/index": index, "classes/label": label}
            for index, (name, label) in enumerate(manifest.classes.items())
        ],
    }


def _rows(manifest: Manifest, split: str) -> dict[str, Any]:
    """Return the record set of a split: its split, and the columns that its CSV file has."""
    file = {"fileObject": {"@id": f"{split}.csv"}}
    with (manifest.folder / f"{split}.csv").open(encoding="utf-8", newline="") as lines:
        columns = next(csv.reader(lines))
    samples = sum(manifest.info["counts"][split].values())
    fields = [
        {
            **_field(split, "split", "name of the split", "sc:Text"),
            "source": {
                **file,
                "extract": {"fileProperty": "filename"},
                "transform": {"regex": f"^({'|'.join(SPLITS)})(?:\\.csv)?$"},
            },
            "references": {"field": {"@id": "splits/name"}},
        }
    ]
    for column in columns:
        kind = "sc:Text" if column in TEXT_COLUMNS else "sc:Integer"
        types = (kind, "cr:Label") if column in LABELS else (kind,)
        field = _field(split, column, COLUMNS[column], *types)
        field["source"] = {**file, "extract": {"column": column}}
        if column == "class":
            field["references"] = {"field": {"@id": "classes/name"}}
        fields.append(field)
    return {
        **_record_set(split, f"The {samples} samples of {split}, one per crop.", "face_id"),
        "field": fields,
    }


def _record_set(name: str, description: str, key: str) -> dict[str, Any]:
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "description": description,
        "key": {"@id": f"{name}/{key}"},
    }


def _field(record_set: str, name: str, description: str, *types: str) -> dict[str, Any]:
    return {
        "@type": "cr:Field",
        "@id": f"{record_set}/{name}",
        "name": name,
        "description": description,
        "dataType": types[0] if len(types) == 1 else list(types),
    }
