"""Speed of `classify predict` in seconds of video per second of processing.

    python benchmarks/predict.py RUN VIDEO...

Loading the network and classifying a first video are not included; their time is printed
separately.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from classify.inference.media import classifier_of, classify_file
from classify.training.runs import Run
from ffpp_tools.video.demux import read_video


def main() -> None:
    """Classify every video once and print the speed relative to its duration."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("videos", type=Path, nargs="+")
    arguments = parser.parse_args()
    start = time.perf_counter()
    classifier = classifier_of(Run.read(arguments.run))
    classify_file(arguments.videos[0], classifier)
    print(f"loading and first video: {time.perf_counter() - start:.1f} s")
    total_duration = total_time = 0.0
    for path in arguments.videos:
        video = read_video(path)
        duration = video.time_s(len(video.pts) - 1)
        start = time.perf_counter()
        verdict = classify_file(path, classifier)
        elapsed = time.perf_counter() - start
        total_duration, total_time = total_duration + duration, total_time + elapsed
        people = len(verdict.people)
        print(f"{path.name}: {duration:.1f} s of video, {people} people, {elapsed:.2f} s")
    print(f"video duration ÷ processing time: {total_duration / total_time:.1f}")


if __name__ == "__main__":
    main()
