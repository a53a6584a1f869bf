import re
import shutil

import pytest

from ffpp_tools.errors import TableError
from ffpp_tools.splits.build import SplitSettings, make_manifest
from ffpp_tools.splits.manifest import Manifest
from ffpp_tools.splits.overview import draw_overview


@pytest.fixture(scope="module")
def page(dataset, tmp_path_factory):
    settings = SplitSettings(ratios=(50, 25, 25))
    manifest = make_manifest(dataset, tmp_path_factory.mktemp("m") / "<b>seven", settings)
    return manifest, draw_overview(manifest).read_text()


def test_the_page_is_self_contained(page):
    manifest, text = page
    assert text.count("<img") == 3 + len(manifest.classes)
    assert len(re.findall(r'<img src="data:image/(png|jpeg);base64,', text)) == text.count("<img")
    assert not re.search(r"(src|href)=.?https?:", text)
    assert all(re.search(r'alt="\w', tag) for tag in re.findall(r"<img[^>]*>", text))


def test_the_page_starts_with_the_summary(page):
    manifest, text = page
    body = re.sub(r"<[^>]*>", " ", text[text.index("<body>") :])
    assert body.index(manifest.info["summary"]) < body.index("Samples")
    for name in manifest.classes:
        count = manifest.info["counts"]["train"][name]
        assert re.search(rf"{name}</th><td>\w+</td><td class=\"number\">{count}</td>", text)


def test_names_are_escaped(page):
    assert "<b>seven" not in page[1]
    assert "&lt;b&gt;seven" in page[1]


def test_the_images_are_also_written_as_files(page):
    names = {p.name for p in (page[0].folder / "overview").iterdir()}
    assert names == {
        "samples.png",
        "classes.png",
        "groups.png",
        *(f"faces-{name}.jpg" for name in page[0].classes),
    }


def test_an_overview_without_faces_reads_no_crops(videos_manifest, tmp_path):
    folder = shutil.copytree(videos_manifest.folder, tmp_path / "m")
    away = Manifest(folder, {**videos_manifest.info, "root": str(tmp_path)})
    (folder / "overview").mkdir(exist_ok=True)
    (folder / "overview/faces-Youtube.jpg").write_bytes(b"a face")
    (folder / "overview/notes.txt").write_text("mine")
    text = draw_overview(away, faces=False).read_text()
    figures = {"samples.png", "classes.png", "groups.png"}
    assert {p.name for p in (folder / "overview").iterdir()} == {*figures, "notes.txt"}
    assert text.count("<img") == text.count("data:image/png") == len(figures)
    assert "data:image/jpeg" not in text
    assert "Faces are omitted" in text


def test_a_missing_crop_is_named(videos_manifest, tmp_path):
    moved = Manifest(tmp_path / "m", {**videos_manifest.info, "root": str(tmp_path)})
    (tmp_path / "m").mkdir()
    for path in videos_manifest.folder.glob("*.csv"):
        (tmp_path / "m" / path.name).write_bytes(path.read_bytes())
    with pytest.raises(TableError, match=r"faces/.*\.png is missing"):
        draw_overview(moved)
