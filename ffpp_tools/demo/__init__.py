"""A small FF++-shaped world, drawn and encoded from nothing."""
