"""Folders of photographs as CelebA and CelebAMask-HQ lay them out."""

from ffpp_tools.sources.celeba import HQ_MAPPING


def images(folder, *names):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def passed(found):
    """What a survey has passed over: reason → names below its root."""
    reasons = {}
    for one in found.passed_over:
        reasons.setdefault(one.why, []).append(one.path.relative_to(found.root).as_posix())
    return reasons


def mapped(folder, numbers):
    """CelebAMask-HQ's mapping from indices to CelebA's numbers."""
    rows = [f"{i} {int(n) - 1} {n}.jpg" for i, n in enumerate(numbers)]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / HQ_MAPPING).write_text("\n".join(["idx orig_idx orig_file", *rows]) + "\n")


IDENTITY = "".join(f"{i:06d}.jpg {100 + i}\n" for i in range(1, 9))
NUMBERS = [f"{n:06d}" for n in (5, 9, 31000, 42000, 53000, 64000, 75000, 86000, 97000, 108000)]
