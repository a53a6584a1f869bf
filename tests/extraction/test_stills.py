"""Crops of stills."""

import numpy as np
import pytest
from PIL import Image

from ffpp_tools.extraction.settings import StillSettings
from ffpp_tools.extraction.stills import extract_stills, read_still
from ffpp_tools.sources.stills import Still, find_stills


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_a_still_above_opencvs_pixel_limit_is_read_the_same_way(tmp_path, monkeypatch, suffix):
    path = tmp_path / f"a.{suffix}"
    exif = Image.Exif()
    exif[0x0112] = 6  # rotated
    Image.fromarray(np.arange(64 * 48 * 3, dtype=np.uint8).reshape(48, 64, 3)).save(path, exif=exif)
    usual, *_ = read_still(path)
    image, status, error = read_still(path, 64 * 48 - 1)
    assert (image, status) == (None, "unreadable")
    assert "64 × 48 = 3,072 pixels, more than the limit of 3,071" in error
    monkeypatch.setattr("ffpp_tools.extraction.stills.MAX_PIXELS", 64 * 48 - 1)
    raised, status, _ = read_still(path, 64 * 48)
    assert (usual.shape, status) == ((64, 48, 3), "ok")
    np.testing.assert_allclose(raised.astype(int), usual, atol=2)


def test_stills_are_cropped_by_the_same_rules_as_clips(world, tmp_path):
    stills = find_stills(world / "CelebA", "CelebA", limit=3)
    part = extract_stills(stills, StillSettings(), tmp_path)
    for still, row, face in zip(stills, part.frames, part.faces, strict=True):
        assert row.frame_id == f"CelebA/still/{still.name}/000000"
        assert (row.target_id, row.source_id, row.frame) == (still.identity, "", 0)
        assert face.path == f"faces/CelebA/still/{still.name}.png"
        assert face.crop_size == min(round(1.3 * max(face.box_w, face.box_h)), 178)


def test_unreadable_images_get_rows(tmp_path):
    (tmp_path / "text.jpg").write_text("no image")
    (tmp_path / "empty.jpg").touch()
    stills = [
        Still("CelebA", "real", p.stem, p, "")
        for p in (tmp_path / "text.jpg", tmp_path / "empty.jpg", tmp_path / "gone.jpg")
    ]
    part = extract_stills(stills, StillSettings(), tmp_path)
    assert [r.status for r in part.frames] == ["unreadable"] * 3
    assert all(str(s.path) in r.error for s, r in zip(stills, part.frames, strict=True))
