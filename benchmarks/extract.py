"""Cost of extraction compared with the scripts it replaces, on the same clips.

    python benchmarks/extract.py FF++_FOLDER --out FOLDER              cost, and faces found by both
    python benchmarks/extract.py FF++_FOLDER --out FOLDER --scaling    crops/s with 1 and 2 workers

Contestants, each in a process of its own on one core:

    paper     the paper's script: OpenCV `read` of every frame, `face_recognition.face_locations`
              on every 25th frame, the face box cropped and written as PNG
    plain     a faster script: `grab`, decoding only selected frames, without upsampling
    alone     ffpp-extract --no-twins
    twins     ffpp-extract
    decode    PyAV decoding every frame in one thread, as a lower bound

CPU seconds are of the whole process, including start-up and tables; for a contestant that runs
several times, the median. Writes results.json and results.md.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import psutil
import typer

from ffpp_tools.faces.detect import Box
from ffpp_tools.sources.clip import Clip
from ffpp_tools.sources.faceforensics import find_clips

EVERY = 25
CONTESTANTS = ("paper", "plain", "alone", "twins", "decode")
PACKAGES = ("av", "opencv-python-headless", "dlib-bin", "face-recognition", "numpy")


def run_paper(clips: list[Clip], out: Path) -> int:
    """Run the paper's method (section 3): read all frames, detect with the package's defaults."""
    import cv2
    import face_recognition

    crops, boxes = 0, {}
    for clip in clips:
        capture = cv2.VideoCapture(str(clip.path))
        index = 0
        while True:
            success, image = capture.read()
            if not success:
                break
            if index % EVERY == 0:
                locations = face_recognition.face_locations(image[..., ::-1].copy())
                boxes[f"{clip.category}/{clip.compression}/{clip.name}/{index:06d}"] = locations
                crops += _write_first(image, locations, out, clip, index)
            index += 1
    (out / "boxes.json").write_text(json.dumps(boxes))
    return crops


def run_plain(clips: list[Clip], out: Path) -> int:
    """As `run_paper`, but with `grab`, and without upsampling before the detection."""
    import cv2
    import face_recognition

    crops = 0
    for clip in clips:
        capture = cv2.VideoCapture(str(clip.path))
        index = 0
        while capture.grab():
            if index % EVERY == 0:
                _, image = capture.retrieve()
                locations = face_recognition.face_locations(image[..., ::-1].copy(), 0)
                crops += _write_first(image, locations, out, clip, index)
            index += 1
    return crops


def run_decode(clips: list[Clip], out: Path) -> int:
    """Decode every frame, without detection."""
    import av

    for clip in clips:
        with av.open(str(clip.path)) as container:
            container.streams.video[0].thread_type = "NONE"
            for _ in container.decode(video=0):
                pass
    return 0


def _write_first(image: Any, locations: list[Any], out: Path, clip: Clip, index: int) -> int:
    import cv2

    if not locations:
        return 0
    top, right, bottom, left = locations[0]
    folder = out / clip.category / clip.name
    folder.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(folder / f"{index:06d}.png"), image[top:bottom, left:right])
    return 1


def measured(command: list[str]) -> dict[str, float]:
    """Measure wall and CPU seconds of a command and its children, and the largest process."""
    start = time.perf_counter()
    env = {**os.environ, "OMP_NUM_THREADS": "1", "OPENCV_FOR_THREADS_NUM": "1"}
    process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)}: exit status {status}")
    return {
        "wall_s": time.perf_counter() - start,
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "peak_mb": usage.ru_maxrss / 1024,
    }


def worker_peak(data: Path, out: Path) -> int:
    """Return the peak memory of the larger of two workers in MB: the cost of another worker."""
    shutil.rmtree(out / "peak", ignore_errors=True)
    process = subprocess.Popen(command("twins", data, out / "peak", workers=2))
    largest = 0
    while process.poll() is None:
        for child in psutil.Process(process.pid).children():
            with suppress(OSError):
                status = Path(f"/proc/{child.pid}/status").read_text()
                high_water = status.partition("VmHWM:")[2].split()[:1]
                largest = max([largest, *(int(kb) // 1024 for kb in high_water)])
        time.sleep(0.1)
    return largest


def command(name: str, data: Path, out: Path, workers: int = 1) -> list[str]:
    """Return the command line of a contestant."""
    if name in ("alone", "twins"):
        script = Path(sys.executable).parent / "ffpp-extract"
        twins = "--twins" if name == "twins" else "--no-twins"
        options = ["--every", str(EVERY), "--workers", str(workers), twins, "--quiet"]
        return [str(script), str(data), "--out", str(out), *options]
    return [sys.executable, __file__, str(data), "--out", str(out), "--run", name]


def disagreements(boxes: Path, dataset: Path) -> dict[str, int]:
    """Count the frames in which the paper's script finds a face and ours finds none near it."""
    from ffpp_tools.store.tables import read_faces

    ours = defaultdict(list)
    for face in read_faces(dataset).itertuples():
        ours[face.frame_id].append(Box(face.box_x, face.box_y, face.box_w, face.box_h))
    result = {"found by the paper's script": 0, "none of ours": 0, "ours elsewhere": 0}
    for frame_id, locations in json.loads(boxes.read_text()).items():
        if not locations:
            continue
        result["found by the paper's script"] += 1
        theirs = [Box(left, top, right - left, low - top) for top, right, low, left in locations]
        if not ours[frame_id]:
            result["none of ours"] += 1
        elif not any(a.iou(b) >= 0.5 for a in ours[frame_id] for b in theirs):
            result["ours elsewhere"] += 1
    return result


