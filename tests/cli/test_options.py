"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from classify.cli.options import ManifestFolder
from ffpp_tools.cli.options import CPUS, Align, Data, Limit, Processes, option


def invoke(*words):
    """Run a command with such options; return the values it receives and the result."""
    app, received = typer.Typer(), {}

    @app.command()
    def command(
        data: Data = None,
        size: Annotated[
            int | None, option("Some", about="Side of the images.", default="224", min=8)
        ] = None,
        limit: Limit = None,
        workers: Processes = CPUS,
        align: Align = False,
        manifest: ManifestFolder = None,
    ) -> None:
        received.update(
            data=data, size=size, limit=limit, workers=workers, align=align, manifest=manifest
        )

    done = CliRunner().invoke(app, words, env={"COLUMNS": "160", "TERM": "dumb"})
    return received, done


def test_an_omitted_option_is_none_and_its_help_shows_the_effective_default():
    received, _ = invoke()
    assert received == {
        "data": None,
        "size": None,
        "limit": None,
        "workers": CPUS,
        "align": False,
        "manifest": None,
    }
    assert invoke("--size", "224")[0]["size"] == 224
    _, shown = invoke("--help")
    assert "Side of the images. [default: (224)]" in " ".join(shown.output.split())
    assert "[default: (data_manifests/multiclass)]" in " ".join(shown.output.split())
    assert "$FFPP_DATA, else ./data/FaceForensics++" in " ".join(shown.output.split())


def test_option_values_are_converted_to_their_types():
    received, _ = invoke("here", "--limit", "3", "--workers", "2", "--align")
    assert received["data"] == Path("here")
    assert (received["limit"], received["workers"], received["align"]) == (3, 2, True)


@pytest.mark.parametrize("words", [("--limit", "0"), ("--workers", "0"), ("--workers", "many")])
def test_invalid_numbers_are_usage_errors(words):
    received, done = invoke(*words)
    assert not received
    assert done.exit_code == 2
    assert words[0] in done.output
