"""Settings of a DCGAN."""

import pytest

from classify.errors import ClassifyError
from classify.gan.settings import GanSettings


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": 100}, "size"),
        ({"batch_size": 1}, "batch_size"),
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"beta_1": 1.0}, "beta_1"),
        ({"augment": "twist"}, "unknown augment"),
        ({"epochs": 2.5}, "epochs"),
        ({"seed": 2**32}, "seed"),
    ],
)
def test_invalid_settings_are_refused(changes, message):
    with pytest.raises(ClassifyError, match=message):
        GanSettings(**changes)
