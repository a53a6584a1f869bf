import hashlib
import json
import random
import shutil
from dataclasses import fields, replace

import numpy as np
import pandas as pd
import pytest

from ffpp_tools.errors import TableError
from ffpp_tools.extraction.pipeline import extract_dataset
from ffpp_tools.grouping.dataset import Dataset
from ffpp_tools.grouping.dedupe import find_duplicates
from ffpp_tools.grouping.groups import nodes
from ffpp_tools.store import tables
from ffpp_tools.store.ledger import verify
from ffpp_tools.store.schema import FaceRow, FrameRow, LandmarkRow, Part, later_columns
from ffpp_tools.store.tables import (
    DuplicateRow,
    as_text,
    content_hash,
    coverage_by_category,
    merge_parts,
    positions,
    read_columns,
    read_faces,
    read_frames,
    sorted_order,
    table_of,
)
from tests.helpers.tables import not_known
from tests.helpers.worlds import SETTINGS

LATER_COLUMNS = {**later_columns(FrameRow), **later_columns(FaceRow)}


def test_inconsistent_rows_are_an_error(few, tmp_path):
    extract_dataset(few[:1], tmp_path, SETTINGS)
    path = next((tmp_path / "parts").rglob("*.json"))
    part = Part.read(path)
    for broken in (
        Part(part.frames, part.faces[1:]),
        Part(part.frames, part.faces, (LandmarkRow(part.faces[0].face_id, 9, 9, [0] * 136),)),
        Part(part.frames[1:], part.faces),
        Part((*part.frames, part.frames[0]), part.faces),
        Part((replace(part.frames[0], status="lost"), *part.frames[1:]), part.faces[1:]),
    ):
        broken.write(path)
        with pytest.raises(TableError, match="are inconsistent"):
            merge_parts(tmp_path)


def emptied(column):
    return lambda t: t.assign(**{column: t[column].astype(object).where(t.index > 1)})


def doubled(table):
    return pd.concat([table, table.iloc[:1]])


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        (
            "frames",
            doubled,
            r"\S+ appears twice; run `ffpp-extract` or `ffpp-stills` to rebuild it",
        ),
        ("faces", doubled, r"\S+ appears twice; run `ffpp-extract`"),
        ("frames", emptied("category"), r"column category is damaged \(row 1 is empty\)"),
        ("frames", emptied("frame"), r"column frame is damaged \(row 1 is empty\)"),
        ("faces", emptied("path"), r"column path is damaged \(row 1 is empty\)"),
        (
            "frames",
            lambda t: t.assign(frame="1"),
            r"frame is damaged \(the values are not integers",
        ),
        ("duplicates", emptied("partner"), "column partner is damaged .* run `ffpp-clean` again"),
    ],
)
def test_a_table_with_empty_cells_or_duplicate_rows_is_an_error(
    dataset, tmp_path, name, change, message
):
    for table in ("frames", "faces"):
        shutil.copy(dataset / f"{table}.parquet", tmp_path)
    rows = [DuplicateRow(f"A/{i}", "near", f"A/{i + 1}", 0.1, "a.png") for i in range(3)]
    table_of(DuplicateRow, rows).to_parquet(tmp_path / "duplicates.parquet")
    Dataset.read(tmp_path)
    path = tmp_path / f"{name}.parquet"
    change(pd.read_parquet(path)).to_parquet(path)
    with pytest.raises(TableError, match=rf"{name}\.parquet: .*{message}"):
        Dataset.read(tmp_path)


@pytest.mark.parametrize("table", ["frames.parquet", "faces.parquet"])
def test_unreadable_tables_are_errors_with_a_remedy(dataset, tmp_path, table):
    read = read_frames if table == "frames.parquet" else read_faces
    with pytest.raises(TableError, match="ffpp-extract"):
        read(tmp_path)
    (tmp_path / table).write_text("not parquet")
    with pytest.raises(TableError, match=rf"{table}: not a readable .* to rebuild it from parts/"):
        read(tmp_path)
    read(dataset).drop(columns=["frame_id"]).to_parquet(tmp_path / table)
    with pytest.raises(
        TableError, match=r"frame_id is missing; run `ffpp-extract`.* to rebuild it"
    ):
        read(tmp_path)


