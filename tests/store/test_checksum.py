import pytest

from ffpp_tools.store.checksum import is_intact, with_digest

VALUES = {"threshold": 0.1 + 0.2, "nothing": None, "units": ("frame", "clip"), "in": {"b": 1}}


def test_values_are_intact_after_a_json_round_trip():
    import json

    assert is_intact(json.loads(json.dumps(with_digest(VALUES)))) is True
    assert is_intact(with_digest(with_digest(VALUES))) is True


@pytest.mark.parametrize("change", [{"threshold": 0.3}, {"more": 1}, {"in": {"b": 2}}])
def test_a_change_is_detected(change):
    assert is_intact(with_digest(VALUES) | change) is False


def test_the_result_is_none_without_a_digest():
    assert is_intact(VALUES) is None
