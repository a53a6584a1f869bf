from dataclasses import replace

import pytest

from ffpp_tools.errors import TableError
from ffpp_tools.rows import Part
from ffpp_tools.run import extract_dataset
from ffpp_tools.tables import merge_parts, read_faces, read_frames
from tests.conftest import SETTINGS


def test_rows_that_do_not_add_up_are_refused(few, tmp_path):
    extract_dataset(few[:1], tmp_path, SETTINGS)
    path = next((tmp_path / "parts").rglob("*.json"))
    part = Part.read(path)
    for broken in (
        Part(part.frames, part.faces[1:]),
        Part(part.frames[1:], part.faces),
        Part((*part.frames, part.frames[0]), part.faces),
        Part((replace(part.frames[0], status="lost"), *part.frames[1:]), part.faces[1:]),
    ):
        broken.write(path)
        with pytest.raises(TableError, match="do not add up"):
            merge_parts(tmp_path)


@pytest.mark.parametrize("table", ["frames.parquet", "faces.parquet"])
def test_tables_survive_a_round_trip_and_name_what_is_wrong(dataset, tmp_path, table):
    read = read_frames if table == "frames.parquet" else read_faces
    with pytest.raises(TableError, match="ffpp-extract"):
        read(tmp_path)
    (tmp_path / table).write_text("not parquet")
    with pytest.raises(TableError, match=table):
        read(tmp_path)
    read(dataset).drop(columns=["frame_id"]).to_parquet(tmp_path / table)
    with pytest.raises(TableError, match="frame_id"):
        read(tmp_path)