def test_a_dataset_of_an_earlier_version_is_read_with_unknown_values_left_empty(few, tmp_path):
    folder = tmp_path / "dataset"
    extract_dataset(few, folder, SETTINGS)
    for path in (folder / "parts").rglob("*.json"):
        rows = json.loads(path.read_text())
        for row in (*rows["frames"], *rows["faces"]):
            for column in LATER_COLUMNS:
                row.pop(column, None)
        path.write_text(json.dumps(rows))
    merge_parts(folder)
    as_written = {}
    for name in ("frames", "faces"):
        table = pd.read_parquet(folder / f"{name}.parquet")
        table = table.drop(columns=[c for c in LATER_COLUMNS if c in table])
        table.to_parquet(folder / f"{name}.parquet")
        as_written[f"{name}.parquet"] = content_hash(table)
    frames = read_frames(folder)
    assert (frames[["source_sha256", "frame_hash"]] == "").all(axis=None)
    assert list(verify(folder)) == []
    read = Dataset.read(folder)
    assert read.table_hashes == as_written  # so that manifests of that version are not outdated
    assert read.changed_since(as_written) == []
    assert find_duplicates(folder).empty
    limitations = not_known(Dataset.read(folder))
    assert any("their frames were not compared" in text for text in limitations)


def test_coverage_counts_clips_and_stills_with_slashes_in_their_names(dataset):
    faces = read_faces(dataset).head(3)
    ids = ["CelebA/still/img/a/000000", "CelebA/still/img/b/000000", "Youtube/c23/000/000025"]
    faces = faces.assign(frame_id=ids, face_id=[*ids[:2], f"{ids[2]}/1"])
    counted = coverage_by_category(faces)
    assert {name: found["units"] for name, found in counted.items()} == {"CelebA": 2, "Youtube": 1}
    changed = coverage_by_category(
        faces.assign(score=faces["score"].where(faces["face_id"] != ids[0], -9))
    )
    assert changed["Youtube"] == counted["Youtube"]
    assert changed["CelebA"] != counted["CelebA"]


def drawn_frames(n, rng):
    """A ledger with repeated, unique and empty text, and with missing numbers."""
    names = [f"{rng.choice(['A', 'A-b', 'é'])}/c23/{i % 7}/{i:06d}" for i in range(n)]
    table = pd.DataFrame({"frame_id": pd.Series(sorted(names), dtype="str")})
    for field in fields(FrameRow)[1:]:
        kind = str(field.type)
        if kind == "str":
            values = [rng.choice(["", "x", "é\n,", str(rng.random())]) for _ in range(n)]
        else:
            values = [rng.randint(0, 9) if kind == "int" else rng.choice([1.5, float("nan")])] * n
        table[field.name] = pd.Series(
            values, dtype={"int": "int64", "float": "float64"}.get(kind, kind)
        )
    return table


@pytest.mark.parametrize("rows", [0, 1, 50])
@pytest.mark.parametrize("without", [(), ("source_sha256",), ("unchanged_by", "frame_hash")])
def test_columns_read_in_batches_equal_those_of_the_full_table(
    tmp_path, monkeypatch, rows, without
):
    rng = random.Random(rows)
    whole = drawn_frames(rows, rng).assign(frame_hash="")
    whole.drop(columns=list(without)).to_parquet(tmp_path / "frames.parquet", index=False)
    monkeypatch.setattr(tables, "AT_ONCE", 7)
    columns = ("frame_id", "clip", "frame", "time_s", "source_sha256")
    read, hashes = read_columns(tmp_path, "frames", columns, ("clip", "source_sha256"))
    expected = read_frames(tmp_path)
    assert as_text(read).equals(expected[list(columns)])
    assert read["clip"].dtype == "category"
    assert list(read["clip"].cat.categories) == sorted(expected["clip"].unique())
    hashed = [c for c in expected if c not in LATER_COLUMNS or (expected[c] != "").any()]
    plain = pd.util.hash_pandas_object(expected[hashed], index=False)
    digest = hashlib.sha256(np.sort(plain.to_numpy()).tobytes()).hexdigest()
    assert hashes == {"frames.parquet": digest}
    assert content_hash(expected) == digest
    assert nodes(read.assign(category=read["clip"])).equals(
        expected["clip"] + "/" + expected["clip"]
    )


def test_positions_and_order_of_names():
    names = pd.Series(["b", "a", "é", "c/d"], dtype="str")
    assert positions(names, pd.Series(["é", "x", "b"], dtype="str")).tolist() == [2, -1, 0]
    assert names.iloc[sorted_order(names)].tolist() == ["a", "b", "c/d", "é"]
    assert sorted_order(names.iloc[[1, 0, 2]]).tolist() == [0, 1, 2]
    assert sorted_order(names.iloc[:0]).tolist() == []
