"""The HTML pages in a real browser: they open from disk and load no other resource."""

import shutil
import subprocess

import pytest

from classify.evaluation.compare import compare, compare_across_manifests
from classify.gan.report import make_report as make_gan_report
from classify.gan.settings import GanSettings
from classify.gan.train import train as train_gan
from classify.inference.gradcam import explain
from classify.inference.gradcam_files import write_explanations
from classify.inference.media import classifier_of, classify_file
from classify.inference.media_files import VerdictFiles
from classify.reporting.compare_files import write_comparison, write_matrix
from classify.reporting.report import make_report
from ffpp_tools.sources.faceforensics import find_clips
from tests.helpers.pages import Page
from tests.helpers.runs import train_tiny

pytestmark = pytest.mark.slow
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
QUIET = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
)


@pytest.fixture(scope="module")
def pages(videos_manifest, world, ffpp, tmp_path_factory):
    """Every kind of page, from two short training runs on the demo data."""
    folder = tmp_path_factory.mktemp("pages")
    runs = [train_tiny(videos_manifest.folder, folder / name, epochs=1) for name in ("a", "b")]
    make_report(runs[0], robust=True)
    write_explanations(folder / "e", explain(runs[0]), "Split: grouped.")
    clip = find_clips(ffpp, categories=["Youtube"])[0].path
    classifier = classifier_of(runs[0])
    VerdictFiles(folder / "v", classifier, "By a.").add(classify_file(clip, classifier))
    write_comparison(folder / "c", compare(runs))
    write_matrix(folder / "m", compare_across_manifests(runs, [videos_manifest]))
    gan = GanSettings(size=16, latent=8, filters=4, batch_size=8, epochs=1)
    make_gan_report(train_gan(world / "CelebA", folder / "g", gan), "imagenet")
    return {
        "report": folder / "a/report/report.html",
        "explain": folder / "e/explain.html",
        "verdict": folder / f"v/videos/{clip.stem}.html",
        "comparison": folder / "c/comparison.html",
        "matrix": folder / "m/matrix.html",
        "gan": folder / "g/report/report.html",
    }


def browse(path, folder):
    """Open a page in the browser; return its document and console messages."""
    run = subprocess.run(
        [
            str(CHROMIUM),
            *QUIET,
            f"--user-data-dir={folder / 'profile'}",
            "--enable-logging=stderr",
            "--dump-dom",
            path.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return run.stdout, [line for line in run.stderr.splitlines() if "CONSOLE" in line]


browser = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")


@browser
@pytest.mark.parametrize("name", ["report", "explain", "verdict", "comparison", "matrix", "gan"])
def test_a_page_opens_from_disk_without_console_messages(name, pages, tmp_path):
    document, messages = browse(pages[name], tmp_path)
    assert messages == []
    rendered, written = Page(), Page()
    rendered.feed(document)
    written.feed(pages[name].read_text())
    assert rendered.alts == written.alts
    assert rendered.headers == written.headers


@browser
def test_content_injected_into_a_page_loads_and_runs_nothing(pages, tmp_path):
    html = pages["report"].read_text()
    injected = '<img src="http://localhost:9/x.png"><script>document.title = "run"</script></body>'
    path = tmp_path / "injected.html"
    path.write_text(html.replace("</body>", injected))
    document, messages = browse(path, tmp_path)
    console = " ".join(messages)
    assert "http://localhost:9/x.png" in console
    assert "Content Security Policy" in console
    assert "<title>run</title>" not in document


def test_every_table_has_headers_and_every_image_has_an_alt_text(pages):
    for path in pages.values():
        page, html = Page(), path.read_text()
        page.feed(html)
        assert all(address.startswith("data:") for address in page.fetched), path
        assert all(page.alts), path
        assert html.count("<table>") == html.count("<caption>"), path
        assert set(page.headers) <= {"col", "row"}, path
        assert "<script" not in html, path
