"""Print the section of CHANGELOG.md for a tag, as the text of its release."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def release_notes(tag: str, changelog: str, version: str) -> str:
    """Return the section of the changelog for a tag.

    Args:
        tag: "v" and a version, such as "v0.1.0".
        changelog: text of CHANGELOG.md, whose sections begin with "## 0.1.0 (2026-12-31)".
        version: version in pyproject.toml.

    Raises:
        ValueError: if the tag is not that version, or the section is missing, undated or empty.
    """
    if tag != f"v{version}":
        raise ValueError(f"tag {tag} does not match version {version} in pyproject.toml")
    section = re.search(
        rf"^## {re.escape(version)} \(([^)\n]+)\)\n(.*?)(?=^## |\Z)",
        changelog,
        re.MULTILINE | re.DOTALL,
    )
    if section is None:
        raise ValueError(f"CHANGELOG.md has no section '## {version} (YYYY-MM-DD)'")
    date, text = section.groups()
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", date):
        raise ValueError(f"section {version} of CHANGELOG.md has no date: ({date})")
    if not text.strip():
        raise ValueError(f"section {version} of CHANGELOG.md is empty")
    return text.strip() + "\n"


if __name__ == "__main__":
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    try:
        sys.stdout.write(release_notes(sys.argv[1], text, project["version"]))
    except ValueError as error:
        sys.exit(f"error: {error}")
