"""Which files count as images or videos, which are skipped, and which are never opened."""

import io
import os
import signal
import socket

import cv2
import numpy as np
import pytest
from PIL import Image

from classify.errors import ClassifyError
from classify.evaluation.external import _read as read_predictions
from ffpp_tools import files
from ffpp_tools.errors import FfppError
from ffpp_tools.extraction.stills import read_still
from ffpp_tools.script import read_options
from ffpp_tools.sources import celeba, celebdf_dfdc, media_files, official_lists
from ffpp_tools.sources.media_files import NEITHER, PICTURE, VIDEO, file_kind, find_files, summary
from ffpp_tools.sources.stills import find_stills
from ffpp_tools.splits import recipes
from ffpp_tools.store.tables import read_frames
from ffpp_tools.video import demux, image

DRAWN = cv2.resize(
    np.random.default_rng(0).integers(0, 255, (6, 8, 3), dtype=np.uint8), (64, 48), interpolation=2
)


@pytest.fixture(autouse=True)
def at_once():
    """Interrupt a test that waits for a FIFO."""

    def stop(*_):
        raise TimeoutError("still waiting")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(30)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def encoded(form, frames=1, **options):
    """A synthetic image in a format, animated if it has several frames."""
    file, image = io.BytesIO(), Image.fromarray(DRAWN)
    more = [Image.fromarray(np.roll(DRAWN, 9 * i, 1)) for i in range(1, frames)]
    image.save(file, form, **options, **({"save_all": True, "append_images": more} if more else {}))
    return file.getvalue()


def boxed(brand, *compatible):
    """The first box of a file of MP4's family."""
    names = b"".join(compatible)
    return (16 + len(names)).to_bytes(4, "big") + b"ftyp" + brand + bytes(4) + names + bytes(9)


TS = (b"G" + bytes(187)) * 4


@pytest.mark.parametrize(
    ("name", "data", "what"),
    [
        ("a.ts", encoded("JPEG"), PICTURE),
        ("a", encoded("PNG"), PICTURE),
        ("a.mp4", encoded("WEBP"), PICTURE),
        ("a.dat", encoded("BMP"), PICTURE),
        ("a.jpg", encoded("TIFF"), PICTURE),
        ("a.txt", encoded("AVIF"), PICTURE),
        ("a.gif", encoded("GIF"), PICTURE),
        ("moving.gif", encoded("GIF", frames=2), VIDEO),
        ("a.ts", TS, VIDEO),
        ("a.MTS", b"".join(bytes(4) + TS[:188] for _ in range(4)), VIDEO),
        ("a.ts", b"export const a = 1\n", NEITHER),
        ("a.3gp", boxed(b"3gp4"), VIDEO),
        ("a.jpg", boxed(b"isom", b"avc1"), VIDEO),
        ("a", boxed(b"qt  "), VIDEO),
        ("a", bytes(4) + b"moov", VIDEO),
        ("a", b"\x1aE\xdf\xa3 webm", VIDEO),
        ("a", b"RIFF....AVI LIST", VIDEO),
        ("a.m4a", boxed(b"M4A "), NEITHER),
        ("a.jpg", boxed(b"heic", b"mif1"), media_files.HEIC),
        ("a.heic", boxed(b"mif1", b"heic"), media_files.HEIC),
        ("a.heif", boxed(b"mif1", b"avif"), PICTURE),
        ("a.dng", encoded("TIFF"), media_files.RAW),
        ("a.jpg", b"", PICTURE),  # damaged: must be reported as unreadable
        ("A.MP4", b"half", VIDEO),
        ("a.mp4.part", boxed(b"isom"), VIDEO),
        ("notes.txt", b"hello", NEITHER),
    ],
)
def test_the_kind_of_a_file_comes_from_its_first_bytes_else_from_its_suffix(
    tmp_path, name, data, what
):
    (tmp_path / name).write_bytes(data)
    assert file_kind(tmp_path / name) == what


@pytest.mark.parametrize("form", ["GIF", "TIFF", "AVIF"])
def test_further_formats_are_read_as_pillow_reads_them(tmp_path, form):
    (tmp_path / "a").write_bytes(encoded(form))
    image, status, _ = read_still(tmp_path / "a")
    assert status == "ok"
    assert np.array_equal(image, np.asarray(Image.open(tmp_path / "a").convert("RGB")))


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_images_are_rotated_as_their_exif_data_specifies(tmp_path, form):
    turned = Image.Exif()
    turned[274] = 6  # portrait orientation
    (tmp_path / "a").write_bytes(encoded(form, exif=turned, quality=95))
    image, _, _ = read_still(tmp_path / "a")
    assert image.shape == (64, 48, 3)
    assert np.abs(image.astype(int) - np.rot90(DRAWN, -1)).mean() < 8


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (encoded("GIF", frames=3), "3 images in one file"),
        (encoded("WEBP", frames=2), "2 images in one file"),
        (encoded("PNG", frames=2), "2 images in one file"),
        (encoded("TIFF", frames=2), "2 images in one file"),
        (boxed(b"heic"), "no readable image"),
        (b"", "the file has 0 bytes"),
    ],
)
def test_a_file_that_is_not_a_single_image_is_an_error(tmp_path, data, words):
    (tmp_path / "a.png").write_bytes(data)
    image, status, error = read_still(tmp_path / "a.png")
    assert (image, status) == (None, "unreadable")
    assert words in error


def test_a_tiff_in_another_colour_space_is_an_error(tmp_path):
    Image.fromarray(DRAWN).convert("LAB").save(tmp_path / "a.tif")
    assert read_still(tmp_path / "a.tif")[1:] == (
        "unreadable",
        "unsupported TIFF mode LAB; save it as RGB or PNG",
    )


