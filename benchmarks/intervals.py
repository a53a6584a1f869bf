"""What an interval over groups of people costs beside scikit-learn called for every draw.

    python benchmarks/intervals.py

Random scores of 6,000 samples in 70 groups, as a manipulation of FF++'s test split and its
originals; both compute the same areas under the ROC curve.
"""

from __future__ import annotations

import time

import numpy as np
from sklearn.metrics import roc_auc_score

from classify import metrics
from classify.bootstrap import DRAWS, estimates

SAMPLES, GROUPS, TRIED = 6000, 70, 50  # of scikit-learn's draws, so many are timed


def main() -> None:
    """Time both on the same scores and print the ratio for as many draws."""
    rng = np.random.default_rng(0)
    is_fake = rng.integers(0, 2, SAMPLES)
    p_fake = rng.random(SAMPLES) + 0.3 * is_fake
    groups = rng.integers(0, GROUPS, SAMPLES)
    start = time.perf_counter()
    found = estimates(
        groups, is_fake, lambda w: {"auc": metrics.auc(metrics.curve(is_fake, p_fake, w))}
    )
    ours = time.perf_counter() - start
    start = time.perf_counter()
    for _ in range(TRIED):
        weights = rng.multinomial(GROUPS, np.full(GROUPS, 1 / GROUPS))[groups]
        roc_auc_score(is_fake, p_fake, sample_weight=weights)
    theirs = (time.perf_counter() - start) / TRIED * DRAWS
    print(f"AUC {found['auc'].value:.3f} [{found['auc'].low:.3f}, {found['auc'].high:.3f}]")
    print(f"{DRAWS} draws: {ours:.2f} s; with scikit-learn {theirs:.2f} s, {theirs / ours:.1f}")


if __name__ == "__main__":
    main()
