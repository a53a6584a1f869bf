"""The dataset card of a manifest, in Markdown with the YAML header of Hugging Face.

The sections follow Hugging Face's template, after Gebru et al., Datasheets for Datasets (2021).
"""

from __future__ import annotations

import json
from importlib.metadata import version
from typing import Any

from ffpp_tools.exchange.description import (
    NO_IMAGES,
    NOTHING,
    PERSONAL,
    UNSUITABLE,
    USES,
    Description,
)
from ffpp_tools.markdown import Markdown, templates
from ffpp_tools.splits.manifest import MANIFEST_COLUMNS, TEXT_COLUMNS
from ffpp_tools.store.schema import SPLITS

FILE = "dataset-card.md"
SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


def dataset_card(description: Description, beside: bool) -> str:
    """Return the dataset card.

    Args:
        description: of the manifest.
        beside: whether the card is next to the CSV files. Its header then names them, so that
            Hugging Face's `datasets` loads the rows.
    """
    return (
        templates("ffpp_tools")
        .get_template(FILE)
        .render(
            it=description,
            info=description.manifest.info,
            header=Markdown(_header(description, beside)),
            version=version("ffpp-tools"),
            splits=SPLITS,
            nothing=NOTHING,
            no_images=NO_IMAGES,
            personal=PERSONAL,
            uses=USES,
            unsuitable=UNSUITABLE,
        )
    )


def _header(description: Description, beside: bool) -> str:
    """Return the header. Its values are JSON, which is YAML."""
    size = sum(description.samples.values())
    values: dict[str, Any] = {
        "pretty_name": description.name,
        "license": "other",
        "license_name": "terms-of-the-source-datasets",
        "task_categories": ["image-classification"],
        "tags": ["deepfake-detection", "face-manipulation", "croissant"],
        "size_categories": [next((name for limit, name in SIZES if size < limit), "n>1M")],
        "source_datasets": ["extended"],
    }
    if beside:
        # Without types, clips and people such as "000" would be read as numbers.
        types = {name: "string" if name in TEXT_COLUMNS else "int64" for name in MANIFEST_COLUMNS}
        values["configs"] = [
            {
                "config_name": "default",
                "data_files": [{"split": split, "path": f"{split}.csv"} for split in SPLITS],
            }
        ]
        values["dataset_info"] = {
            "features": [{"name": name, "dtype": dtype} for name, dtype in types.items()]
        }
    return "\n".join(f"{key}: {_yaml(value)}" for key, value in values.items())


def _yaml(value: Any) -> str:
    """Return a value as JSON; characters that YAML does not allow become spaces."""
    text = json.dumps(value, ensure_ascii=False)
    return "".join(c if c.isprintable() else " " for c in text)