def touched(root, *names, data=b""):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)


def found(root, wanted=(PICTURE,)):
    return [path.relative_to(root).as_posix() for path in find_files(root, wanted).paths]


def reasons(root, wanted=(PICTURE,)):
    skipped = find_files(root, wanted).passed_over
    return {file.path.relative_to(root).as_posix(): file.why for file in skipped}


def test_linked_folders_are_followed_and_each_is_searched_once(tmp_path):
    root = tmp_path / "photos"
    touched(root, "m/1.jpg", "z.jpg")
    touched(tmp_path, "elsewhere/deep/2.jpg")
    (root / "b").symlink_to(tmp_path / "elsewhere")
    (root / "a").symlink_to(root / "m")  # a real folder comes before a link to it
    (root / "m/up").symlink_to(root)
    (tmp_path / "elsewhere/deep/back").symlink_to(tmp_path / "elsewhere")
    (root / "itself").symlink_to(root / "itself")
    touched(root, ".cache/3.jpg")
    (root / "c").symlink_to(root / ".cache")  # excluded folders come last
    assert found(root) == ["b/deep/2.jpg", "c/3.jpg", "m/1.jpg", "z.jpg"]
    why = reasons(root)
    assert set(why) == {"a", "m/up", "b/deep/back", "itself", ".cache"}
    assert why["a"] == f"a link to {root / 'm'}, which is searched anyway"


def test_skipped_files_are_reported_with_the_reason(tmp_path):
    touched(tmp_path, "a.jpg", "._a.jpg", "__MACOSX/b.jpg", ".ipynb_checkpoints/a.jpg", "notes.txt")
    touched(tmp_path, "x", data=encoded("JPEG"))
    touched(tmp_path, "clip.ts", data=TS)
    touched(tmp_path, "c.heic", data=boxed(b"heic"))
    (tmp_path / "gone.jpg").symlink_to("nowhere.jpg")
    assert found(tmp_path) == ["a.jpg", "gone.jpg", "x"]  # gone.jpg gets a ledger row
    assert reasons(tmp_path) == {
        "._a.jpg": "hidden",
        "__MACOSX/b.jpg": "hidden",
        ".ipynb_checkpoints/a.jpg": "hidden",
        "notes.txt": NEITHER,
        "clip.ts": "videos",
        "c.heic": media_files.HEIC,
    }
    lines = list(summary(find_files(tmp_path, (PICTURE,)).passed_over, tmp_path))
    hidden = "skipped 3 (hidden): ._a.jpg, .ipynb_checkpoints/a.jpg, __MACOSX/b.jpg"
    assert hidden in lines
    assert found(tmp_path, (PICTURE, VIDEO)) == ["a.jpg", "clip.ts", "gone.jpg", "x"]


def no_files(folder):
    """A FIFO, a socket and a link to a device that never ends."""
    os.mkfifo(folder / "fifo.jpg")
    (folder / "z.jpg").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as listening:
        here = os.open(".", os.O_RDONLY)
        os.chdir(folder)
        listening.bind("socket.jpg")  # the path of a socket must be short
        os.fchdir(here)
        os.close(here)


def test_fifos_sockets_and_devices_are_never_opened(tmp_path):
    touched(tmp_path, "a.jpg")
    no_files(tmp_path)
    assert [still.name for still in find_stills(tmp_path, "Mine", "real")] == ["a"]
    assert reasons(tmp_path) == {
        "fifo.jpg": "a FIFO, not a file",
        "socket.jpg": "a socket, not a file",
        "z.jpg": "a device, not a file",
    }
    for name in ("fifo.jpg", "z.jpg"):
        assert read_still(tmp_path / name)[:2] == (None, "unreadable")
        assert "not a file" in read_still(tmp_path / name)[2]
        assert image.read_image(tmp_path / name) is None
        assert "not a file" in file_kind(tmp_path / name)


READERS = {
    "a clip": ("000.mp4", demux.read_video),
    "an option file": ("o.toml", lambda path: read_options(path, {})),
    "a recipe": ("r.toml", lambda path: recipes.read(str(path))),
    "predictions": ("p.csv", lambda path: read_predictions(path, None, None)),
    "a table": ("frames.parquet", lambda path: read_frames(path.parent)),
    "splits": (
        "train.json",
        lambda path: official_lists.copy_lists(path.parent, path, official_lists.OF_FFPP),
    ),
    "identities": (official_lists.IDENTITIES, official_lists.read_values),
    "a mapping": (celeba.HQ_MAPPING, lambda p: celeba.numbering("CelebA-HQ", p.parent, ["17"])),
    "DFDC's list": (
        "metadata.json",
        lambda path: celebdf_dfdc.find_celebdf_dfdc_clips(path.parent),
    ),
    "Celeb-DF's list": (celebdf_dfdc.CELEB_DF_TEST, celebdf_dfdc._test_videos),
}


@pytest.mark.parametrize("what", READERS)
@pytest.mark.parametrize("made", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")])
def test_a_fifo_or_device_in_place_of_a_file_is_an_error_at_once(tmp_path, what, made):
    name, read = READERS[what]
    made(tmp_path / name)
    with pytest.raises((FfppError, ClassifyError), match=r"(FIFO|device), not a file") as error:
        read(tmp_path / name)
    assert name in str(error.value)


def test_regular_files_are_distinguished_from_special_ones(tmp_path):
    touched(tmp_path, "a")
    assert files.special_file_kind(tmp_path / "a") == files.special_file_kind(tmp_path) == ""
    assert files.special_file_kind(tmp_path / "nowhere") == ""
    assert files.regular_file(tmp_path / "a") == tmp_path / "a"
