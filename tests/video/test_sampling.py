"""Selection of frames."""

import pytest

from ffpp_tools.errors import SettingsError
from ffpp_tools.video.sampling import FramePlan


@pytest.mark.parametrize(
    ("every", "n_frames", "expected"),
    [
        (25, 60, [0, 25, 50]),
        (25, 50, [0, 25]),
        (25, 51, [0, 25, 50]),
        (25, 1, [0]),
        (1, 3, [0, 1, 2]),
        (25, 0, []),
    ],
)
def test_every_nth_frame_is_taken_from_frame_0_on(every, n_frames, expected):
    assert list(FramePlan(every=every).wanted(n_frames)) == expected


@pytest.mark.parametrize(
    ("per_clip", "n_frames", "expected"),
    [(3, 101, [0, 50, 100]), (1, 101, [0]), (5, 3, [0, 1, 2]), (2, 10, [0, 9]), (4, 0, [])],
)
def test_frames_per_clip_are_evenly_spaced_from_first_to_last(per_clip, n_frames, expected):
    assert list(FramePlan(every=None, per_clip=per_clip).wanted(n_frames)) == expected


@pytest.mark.parametrize(
    ("every", "per_clip"), [(None, None), (25, 10), (0, None), (-5, None), (None, 0)]
)
def test_invalid_plans_are_rejected(every, per_clip):
    with pytest.raises(SettingsError):
        FramePlan(every=every, per_clip=per_clip)
