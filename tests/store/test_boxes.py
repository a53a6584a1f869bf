"""A table of boxes: written, read, and refused if it is damaged, unsafe or of another kind."""

import pandas as pd
import pytest

from ffpp_tools.errors import FormatError, TableError
from ffpp_tools.exchange.boxes import export_boxes
from ffpp_tools.store.boxes import FILE, BoxTable
from tests.helpers.boxes import changed, with_rows


@pytest.fixture(scope="module")
def boxes(dataset, tmp_path_factory):
    return export_boxes(dataset, tmp_path_factory.mktemp("boxes")).path


def test_a_table_is_read_as_it_was_written_whatever_the_order_of_its_rows(boxes, tmp_path):
    table = BoxTable.read(boxes)
    assert table.settings["clips"]["plan"] == {"every": 10, "per_clip": None}
    shuffled = table.rows.sample(frac=1, random_state=0).assign(note="mine")
    path = with_rows(table, tmp_path / FILE, shuffled)
    pd.testing.assert_frame_equal(BoxTable.read(path).rows, table.rows)
    pd.testing.assert_frame_equal(BoxTable.read(tmp_path).rows, table.rows)


def test_the_same_rows_give_the_same_bytes(boxes, tmp_path):
    table = BoxTable.read(boxes)
    assert with_rows(table, tmp_path / "b", table.rows).read_bytes() == boxes.read_bytes()


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("clip", "../../escaped", "clip cannot be the name of a file"),
        ("clip", "/etc/escaped", "clip cannot be the name of a file"),
        ("category", "..", "category cannot be the name of a file"),
        ("compression", "a\\b", "compression cannot be the name of a file"),
        ("clip", "a\0b", "clip cannot be the name of a file"),
        ("status", "fine", "status is not one of ok, no_face"),
        ("status", "no_face", "has a crop in spite of its status"),
        ("face_id", "", "is ok but has no crop"),
        ("frame", -1, "a number is negative"),
        ("track", -1, "a number is negative"),
        ("sha256", "0" * 63, "sha256 is not a SHA-256"),
        ("source_sha256", "", "source_sha256 is not a SHA-256"),
        ("source_sha256", "0" * 64, "the clip has several source_sha256"),
        ("box_x", -1, "the box is not within the frame"),
        ("box_w", 0, "the box is not within the frame"),
        ("box_h", 2**62, "the box is not within the frame"),
        ("box_y", 2**63 - 1, "the box is not within the frame"),
        ("face_id", lambda rows: rows["face_id"][1], "a crop appears twice"),
        ("frame", "0", "column frame is damaged"),
        ("clamped", "no", "column clamped is damaged"),
        ("score", "0.5", "column score is damaged"),
        ("sha256", None, "column sha256 is damaged"),
    ],
)
def test_a_damaged_row_is_refused(boxes, tmp_path, column, value, message):
    value = value(pd.read_parquet(boxes)) if callable(value) else value
    with pytest.raises(TableError, match=message) as caught:
        BoxTable.read(changed(boxes, tmp_path / "b.parquet", column, value))
    assert str(caught.value).startswith(f"{tmp_path}/b.parquet: ")
    assert "ffpp-export DATASET --format boxes" in str(caught.value)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda b, d, p: None, r"is missing: pass a table"),
        (lambda b, d, p: p.write_bytes(b.read_bytes()[:-9]), "not a readable Parquet file"),
        (lambda b, d, p: p.write_text('{"boxes": []}'), "not a readable Parquet file"),
        (
            lambda b, d, p: p.write_bytes((d / "faces.parquet").read_bytes()),
            "not a table of boxes: it has no settings",
        ),
        (
            lambda b, d, p: with_rows(
                BoxTable.read(b), p, BoxTable.read(b).rows.drop(columns=["box_x", "sha256"])
            ),
            "column box_x, sha256 is missing",
        ),
    ],
)
def test_another_or_a_damaged_file_is_refused(boxes, dataset, tmp_path, make, message):
    path = tmp_path / "b.parquet"
    make(boxes, dataset, path)
    with pytest.raises(TableError, match=message):
        BoxTable.read(path)


def test_a_table_of_a_newer_release_is_refused_with_a_remedy(boxes, tmp_path):
    rows = pd.read_parquet(boxes)
    rows.attrs["format"] = 99
    rows.to_parquet(tmp_path / "b.parquet")
    with pytest.raises(FormatError, match=r"b\.parquet: table of boxes, format 99.*upgrade"):
        BoxTable.read(tmp_path / "b.parquet")
