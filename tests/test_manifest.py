import json
import shutil

import pytest

from ffpp_tools.errors import TableError
from ffpp_tools.manifest import Manifest


@pytest.mark.parametrize("damage", ["gone", "json", "key", "edited", "split"])
def test_damaged_manifests_are_named(videos_manifest, tmp_path, damage):
    folder = tmp_path / "m"
    shutil.copytree(videos_manifest.folder, folder)
    if damage == "gone":
        shutil.rmtree(folder)
    elif damage == "json":
        (folder / "manifest.json").write_text("{")
    elif damage == "key":
        info = {k: v for k, v in videos_manifest.info.items() if k != "classes"}
        (folder / "manifest.json").write_text(json.dumps(info))
    elif damage == "edited":
        train = (folder / "train.csv").read_text().splitlines()
        (folder / "test.csv").write_text("\n".join([train[0], *train[5:9]]))
    else:
        (folder / "test.csv").unlink()
    with pytest.raises(TableError, match=folder.name):
        Manifest.read(folder).samples("test")