def machine() -> dict[str, Any]:
    """Describe the machine."""
    model = platform.processor()
    cpu = Path("/proc/cpuinfo")
    if cpu.exists():
        names = [x for x in cpu.read_text().splitlines() if x.startswith("model name")]
        model = names[0].partition(": ")[2] if names else model
    versions = {package: version(package) for package in PACKAGES}
    return {"cpu": model, "cores": os.cpu_count(), "python": platform.python_version(), **versions}


def compare(data: Path, out: Path, repeat: int, skip: list[str]) -> dict[str, Any]:
    """Measure every contestant; the fast ones run several times, in turns."""
    runs = defaultdict(list)
    for turn in range(repeat):
        for name in CONTESTANTS:
            if name in skip or (turn and name in ("paper", "plain")):
                continue
            shutil.rmtree(out / name, ignore_errors=True)
            (out / name).mkdir(parents=True)
            measurements = measured(command(name, data, out / name))
            measurements["crops"] = sum(1 for _ in (out / name).rglob("*.png"))
            runs[name].append(measurements)
            typer.echo(f"{name}: {measurements['cpu_s']:.1f} CPU s", err=True)
    table = {
        name: {key: statistics.median(run[key] for run in results) for key in results[0]}
        for name, results in runs.items()
    }
    cpu = {name: measurements["cpu_s"] for name, measurements in table.items()}
    pairs = [("paper", "alone"), ("paper", "twins"), ("twins", "decode")]
    ratios = {f"{a} ÷ {b}": cpu[a] / cpu[b] for a, b in pairs if a in cpu and b in cpu}
    result = {"contestants": table, "ratios": ratios, "peak MB": worker_peak(data, out)}
    if "paper" in table:
        boxes = out / "paper/boxes.json"
        result["faces"] = {n: disagreements(boxes, out / n) for n in ("alone", "twins")}
    return result


def scaling(data: Path, out: Path, repeat: int) -> dict[str, Any]:
    """Measure crops/s with 1 and 2 workers, excluding the time of a run on a single clip."""
    rates: dict[int, list[float]] = defaultdict(list)
    for _ in range(repeat):
        for workers in (1, 2):
            walls = []
            for limit in ([], ["--category", "Youtube", "--limit", "1"]):
                shutil.rmtree(out / "scaling", ignore_errors=True)
                start = time.perf_counter()
                measured([*command("twins", data, out / "scaling", workers), *limit])
                walls.append(time.perf_counter() - start)
                if not limit:
                    crops = sum(1 for _ in (out / "scaling").rglob("*.png"))
            rates[workers].append(crops / (walls[0] - walls[1]))
    medians = {str(workers): statistics.median(values) for workers, values in rates.items()}
    return {"crops/s": medians, "2 workers ÷ 1": medians["2"] / medians["1"]}


def markdown(result: dict[str, Any]) -> str:
    """Format the results as Markdown."""
    lines = []
    if "contestants" in result:
        lines += ["| | CPU s | wall s | peak MB | crops |", "|---|---|---|---|---|"]
        lines += [
            f"| {name} | {f['cpu_s']:.1f} | {f['wall_s']:.1f} | {f['peak_mb']:.0f} "
            f"| {f['crops']:.0f} |"
            for name, f in result["contestants"].items()
        ]
    for part in ("ratios", "crops/s"):
        lines += [f"- {name}: {value:.2f}" for name, value in result.get(part, {}).items()]
    if "2 workers ÷ 1" in result:
        lines.append(f"- 2 workers ÷ 1: {result['2 workers ÷ 1']:.2f}")
    if "peak MB" in result:
        lines.append(f"- peak of the largest of two workers: {result['peak MB']} MB")
    lines += [f"- faces, {name}: {counts}" for name, counts in result.get("faces", {}).items()]
    return "\n".join([*lines, f"- machine: {result['machine']}", ""])


def main(
    data: Annotated[Path, typer.Argument(help="FF++ folder.")],
    out: Annotated[Path, typer.Option(help="Output folder for crops and results.")],
    repeat: Annotated[int, typer.Option(help="Number of runs of the fast contestants.")] = 3,
    skip: Annotated[list[str] | None, typer.Option(help="Skip a contestant.")] = None,
    only_scaling: Annotated[bool, typer.Option("--scaling", help="Compare 1, 2 workers.")] = False,
    run: Annotated[str | None, typer.Option(help="Run as one of the contestants.")] = None,
) -> None:
    """Compare extraction with the scripts it replaces."""
    if run:
        {"paper": run_paper, "plain": run_plain, "decode": run_decode}[run](find_clips(data), out)
        return
    out.mkdir(parents=True, exist_ok=True)
    result = scaling(data, out, repeat) if only_scaling else compare(data, out, repeat, skip or [])
    result["machine"] = machine()
    name = "scaling" if only_scaling else "results"
    (out / f"{name}.json").write_text(json.dumps(result, indent=2) + "\n")
    (out / f"{name}.md").write_text(markdown(result))
    typer.echo(markdown(result))


if __name__ == "__main__":
    typer.run(main)
