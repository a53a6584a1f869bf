"""What a manifest of the paper's size costs, as a whole process, next to just reading its tables.

    python benchmarks/split.py --repeat 3

Draws the tables (330,000 rows, no images), then runs `ffpp-split` on them for every recipe that
they can fill, each time after a process that only reads the two tables with pandas and writes the
same number of samples as CSV. The ratio of the two is what to quote: machines are noisy.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from paper_tables import write_tables

RECIPES = {
    "multiclass paper": ("--mode", "multiclass", "--recipe", "paper"),
    "binary paper": ("--mode", "binary", "--recipe", "paper"),
    "multiclass grouped": ("--mode", "multiclass"),
    "binary grouped": ("--mode", "binary"),
    "binary, 5 folds": ("--mode", "binary", "--folds", "5"),
}
READ = """
import sys
from pathlib import Path
import pandas as pd
dataset, out = map(Path, sys.argv[1:])
frames, faces = (pd.read_parquet(dataset / f"{n}.parquet") for n in ("frames", "faces"))
faces[["face_id", "frame_id", "path"]].merge(frames, on="frame_id").head(134_000).to_csv(out)
"""


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeat", type=int, default=3)
    repeat = parser.parse_args().repeat
    script = Path(sys.executable).parent / "ffpp-split"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_tables(folder / "dataset")
        print(f"{'':20} {'seconds':>8} {'ratio to reading':>17} {'peak MB':>8}")
        for recipe, options in RECIPES.items():
            seconds, ratios, peak = [], [], 0.0
            for _ in range(repeat):
                plain, _ = run(sys.executable, "-c", READ, folder / "dataset", folder / "plain.csv")
                out = folder / recipe.replace(" ", "-")
                took, rss = run(script, folder / "dataset", *options, "--no-faces", "--out", out)
                seconds.append(took)
                ratios.append(took / plain)
                peak = max(peak, rss)
            middle = statistics.median
            print(f"{recipe:20} {middle(seconds):8.1f} {middle(ratios):17.1f} {peak:8.0f}")


def run(*command: object) -> tuple[float, float]:
    """How many seconds a process takes, and its peak memory in MB."""
    start = time.perf_counter()
    pid = os.posix_spawn(
        str(command[0]),
        [str(part) for part in command],
        os.environ,
        file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)],
    )
    _, status, usage = os.wait4(pid, 0)
    if status:
        sys.exit(f"{' '.join(map(str, command))} failed")
    unit = 1 if sys.platform == "darwin" else 1024
    return time.perf_counter() - start, usage.ru_maxrss * unit / 1e6


if __name__ == "__main__":
    main()
