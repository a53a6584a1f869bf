"""Options that several commands declare alike."""

from pathlib import Path
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from classify.cli.options import ManifestFolder
from ffpp_tools.cli.options import CPUS, Align, Data, Limit, Processes, option


def answers(*words):
    """What a command with such options is given, or the status it is refused with."""
    app, given = typer.Typer(), {}

    @app.command()
    def command(
        data: Data = None,
        size: Annotated[
            int | None, option("Some", about="Side of the pictures.", default="224", min=8)
        ] = None,
        limit: Limit = None,
        workers: Processes = CPUS,
        align: Align = False,
        manifest: ManifestFolder = None,
    ) -> None:
        given.update(
            data=data, size=size, limit=limit, workers=workers, align=align, manifest=manifest
        )

    done = CliRunner().invoke(app, words, env={"COLUMNS": "160", "TERM": "dumb"})
    return given, done


def test_an_option_that_is_not_given_is_none_and_its_help_shows_what_then_counts():
    given, _ = answers()
    assert given == {
        "data": None,
        "size": None,
        "limit": None,
        "workers": CPUS,
        "align": False,
        "manifest": None,
    }
    assert answers("--size", "224")[0]["size"] == 224
    _, shown = answers("--help")
    assert "Side of the pictures. [default: (224)]" in " ".join(shown.output.split())
    assert "[default: (data_manifests/multiclass)]" in " ".join(shown.output.split())
    assert "$FFPP_DATA, else ./data/FaceForensics++" in " ".join(shown.output.split())


def test_options_are_read_as_what_they_are():
    given, _ = answers("here", "--limit", "3", "--workers", "2", "--align")
    assert given["data"] == Path("here")
    assert (given["limit"], given["workers"], given["align"]) == (3, 2, True)


@pytest.mark.parametrize("words", [("--limit", "0"), ("--workers", "0"), ("--workers", "many")])
def test_numbers_that_make_no_sense_are_usage_errors(words):
    given, done = answers(*words)
    assert not given
    assert done.exit_code == 2
    assert words[0] in done.output
