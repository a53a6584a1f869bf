"""Kill a command at every rename, run it again, and compare with an undisturbed run.

`python -m tests.system.killed CASE DATA FOLDER KILLS` runs the command in forks of one process that
has not started any threads. A fork that ends by `os._exit` leaves the same files as after SIGKILL.
Prints one line per difference, and at the end the number of kills and of renames.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Sequence
from functools import partial
from hashlib import sha256
from pathlib import Path

import filelock  # noqa: F401 (here and not in every fork)
import scipy.sparse  # noqa: F401

from ffpp_tools.console import LOG
from ffpp_tools.errors import FfppError
from ffpp_tools.exchange.boxes import export_boxes
from ffpp_tools.exchange.export import export_manifest
from ffpp_tools.extraction.pipeline import extract_boxes, extract_dataset
from ffpp_tools.extraction.recorded_boxes import read_recorded_boxes
from ffpp_tools.sources.faceforensics import families, find_clips
from ffpp_tools.splits.build import SplitSettings, make_manifests
from ffpp_tools.splits.manifest import Manifest
from ffpp_tools.store import merge_stamps
from ffpp_tools.store.schema import Part
from tests.helpers.worlds import SETTINGS

KILLED, REFUSED = 77, 78
Action = Callable[[Path], object]


def forked(
    action: Callable[[], object], kill_at: int | None = None, count: Path | None = None
) -> int:
    """Run a function in a fork, kill it at one of its renames, and return the exit status.

    Args:
        action: the function.
        kill_at: index of the rename, from 0; None to let the function finish. The fork is killed
            before the rename, when the file still has its temporary name.
        count: file that receives the number of renames if the function finishes.
    """
    sys.stdout.flush()
    if child := os.fork():
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    renamed, real = 0, os.replace

    def counting(source: object, target: object) -> None:
        nonlocal renamed
        if kill_at == renamed:
            os._exit(KILLED)
        renamed += 1
        real(source, target)  # type: ignore[arg-type]

    os.replace = counting  # type: ignore[assignment]
    try:
        action()
        if count:
            count.write_text(str(renamed))
        os._exit(0)
    except FfppError as error:
        print(error, flush=True)
        os._exit(REFUSED)
    finally:
        os._exit(1)


def checksums(root: Path) -> dict[str, str]:
    """Path → SHA-256 of every file except logs and merged.json, which contain times."""
    return {
        path.relative_to(root).as_posix(): sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.name not in (LOG, merge_stamps.FILE)
    }


def kill_everywhere(
    action: Action,
    place: Path,
    max_kills: int,
    check: Action | None = None,
    start: Path | None = None,
) -> None:
    """Kill an action at its renames, repeat it, and compare the files with an undisturbed run.

    Args:
        action: writes to the folder that it is given.
        place: parent of the folders.
        max_kills: maximum number of kills, spread evenly over the renames.
        check: checks the folder after a kill.
        start: initial content of the folders; None for empty ones.
    """

    def fresh(name: str) -> Path:
        folder = place / name
        shutil.rmtree(folder, ignore_errors=True)
        if start:
            shutil.copytree(start, folder)
        else:
            folder.mkdir(parents=True)
        return folder

    undisturbed, count = fresh("undisturbed"), place / "count"
    assert forked(partial(action, undisturbed), count=count) == 0
    expected, renames = checksums(undisturbed), int(count.read_text())
    n_kills = min(max_kills, renames)
    kills = sorted({int((i + 0.5) / n_kills * renames) for i in range(n_kills)})
    for kill in kills:
        root = fresh("killed")
        if (status := forked(partial(action, root), kill)) != KILLED:
            print(f"kill {kill}: status {status}")
        if check:
            check(root)
        if status := forked(partial(action, root)):
            print(f"kill {kill}: repeated, it ended with status {status}")
        files = checksums(root)
        for name in sorted(expected.keys() | files.keys()):
            if expected.get(name) != files.get(name):
                print(f"kill {kill}: {name} differs")
    print(f"{len(kills)} kills of {renames}")


def split(dataset: Path, folds: int | None) -> Action:
    """`ffpp-split` into a folder that may contain an earlier manifest."""
    settings = SplitSettings("videos", ratios=None if folds else (50, 25, 25), folds=folds)
    return lambda root: make_manifests(dataset, root / "m", settings)


def check_manifests(root: Path) -> None:
    """Check that every manifest.json has its three CSV files."""
    for path in root.rglob("manifest.json"):
        manifest = Manifest.read(path.parent)
        for name in ("train", "val", "test"):
            manifest.samples(name)


def retry(ffpp: Path, place: Path) -> tuple[Action, Action, Path]:
    """`ffpp-extract --retry failed` on a dataset with one original that could not be read."""
    clips = [find_clips(ffpp, [name], limit=1)[0] for name in ("FaceSwap", "Youtube")]
    source = place / "source"
    for clip in clips:
        copy = source / clip.path.relative_to(ffpp)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(clip.path, copy)
    original = next(c for c in find_clips(ffpp, ["Youtube"]) if c.name == clips[0].target_id)
    copy = source / original.path.relative_to(ffpp)
    shutil.copy(original.path, copy)
    content = copy.read_bytes()
    copy.write_bytes(content[: len(content) * 2 // 3])  # only some frames can be decoded

    def run(root: Path, retry: bool) -> None:
        clip_families = families(source, find_clips(source))
        extract_dataset(clip_families, root / "out", SETTINGS, retry=retry)

    start = place / "start"
    assert forked(lambda: run(start, False)) == 0
    before = sorted((start / "out/parts").rglob("*.json"))
    names = [path.relative_to(start) for path in before]
    copy.write_bytes(content)

    def check(root: Path) -> None:
        for name in names:  # every clip is recorded, old or new, with its crops
            for face in Part.read(root / name).faces:
                crop = root / "out" / face.path
                staged = root / "out/retried" / face.path
                assert crop.is_file() or staged.is_file()

    return lambda root: run(root, True), check, start


def from_boxes(ffpp: Path, place: Path) -> Action:
    """`ffpp-extract --boxes` of four clips."""
    clips = find_clips(ffpp, ["FaceSwap", "Youtube"], limit=2)

    def export() -> None:
        extract_dataset(families(ffpp, clips), place / "d", SETTINGS)
        export_boxes(place / "d", place / "boxes.parquet")

    assert forked(export) == 0
    found = read_recorded_boxes(place / "boxes.parquet", ffpp)
    return lambda root: extract_boxes(ffpp, found, root / "out")


def predictions(manifest: Path, place: Path) -> Action:
    """`classify report --predictions`, without figures."""
    import pandas as pd

    from classify.reporting.report import report_on_file
    from classify.training import curves

    loaded = Manifest.read(manifest)
    table = pd.concat([loaded.samples(split) for split in ("val", "test")])
    table = table.assign(p_fake=(table["class_index"] * 0.37 + table["frame"] * 0.11) % 1)
    file = place / "external.csv"
    table[["face_id", "p_fake"]].to_csv(file, index=False)
    curves.image = lambda figure, kind: b"<svg></svg>"
    return lambda root: report_on_file(file, loaded, folder=root / "r", faces=False)


def main(case: str, data: Path, place: Path, max_kills: int) -> None:
    """Run one case.

    Args:
        case: "split", "folds", "split again", "retry", "boxes", "predictions", or "export" and a
            format.
        data: the dataset, copy of FF++ or manifest that the case needs.
        place: an empty folder.
        max_kills: maximum number of kills.
    """
    if case in ("split", "folds"):
        kill_everywhere(
            split(data, 4 if case == "folds" else None), place, max_kills, check_manifests
        )
    elif case == "split again":
        first = place / "first"
        other = SplitSettings("videos", ratios=(50, 25, 25), seed=1)
        assert forked(lambda: make_manifests(data, first / "m", other)) == 0
        kill_everywhere(split(data, None), place, max_kills, start=first)
    elif case == "retry":
        action, check, start = retry(data, place)
        kill_everywhere(action, place, max_kills, check, start)
    elif case == "boxes":
        kill_everywhere(from_boxes(data, place), place, max_kills)
    elif case.startswith("export "):
        loaded, kind = Manifest.read(data), case.removeprefix("export ")
        kill_everywhere(lambda root: export_manifest(loaded, kind, root / "e"), place, max_kills)
    else:
        kill_everywhere(predictions(data, place), place, max_kills)


if __name__ == "__main__":
    arguments: Sequence[str] = sys.argv[1:]
    main(arguments[0], Path(arguments[1]), Path(arguments[2]), int(arguments[3]))
