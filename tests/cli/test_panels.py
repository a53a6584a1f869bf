"""The panels of `--help`."""

from ffpp_tools import script
from ffpp_tools.cli import panels


def test_panel_names_are_unique_and_the_common_ones_are_shared():
    panel_names = {name: value for name, value in vars(panels).items() if name.isupper()}
    assert len(set(panel_names.values())) == len(panel_names)
    assert (panels.MACHINE, panels.OUTPUT) == (script.MACHINE, script.OUTPUT)
    assert all(value[0].isupper() for value in panel_names.values())
