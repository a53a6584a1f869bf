"""What docs/scripting.md says a script may rely on."""

import json
import re
import shutil

import pytest

from classify.training.settings import TrainSettings
from classify.training.train import train
from tests.helpers.project import COMMANDS, ROOT

ROW = re.compile(r"^\| `((?:ffpp|classify).*?)` \| (.*) \|$", re.MULTILINE)
SAID = dict(ROW.findall((ROOT / "docs/scripting.md").read_text()))


def keys(command):
    """The keys that the page names: words in backticks, but for those behind a colon."""
    listed = re.sub(r": .*?(?=, `|;|$)", "", SAID[command])
    return set(re.findall(r"`(\w+)`", listed))


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def run(videos_manifest, tmp_path_factory):
    settings = TrainSettings(arch="sepconv", size=32, epochs=1, augment="none")
    return train(videos_manifest.folder, tmp_path_factory.mktemp("runs") / "run", settings).folder


def test_every_command_is_listed():
    listed = {" ".join(w for w in command.split() if not w.startswith("--")) for command in SAID}
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
        "ffpp-doctor {world}/FaceForensics++",
        "ffpp-demo --people 6 --seconds 1 --out new",
        "classify archs",
        "classify train --manifest {manifest} --arch sepconv --size 32 --epochs 1 --out new",
        "classify report {run}",
        "classify predict {run} {world}/CelebA --out new",
        "classify explain {run}",
        "classify compare {run} {other} --out new",
        "classify export {run} --format litert --out new",
    ],
)
def test_the_answer_in_json_has_the_keys_that_are_said(
    typed, here, world, dataset, videos_manifest, run, line
):
    places = {"world": world, "dataset": dataset, "manifest": videos_manifest.folder, "run": run}
    places["other"] = shutil.copytree(run, run.parent / "other", dirs_exist_ok=True)
    shutil.copytree(dataset, "copy")
    words = [word.format(**places) for word in line.split()]
    status, out, err = typed(*words, "--json")
    assert status in (0, 1)
    assert out, err
    answer = json.loads(out)
    said = max((c for c in SAID if set(c.split()) <= set(words)), key=len)
    assert keys(said) <= set(answer) if "all that" in SAID[said] else keys(said) == set(answer)
