"""The panels of `--help`."""

from ffpp_tools import script
from ffpp_tools.cli import panels


def test_panels_bear_different_names_and_share_those_of_every_script():
    named = {name: value for name, value in vars(panels).items() if name.isupper()}
    assert len(set(named.values())) == len(named)
    assert (panels.MACHINE, panels.OUTPUT) == (script.MACHINE, script.OUTPUT)
    assert all(value[0].isupper() for value in named.values())
