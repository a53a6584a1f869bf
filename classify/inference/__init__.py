"""Apply trained networks to new images and videos, explain them, and export them."""
