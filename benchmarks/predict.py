"""What `classify predict` costs beside watching: seconds of video for each second of work.

    python benchmarks/predict.py RUN VIDEO...

The network is loaded and has judged one video before the clock starts; what starting costs is
printed apart.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from classify.inference.media import classifier_of, classify_file
from classify.training.runs import Run
from ffpp_tools.video.demux import read_video


def main() -> None:
    """Judge every video once and print how much faster that was than playing it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("videos", type=Path, nargs="+")
    arguments = parser.parse_args()
    start = time.perf_counter()
    classifier = classifier_of(Run.read(arguments.run))
    classify_file(arguments.videos[0], classifier)
    print(f"loading, and the first video: {time.perf_counter() - start:.1f} s")
    played = took = 0.0
    for path in arguments.videos:
        video = read_video(path)
        seconds = video.time_s(len(video.pts) - 1)
        start = time.perf_counter()
        found = classify_file(path, classifier)
        needed = time.perf_counter() - start
        played, took = played + seconds, took + needed
        people = len(found.people)
        print(f"{path.name}: {seconds:.1f} s of video, {people} people, {needed:.2f} s")
    print(f"playing ÷ predicting: {played / took:.1f}")


if __name__ == "__main__":
    main()
