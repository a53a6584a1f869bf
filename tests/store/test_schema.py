"""Columns of the tables."""

from dataclasses import fields

from ffpp_tools.splits import manifest
from ffpp_tools.store import schema, tables
from ffpp_tools.store.schema import FrameRow


def test_every_column_after_the_first_release_has_a_default():
    """A new column without a default would make every existing table unreadable."""
    first = {
        FrameRow: 14,
        schema.FaceRow: 16,
        tables.DuplicateRow: 5,
        tables.IdentityRow: 6,
        manifest.ManifestRow: 12,
    }
    for row_type, count in first.items():
        names = [f.name for f in fields(row_type) if f.name not in schema.FIRST_COLUMNS]
        assert len(names) - len(schema.later_columns(row_type)) == count, row_type
