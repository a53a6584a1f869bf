import hashlib
import json
import random
import shutil

import pandas as pd
import pytest

from ffpp_tools.errors import TableError
from ffpp_tools.splits import manifest as manifests
from ffpp_tools.splits.manifest import MANIFEST_COLUMNS, TEXT_COLUMNS, Manifest, write_manifest


@pytest.mark.parametrize("damage", ["gone", "json", "key", "edited", "split"])
def test_damaged_manifests_are_named(videos_manifest, tmp_path, damage):
    folder = tmp_path / "m"
    shutil.copytree(videos_manifest.folder, folder)
    if damage == "gone":
        shutil.rmtree(folder)
    elif damage == "json":
        (folder / "manifest.json").write_text("{")
    elif damage == "key":
        info = {k: v for k, v in videos_manifest.info.items() if k != "classes"}
        (folder / "manifest.json").write_text(json.dumps(info))
    elif damage == "edited":
        train = (folder / "train.csv").read_text().splitlines()
        (folder / "test.csv").write_text("\n".join([train[0], *train[5:9]]))
    else:
        (folder / "test.csv").unlink()
    with pytest.raises(TableError, match=folder.name):
        Manifest.read(folder).samples("test")


def test_a_csv_is_written_as_pandas_writes_it_and_read_as_it_was(tmp_path, monkeypatch):
    """Names with quotes, commas and line feeds, empty ones, and a split without samples."""
    rng = random.Random(0)
    odd = ["", "x", 'a"b', '"', "a,b", "a\nb", " é ", "NA", "1", "-0", "a\\b"]
    text = {name: pd.Series(rng.choices(odd, k=50), dtype="str") for name in TEXT_COLUMNS}
    numbers = {"class_index": range(50), "frame": [-1, 10**12] * 25}
    rows = pd.DataFrame({**text, **numbers, "sha256": [f"{i:064x}" for i in range(50)]})
    splits = {"train": rows, "val": rows.tail(3).astype({"clip": "category"}), "test": rows.head(0)}
    monkeypatch.setattr(manifests, "AT_ONCE", 7)
    written = write_manifest(tmp_path, splits.items(), {})
    for split, own in splits.items():
        plain = own[list(MANIFEST_COLUMNS)].to_csv(index=False, lineterminator="\n")
        assert (tmp_path / f"{split}.csv").read_text("utf-8") == plain
        lines = "".join(f"{p} {s}\n" for p, s in zip(own["path"], own["sha256"], strict=True))
        assert written.info["crops"][split] == hashlib.sha256(lines.encode()).hexdigest()
        expected = own[list(MANIFEST_COLUMNS)].astype({"clip": "str"}).reset_index(drop=True)
        assert written.samples(split).equals(expected)
        assert written.samples(split, ["frame", "clip"]).equals(expected[["frame", "clip"]])
