import pytest

from classify.errors import RunError
from classify.training.run_folder import new_folder, read_log


def test_new_folders_count_up(tmp_path):
    names = []
    for _ in range(3):
        folder = new_folder(tmp_path, "b0-videos")
        folder.mkdir()
        names.append(folder.name)
    assert names == ["b0-videos", "b0-videos-2", "b0-videos-3"]


def test_an_empty_log_is_damaged(tmp_path):
    (tmp_path / "log.csv").touch()
    with pytest.raises(RunError, match="damaged"):
        read_log(tmp_path)
