"""Kill a command at every rename, run it again, and compare with what nobody disturbed.

`python -m tests.system.killed CASE FOLDER ...` does that in forks of one process, in which no
thread runs yet: a fork that is ended by `os._exit` leaves what SIGKILL would leave. It prints a
line for every difference, and how many kills there were.
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
from ffpp_tools.extraction.pipeline import extract_dataset
from ffpp_tools.sources.faceforensics import families, find_clips
from ffpp_tools.splits.build import SplitSettings, make_manifests
from ffpp_tools.splits.manifest import Manifest
from ffpp_tools.store import merge_stamps
from ffpp_tools.store.schema import Part
from tests.helpers.worlds import SETTINGS

KILLED, REFUSED = 77, 78
Act = Callable[[Path], object]


def forked(act: Callable[[], object], at: int | None = None, count: Path | None = None) -> int:
    """The exit status of a function in a fork, killed at its renaming number `at`.

    Args:
        act: the function.
        at: from 0; None to let it end. Killed before the renaming, when the file lies there under
            its temporary name.
        count: a file for the number of renamings, if it ends.
    """
    sys.stdout.flush()
    if child := os.fork():
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    renamed, real = 0, os.replace

    def counting(source: object, target: object) -> None:
        nonlocal renamed
        if at == renamed:
            os._exit(KILLED)
        renamed += 1
        real(source, target)  # type: ignore[arg-type]

    os.replace = counting  # type: ignore[assignment]
    try:
        act()
        if count:
            count.write_text(str(renamed))
        os._exit(0)
    except FfppError as error:
        print(error, flush=True)
        os._exit(REFUSED)
    finally:
        os._exit(1)


def tree(root: Path) -> dict[str, str]:
    """Every file and what it holds, but for logs and merged.json, which hold times."""
    return {
        path.relative_to(root).as_posix(): sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.name not in (LOG, merge_stamps.FILE)
    }


def every(
    act: Act, place: Path, most: int, check: Act | None = None, start: Path | None = None
) -> None:
    """Kill `act` wherever it can be killed.

    Args:
        act: given a folder, writes below it.
        place: for the folders.
        most: at so many of its renamings, evenly spread.
        check: looks at a folder after a kill.
        start: what a folder holds before; None for nothing.
    """

    def fresh(name: str) -> Path:
        folder = place / name
        shutil.rmtree(folder, ignore_errors=True)
        if start:
            shutil.copytree(start, folder)
        else:
            folder.mkdir(parents=True)
        return folder

    whole, count = fresh("whole"), place / "count"
    assert forked(partial(act, whole), count=count) == 0
    expected, renamings = tree(whole), int(count.read_text())
    most = min(most, renamings)
    kills = sorted({int((i + 0.5) / most * renamings) for i in range(most)})
    for kill in kills:
        root = fresh("killed")
        if (status := forked(partial(act, root), kill)) != KILLED:
            print(f"kill {kill}: status {status}")
        if check:
            check(root)
        if status := forked(partial(act, root)):
            print(f"kill {kill}: run again, it ended with {status}")
        found = tree(root)
        for name in sorted(expected.keys() | found.keys()):
            if expected.get(name) != found.get(name):
                print(f"kill {kill}: {name} differs")
    print(f"{len(kills)} kills of {renamings}")


def split(dataset: Path, folds: int | None) -> Act:
    """`ffpp-split`, into a folder that an earlier manifest may lie in."""
    asked = SplitSettings("videos", ratios=None if folds else (50, 25, 25), folds=folds)
    return lambda root: make_manifests(dataset, root / "m", asked)


def never_whole(root: Path) -> None:
    """A manifest that can be read is all there."""
    for path in root.rglob("manifest.json"):
        read = Manifest.read(path.parent)
        for name in ("train", "val", "test"):
            read.samples(name)


def retry(ffpp: Path, place: Path) -> tuple[Act, Act, Path]:
    """`ffpp-extract --retry failed` on a dataset of which one original could not be read."""
    clips = [find_clips(ffpp, [name], limit=1)[0] for name in ("FaceSwap", "Youtube")]
    source = place / "source"
    for clip in clips:
        copy = source / clip.path.relative_to(ffpp)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(clip.path, copy)
    twin = next(c for c in find_clips(ffpp, ["Youtube"]) if c.name == clips[0].target_id)
    copy = source / twin.path.relative_to(ffpp)
    shutil.copy(twin.path, copy)
    whole = copy.read_bytes()
    copy.write_bytes(whole[: len(whole) * 2 // 3])  # some frames come out, others do not

    def run(root: Path, again: bool) -> None:
        found = families(source, find_clips(source))
        extract_dataset(found, root / "out", SETTINGS, retry=again)

    start = place / "start"
    assert forked(lambda: run(start, False)) == 0
    before = sorted((start / "out/parts").rglob("*.json"))
    names = [path.relative_to(start) for path in before]
    copy.write_bytes(whole)

    def check(root: Path) -> None:
        for name in names:  # every clip is there, as it was or as it is now, with its crops
            for face in Part.read(root / name).faces:
                found = root / "out" / face.path
                staged = root / "out/retried" / face.path
                assert found.is_file() or staged.is_file()

    return lambda root: run(root, True), check, start


def predictions(manifest: Path, place: Path) -> Act:
    """`classify report --predictions`, without pictures."""
    import pandas as pd

    from classify.reporting.report import report_on_file
    from classify.training import curves

    read = Manifest.read(manifest)
    table = pd.concat([read.samples(split) for split in ("val", "test")])
    table = table.assign(p_fake=(table["class_index"] * 0.37 + table["frame"] * 0.11) % 1)
    file = place / "theirs.csv"
    table[["face_id", "p_fake"]].to_csv(file, index=False)
    curves.image = lambda figure, kind: b"<svg></svg>"
    return lambda root: report_on_file(file, read, folder=root / "r", faces=False)


def main(case: str, data: Path, place: Path, most: int) -> None:
    """Try one case.

    Args:
        case: which.
        data: a dataset, a copy of FF++, or a manifest, as the case needs.
        place: an empty folder.
        most: how many kills.
    """
    if case in ("split", "folds"):
        every(split(data, 4 if case == "folds" else None), place, most, never_whole)
    elif case == "split again":
        first = place / "first"
        other = SplitSettings("videos", ratios=(50, 25, 25), seed=1)
        assert forked(lambda: make_manifests(data, first / "m", other)) == 0
        every(split(data, None), place, most, start=first)
    elif case == "retry":
        act, check, start = retry(data, place)
        every(act, place, most, check, start)
    else:
        every(predictions(data, place), place, most)


if __name__ == "__main__":
    words: Sequence[str] = sys.argv[1:]
    main(words[0], Path(words[1]), Path(words[2]), int(words[3]))
