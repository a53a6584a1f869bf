"""A dataset folder as one object."""

import shutil

from ffpp_tools.splits.build import SplitSettings, make_manifest
from ffpp_tools.store.tables import (
    content_hash,
    read_frames,
)


def test_a_manifest_of_an_earlier_version_is_not_outdated(dataset, tmp_path):
    folder = tmp_path / "dataset"
    folder.mkdir()
    shutil.copy(dataset / "faces.parquet", folder)
    frames = read_frames(dataset).drop(columns=["source_sha256", "frame_hash"])
    frames.to_parquet(folder / "frames.parquet")
    manifest = make_manifest(folder, tmp_path / "m", SplitSettings("videos", ratios=(50, 25, 25)))
    assert manifest.info["tables"]["frames.parquet"] == content_hash(frames)
    known = read_frames(dataset)
    assert content_hash(known) != content_hash(frames)
