"""Updated tables are byte-identical to those of a merge of all parts."""

import json
import random
import re
import shutil
from dataclasses import replace

import pytest

from ffpp_tools.errors import FfppError, TableError
from ffpp_tools.store import tables
from ffpp_tools.store.merge_stamps import FILE, TABLES, MergeRecord
from ffpp_tools.store.schema import STILL, FaceRow, FrameRow, LandmarkRow, Part, part_path
from ffpp_tools.store.tables import merge_parts


def unit(category, clip, frames=1, seed=0):
    """The rows of a clip or still, some of them misses."""
    rng = random.Random(f"{category}{clip}{seed}")
    compression = STILL if category.startswith("Celeb") else "c23"
    rows, faces = [], []
    for number in range(frames):
        name = f"{category}/{compression}/{clip}/{25 * number:06d}"
        detected = rng.random() < 0.8
        about = (category, "real", compression, clip, "", "", 25 * number)
        size = (number / 2, 64, 48) if detected else (float("nan"), 0, 0)
        status = ("ok", 1, "") if detected else ("no_face", 0, rng.choice(["", "é\n'x'"]))
        rows.append(FrameRow(name, *about, *size, *status))
        if detected:
            score, difference = rng.random(), rng.choice([1.5, float("nan")])
            where = (0, 1, 2, 3, 4, 5, 6, 7, False, "detected", "hog", score)
            face = FaceRow(name, name, *where, f"faces/{name}.png", rng.randbytes(4).hex())
            faces.append(replace(face, difference=difference))
    return rows, faces


def commit(dataset, *units, landmarks=False):
    """Write the rows of several units to the part that they share."""
    rows = [row for frames, _ in units for row in frames]
    faces = [face for _, own in units for face in own]
    path = dataset / part_path(rows[0].category, rows[0].compression, rows[0].clip)
    points = [
        LandmarkRow(face.face_id, 64, 48, [len(face.sha256) + n for n in range(136)])
        for face in faces
        if landmarks
    ]
    Part(tuple(rows), tuple(faces), tuple(points)).write(path)
    return path


def bytes_of(dataset):
    return [(dataset / name).read_bytes() for name in TABLES if (dataset / name).exists()]


def merged_from_scratch(dataset, tmp_path):
    folder = tmp_path / "scratch"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(dataset / "parts", folder / "parts")
    merge_parts(folder)
    return bytes_of(folder)


@pytest.fixture
def read(monkeypatch):
    """Names of the parts that were read since the list was cleared."""
    names, plain = [], tables.read_rows
    monkeypatch.setattr(tables, "read_rows", lambda path: names.append(path.name) or plain(path))
    return names


TWO_IN_A_PART = [n for n in map(str, range(900)) if part_path("x", STILL, n).endswith("/07.json")]
# Names that share a part, and names whose order differs between paths and ids.
STILLS = ["a", "a/b", "a-b", *TWO_IN_A_PART]
CLIPS = ["183", "183_253", "183-a", "9", "é"]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("landmarks", [False, True], ids=["plain", "landmarks"])
def test_any_sequence_of_updates_gives_the_bytes_of_a_full_merge(tmp_path, seed, landmarks):
    rng, dataset = random.Random(seed), tmp_path / "dataset"
    stills = {}
    (dataset / "parts").mkdir(parents=True)
    for _ in range(8):
        for _ in range(rng.randint(0, 3)):
            paths = sorted((dataset / "parts").rglob("*.json"))
            what = rng.choice(["clip", "clip", "still", "still", "delete", "touch"])
            if what == "clip":
                category = rng.choice(["Youtube", "You", "Deepfakes"])
                clip = unit(category, rng.choice(CLIPS), rng.randint(1, 4), rng.random())
                commit(dataset, clip, landmarks=landmarks)
            elif what == "still":  # added to a part that may exist
                names = rng.sample(STILLS, rng.randint(1, 3))
                for name in names:
                    own = stills.setdefault(part_path("CelebA", STILL, name), {})
                    own[name] = unit("CelebA", name)
                    commit(dataset, *own.values(), landmarks=landmarks)
            elif paths and what == "delete":
                path = rng.choice(paths)
                stills.pop(path.relative_to(dataset).as_posix(), None)
                path.unlink()
            elif paths:
                rng.choice(paths).touch()
        frames, faces = merge_parts(dataset)
        assert bytes_of(dataset) == merged_from_scratch(dataset, tmp_path)
        assert frames.equals(tables.read_frames(dataset))
        assert faces.equals(tables.read_faces(dataset))
        assert len(tables.read_landmarks(dataset)) == (len(faces) if landmarks else 0)


