"""What docs/scripting.md guarantees to scripts."""

import json
import re
import shutil

import pytest

from classify.training.settings import TrainSettings
from classify.training.train import train
from tests.helpers.project import COMMANDS, ROOT

ROW = re.compile(r"^\| `((?:ffpp|classify).*?)` \| (.*) \|$", re.MULTILINE)
DOCS = dict(ROW.findall((ROOT / "docs/scripting.md").read_text()))


def keys(command):
    """The JSON keys that the page lists for a command: words in backticks, except after a colon."""
    listed = re.sub(r": .*?(?=, `|;|$)", "", DOCS[command])
    return set(re.findall(r"`(\w+)`", listed))


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def run(videos_manifest, tmp_path_factory):
    settings = TrainSettings(arch="sepconv", size=32, epochs=1, augment="none")
    return train(videos_manifest.folder, tmp_path_factory.mktemp("runs") / "run", settings).folder


def test_every_command_is_documented():
    listed = {" ".join(w for w in command.split() if not w.startswith("--")) for command in DOCS}
    assert listed == {" ".join(words) for words in COMMANDS if words != ("classify",)}


@pytest.mark.parametrize(
    "line",
    [
        "ffpp-extract {world}/FaceForensics++ --limit 1 --workers 1 --out new",
        "ffpp-extract --verify --out {dataset}",
        "ffpp-clean copy",
        "ffpp-identify copy",
        "ffpp-split {dataset} --mode videos --ratios 50/25/25 --no-faces --out new",
        "ffpp-audit {manifest}",
        "ffpp-audit {manifest} --why Youtube/000 Youtube/001",
        "ffpp-export {manifest} --format imagefolder --out new",
        "ffpp-doctor {world}/FaceForensics++",
        "ffpp-demo --people 6 --seconds 1 --out new",
        "classify archs",
        "classify recipes",
        "classify train --manifest {manifest} --arch sepconv --size 32 --epochs 1 --out new",
        "classify report {run}",
        "classify predict {run} {world}/CelebA --out new",
        "classify explain {run}",
        "classify compare {run} {other} --out new",
        "classify export {run} --format litert --out new",
    ],
)
def test_json_output_has_the_documented_keys(
    typed, workspace, world, dataset, videos_manifest, run, line
):
    paths = {"world": world, "dataset": dataset, "manifest": videos_manifest.folder, "run": run}
    paths["other"] = shutil.copytree(run, run.parent / "other", dirs_exist_ok=True)
    shutil.copytree(dataset, "copy")
    words = [word.format(**paths) for word in line.split()]
    status, out, err = typed(*words, "--json")
    assert status in (0, 1)
    assert out, err
    output = json.loads(out)
    command = max((c for c in DOCS if set(c.split()) <= set(words)), key=len)
    documented = keys(command)
    assert documented <= set(output) if "all that" in DOCS[command] else documented == set(output)
