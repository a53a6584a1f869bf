"""A small synthetic dataset in the layout of FF++."""

from ffpp_tools.demo.world import draw_world

__all__ = ["draw_world"]
