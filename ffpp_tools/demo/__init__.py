"""A small FF++-shaped world, drawn and encoded from nothing."""

from ffpp_tools.demo.world import draw_world

__all__ = ["draw_world"]
