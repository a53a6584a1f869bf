"""Image folders in the layout of CelebA and CelebAMask-HQ."""

from ffpp_tools.sources.celeba import HQ_MAPPING


def images(folder, *names):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def passed(survey):
    """The files that a survey skips: reason → paths relative to its root."""
    reasons = {}
    for skipped in survey.passed_over:
        reasons.setdefault(skipped.why, []).append(skipped.path.relative_to(survey.root).as_posix())
    return reasons


def mapped(folder, numbers):
    """Write CelebAMask-HQ's mapping from its indices to CelebA's numbers."""
    rows = [f"{i} {int(n) - 1} {n}.jpg" for i, n in enumerate(numbers)]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / HQ_MAPPING).write_text("\n".join(["idx orig_idx orig_file", *rows]) + "\n")


IDENTITY = "".join(f"{i:06d}.jpg {100 + i}\n" for i in range(1, 9))
NUMBERS = [f"{n:06d}" for n in (5, 9, 31000, 42000, 53000, 64000, 75000, 86000, 97000, 108000)]