@pytest.fixture
def dataset(tmp_path, read):
    folder = tmp_path / "dataset"
    for name in CLIPS:
        commit(folder, unit("Youtube", name, 3))
    merge_parts(folder)
    read.clear()
    return folder


def test_only_new_parts_are_read_and_nothing_is_written_without_new_parts(dataset, tmp_path, read):
    names = ("frames.parquet", "faces.parquet", FILE)
    written = [(dataset / name).stat().st_mtime_ns for name in names]
    merge_parts(dataset)
    assert (read, written) == (
        [],
        [(dataset / name).stat().st_mtime_ns for name in names],
    )
    commit(dataset, unit("FaceSwap", "000_001"))
    merge_parts(dataset)
    assert read == ["000_001.json"]
    assert bytes_of(dataset) == merged_from_scratch(dataset, tmp_path)


@pytest.mark.parametrize("table", [0, 1, 2])
def test_the_next_merge_repairs_the_tables_of_a_killed_run(dataset, tmp_path, monkeypatch, table):
    """Killed before the first table, between the tables, and before merged.json."""
    commit(dataset, unit("FaceSwap", "000_001", 3))
    written, plain = [], tables.write_table

    def killed(path, frames):
        if len(written) == table:
            raise KeyboardInterrupt
        written.append(path)
        plain(path, frames)

    monkeypatch.setattr(tables, "write_table", killed)
    if table == 2:
        monkeypatch.setattr(tables.MergeRecord, "write", lambda *_: killed(None, None))
    with pytest.raises(KeyboardInterrupt):
        merge_parts(dataset)
    monkeypatch.undo()
    merge_parts(dataset)
    assert bytes_of(dataset) == merged_from_scratch(dataset, tmp_path)


def _lose_a_row(dataset):
    tables.read_faces(dataset).iloc[1:].to_parquet(dataset / "faces.parquet", index=False)


def _of_another_format(dataset):
    found = json.loads((dataset / FILE).read_text())
    assert MergeRecord.read(dataset, found["columns"]) is not None
    (dataset / FILE).write_text(json.dumps(found | {"format": 99}))
    assert MergeRecord.read(dataset, found["columns"]) is None


@pytest.mark.parametrize(
    "change",
    [
        lambda dataset: (dataset / "frames.parquet").unlink(),
        _lose_a_row,
        lambda dataset: (dataset / FILE).unlink(),
        lambda dataset: (dataset / FILE).write_text("[]"),
        lambda dataset: (dataset / FILE).write_text((dataset / FILE).read_text()[:-9]),
        _of_another_format,
        lambda dataset: (dataset / FILE).write_text(
            re.sub(r"\[[\d, ]+\]", "[1, Infinity, 1, 1]", (dataset / FILE).read_text())
        ),
    ],
)
def test_changed_tables_and_records_are_rebuilt(dataset, tmp_path, change):
    before = bytes_of(dataset)
    change(dataset)
    merge_parts(dataset)
    assert bytes_of(dataset) == before == merged_from_scratch(dataset, tmp_path)


def test_a_part_with_rows_of_another_clip_is_merged_correctly(dataset, tmp_path):
    """After manual edits: the names of the rows do not match the part that contains them."""
    path = dataset / "parts/Youtube/c23/9.json"
    frames, faces = unit("Youtube", "moved", 2)
    Part(tuple(frames), tuple(faces)).write(path)
    merge_parts(dataset)
    assert "Youtube/c23/moved/000000" in set(tables.read_frames(dataset)["frame_id"])
    assert bytes_of(dataset) == merged_from_scratch(dataset, tmp_path)
    path.unlink()
    merge_parts(dataset)
    assert bytes_of(dataset) == merged_from_scratch(dataset, tmp_path)


def test_duplicate_rows_are_an_error_as_in_a_full_merge(dataset):
    """A copy of a part under another name: every frame twice."""
    shutil.copy(dataset / "parts/Youtube/c23/9.json", dataset / "parts/Youtube/c23/10.json")
    before = bytes_of(dataset)
    with pytest.raises(TableError, match="are inconsistent"):
        merge_parts(dataset)
    assert bytes_of(dataset) == before


@pytest.mark.parametrize("row", [{}, {"who": 1}, 3, None])
def test_a_part_with_a_damaged_row_is_an_error(dataset, row):
    path = dataset / "parts/Youtube/c23/9.json"
    whole = json.loads(path.read_text())
    path.write_text(json.dumps(whole | {"frames": [whole["frames"][0], row]}))
    with pytest.raises(FfppError, match=r"9\.json: damaged"):
        merge_parts(dataset)
