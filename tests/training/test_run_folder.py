from classify.training.run_folder import new_folder


def test_new_folders_count_up(tmp_path):
    names = []
    for _ in range(3):
        folder = new_folder(tmp_path, "b0-videos")
        folder.mkdir()
        names.append(folder.name)
    assert names == ["b0-videos", "b0-videos-2", "b0-videos-3"]
