"""The demo data on disk: clips, fakes, masks and stills in the layouts of the real datasets."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np

from ffpp_tools.demo.face import Array, Expression, Person, Portrait
from ffpp_tools.demo.manipulate import METHODS, Forger
from ffpp_tools.errors import FfppError
from ffpp_tools.files import write_atomically
from ffpp_tools.parent_process import parallel_options
from ffpp_tools.store.incomplete import has_foreign_files, writing_folder
from ffpp_tools.video.image import Image

COMMAND = "ffpp-demo"
MARK = "DRAWN.txt"  # marks a folder as demo data
CANVAS = 320  # pixels
HQ_CANVAS = 1280
HEIGHT = 288
WIDTHS = (384, 400)  # Face2Face and NeuralTextures crop 400 to 384, a multiple of 32
MASK_CRF = 12
STILL_PEOPLE = 20
CELEBA_STILLS = 60
CELEBA_HQ_STILLS = 16
CRF = {"raw": 0, "c23": 23, "c40": 40}


@dataclass(frozen=True)
class Scene:
    """One person's recording: background, motion and duration, all determined by the seed."""

    name: str
    seed: int
    width: int
    fps: int
    frames: int

    @classmethod
    def drawn(cls, name: str, seed: int, seconds: float) -> Scene:
        """Draw a random scene; its duration is within 15 per cent of `seconds`."""
        rng = np.random.default_rng((seed, 1))
        fps = int(rng.choice([24, 25, 30]))
        frames = round(fps * seconds * rng.uniform(0.85, 1.15))
        return cls(name, seed, int(rng.choice(WIDTHS)), fps, frames)

    @cached_property
    def portrait(self) -> Portrait:
        """The person of this scene."""
        return Portrait(Person.drawn(self.seed), CANVAS)

    def expression(self, frame: int) -> Expression:
        """Return the expression at this frame: the person talks, smiles and blinks."""
        t = frame / self.fps
        a, b, c = self._phases[:3]
        talk = np.sin(2 * np.pi * (2.1 * t + a)) * np.sin(2 * np.pi * (0.7 * t + b))
        blink = (t + 3 * c) % 2.9 < 0.14
        return Expression(
            mouth_open=float(np.clip(1.2 * talk, 0, 1)),
            smile=float(0.7 * np.sin(2 * np.pi * (0.21 * t + c))),
            eyes_open=0.05 if blink else 0.95,
            gaze=float(np.sin(2 * np.pi * (0.17 * t + a))),
        )

    def pose(self, frame: int) -> Array:
        """Return the affine transform from canvas to frame, (2, 3) float32."""
        t = frame / self.fps
        sway = np.sin(2 * np.pi * (self._rates * t + self._phases[3:7]))
        scale = 1.02 + 0.04 * sway[0]
        matrix = cv2.getRotationMatrix2D((CANVAS / 2, CANVAS / 2), 5 * sway[1], scale)
        matrix[0, 2] += (self.width - CANVAS) / 2 + 14 * sway[2]
        matrix[1, 2] += 4 + 7 * sway[3]
        return matrix.astype(np.float32)

    def background(self, frame: int) -> Image:
        """Return the background, a blurred room that moves sideways: (H, W, 3) uint8 RGB."""
        t = frame / self.fps
        x = round(20 + 19 * np.sin(2 * np.pi * (0.11 * t + self._phases[7])))
        return self._room[:, x : x + self.width]

    @cached_property
    def _phases(self) -> Array:
        return np.random.default_rng((self.seed, 2)).random(8, dtype=np.float32)

    @cached_property
    def _rates(self) -> Array:
        return np.random.default_rng((self.seed, 3)).uniform(0.1, 0.4, 4).astype(np.float32)

    @cached_property
    def _room(self) -> Image:
        return _room(np.random.default_rng((self.seed, 4)), HEIGHT, self.width + 40)


DRAWN = ("FaceForensics++", "CelebA", "CelebA-HQ")


def draw_world(
    root: Path,
    people: int = 20,
    seconds: float = 4.0,
    compressions: Iterable[str] = ("c23",),
    seed: int = 0,
    workers: int = 1,
) -> Path:
    """Create a small synthetic dataset in the layout of FF++; the same seed gives the same bytes.

    Writes `FaceForensics++` (originals, four fakes of each, masks, splits,
    conversion_dict.json), `CelebA` and `CelebA-HQ` to `root`.

    Args:
        root: a folder that does not exist or is empty.
        people: number of people in FaceForensics++; even, and at least 6, so that train, val and
            test each have a pair of people.
        seconds: approximate duration of a clip.
        compressions: any of "raw", "c23", "c40".
        seed: random seed for all data.
        workers: number of processes.

    Returns:
        `root`.

    Raises:
        FfppError: the folder is not empty, or an argument is invalid.
    """
    compressions = tuple(compressions)
    if people < 6 or people % 2:
        raise FfppError(
            f"people ({people}) must be even and at least 6, because fakes are of pairs of people"
        )
    if unknown := sorted(set(compressions) - set(CRF)):
        raise FfppError(
            f"unknown compression {', '.join(unknown)}; choose from {', '.join(sorted(CRF))}"
        )
    if has_foreign_files(root, COMMAND):
        raise FfppError(f"{root} is not empty; choose another folder, or delete it first")
    with writing_folder(root, COMMAND, (MARK, *DRAWN)):
        _draw(root, people, seconds, compressions, seed, workers)
    return root


def _draw(
    root: Path,
    people: int,
    seconds: float,
    compressions: tuple[str, ...],
    seed: int,
    workers: int,
) -> None:
    import joblib

    _write_text(root / MARK, "Created by ffpp-demo. This folder can be deleted.\n")
    root = root.absolute()  # worker processes may have another working directory
    ffpp = root / "FaceForensics++"
    scenes = [Scene.drawn(f"{i:03d}", seed * 100_000 + i, seconds) for i in range(people)]
    order = np.random.default_rng(seed).permutation(people)
    pairs = [(scenes[a], scenes[b]) for a, b in order.reshape(-1, 2)]
    both_ways = [*pairs, *((b, a) for a, b in pairs)]
    jobs = [joblib.delayed(_film)(ffpp, t, s, compressions) for t, s in both_ways]
    jobs += [
        joblib.delayed(_photograph)(root, number, seed * 100_000 + 50_000)
        for number in range(1, CELEBA_STILLS + CELEBA_HQ_STILLS // 2 + 1)
    ]
    joblib.Parallel(n_jobs=workers, **parallel_options())(jobs)
    _write_lists(ffpp, pairs)
    identities = "".join(f"{n:06d}.jpg {_identity(n)}\n" for n in range(1, CELEBA_STILLS + 1))
    _write_text(root / "CelebA/Anno/identity_CelebA.txt", identities)


def _film(root: Path, target: Scene, source: Scene, compressions: tuple[str, ...]) -> None:
    """Write the target's original clip, and the four fakes of target and source."""
    cv2.setNumThreads(1)
    originals = root / "original_sequences/youtube"
    original = [
        _composed(target, i, target.portrait.render(target.expression(i)))
        for i in range(target.frames)
    ]
    for compression in compressions:
        path = originals / compression / "videos" / f"{target.name}.mp4"
        encode(path, original, target.fps, CRF[compression])
    forger = Forger(target.portrait, source.portrait)
    for method in METHODS:
        folder = root / "manipulated_sequences" / method
        frames, masks = zip(*_forged(target, source, method, forger), strict=True)
        name = f"{target.name}_{source.name}.mp4"
        for compression in compressions:
            encode(folder / compression / "videos" / name, frames, target.fps, CRF[compression])
        encode(folder / "masks/videos" / name, masks, target.fps, MASK_CRF)


def _forged(
    target: Scene, source: Scene, method: str, forger: Forger
) -> Iterator[tuple[Image, Image]]:
    """Yield the frames and masks of a fake, with the length and width of the real method's fakes.

    Both are (H, W, 3) uint8 RGB.
    """
    length = {
        "Deepfakes": target.frames,
        "Face2Face": source.frames,
        "FaceSwap": min(target.frames, source.frames),
        "NeuralTextures": min(target.frames, source.frames),
    }[method]
    margin = target.width % 32 // 2 if method in ("Face2Face", "NeuralTextures") else 0
    visible = slice(margin, target.width - margin)
    for i in range(length):
        canvas, mask = forger.forge(method, target.expression(i), source.expression(i))
        covered = np.uint8(255) * (mask > 0.5)
        mask_frame = cv2.warpAffine(covered, target.pose(i), (target.width, HEIGHT))
        frame = _composed(target, i, canvas)
        yield frame[:, visible], cv2.cvtColor(mask_frame[:, visible], cv2.COLOR_GRAY2RGB)


def _composed(scene: Scene, frame: int, canvas: Image) -> Image:
    """Return the person's canvas in front of the background: (H, W, 3) uint8 RGB."""
    size = (scene.width, HEIGHT)
    pose = scene.pose(frame)
    person = cv2.warpAffine(canvas, pose, size, borderMode=cv2.BORDER_REPLICATE)
    alpha = cv2.warpAffine(scene.portrait.alpha, pose, size)[..., None]
    room = scene.background(frame).astype(np.float32)
    return (room + (person - room) * alpha).astype(np.uint8)


def _room(rng: np.random.Generator, height: int, width: int) -> Image:
    coarse = rng.uniform(50, 205, (5, 7, 1)) + rng.normal(0, 18, (5, 7, 3))
    room = cv2.resize(coarse.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    room += cv2.GaussianBlur(rng.normal(0, 30, room.shape).astype(np.float32), (0, 0), 3)
    return np.clip(room, 0, 255).astype(np.uint8)


def encode(path: Path, frames: Sequence[Image], fps: int, crf: int) -> None:
    """Write H.264 in MP4, encoded as in FF++ (x264, yuv420p, B-frames), with reproducible bytes."""
    import av

    # x264's macroblock tree reads uninitialised memory, which sometimes changes the output.
    x264 = "bframes=3:threads=1:no-mbtree=1"

    path.parent.mkdir(parents=True, exist_ok=True)
    options = {"crf": str(crf), "preset": "veryfast", "x264-params": x264}
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps, options=options)
        stream.pix_fmt = "yuv420p"
        stream.height, stream.width = frames[0].shape[:2]
        for image in frames:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def _identity(number: int) -> int:
    return number % STILL_PEOPLE + 1


def _photograph(root: Path, number: int, seed: int) -> None:
    """Write still `number` to CelebA, to CelebA-HQ, or, for some, to both."""
    cv2.setNumThreads(1)
    name = f"{number:06d}.jpg"
    if number <= CELEBA_STILLS:
        path = root / "CelebA/Img/img_align_celeba" / name
        _save_jpeg(path, _still(number, seed, CANVAS, (178, 218), eyes=(88.5, 111), span=39))
    if number > CELEBA_STILLS - CELEBA_HQ_STILLS // 2:
        path = root / "CelebA-HQ" / name
        _save_jpeg(path, _still(number, seed, HQ_CANVAS, (1024, 1024), eyes=(512, 480), span=250))


def _still(
    number: int, seed: int, canvas: int, size: tuple[int, int], eyes: tuple[float, float], span: int
) -> Image:
    """Draw an aligned photograph with `span` pixels between the eyes: (H, W, 3) uint8 RGB."""
    person = Person.drawn(seed + _identity(number))
    portrait = Portrait(person, canvas)
    rng = np.random.default_rng((seed, number))
    expression = Expression(rng.uniform(0, 0.6), rng.uniform(0, 1), 0.95, rng.uniform(-1, 1))
    scale = span / (2 * person.eye_spacing * portrait.unit)
    pose = np.array([[scale, 0, 0], [0, scale, 0]], np.float32)
    pose[:, 2] = np.array(eyes) - scale * np.array(portrait.eye_centre)
    rendered = portrait.render(expression)
    image = cv2.warpAffine(rendered, pose, size, borderMode=cv2.BORDER_REPLICATE)
    alpha = cv2.warpAffine(portrait.alpha, pose, size)[..., None]
    room = cv2.resize(_room(rng, 64, 64), size, interpolation=cv2.INTER_CUBIC)
    return (room * (1 - alpha) + image * alpha).astype(np.uint8)


def _save_jpeg(path: Path, image: Image) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    encoded = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])[1]
    path.write_bytes(encoded.tobytes())


def _write_lists(root: Path, pairs: list[tuple[Scene, Scene]]) -> None:
    """Write the official splits and the list of YouTube videos in FF++'s formats."""
    held_out = max(round(0.14 * len(pairs)), 1)
    splits: Mapping[str, list[tuple[Scene, Scene]]] = {
        "test": pairs[:held_out],
        "val": pairs[held_out : 2 * held_out],
        "train": pairs[2 * held_out :],
    }
    for split, members in splits.items():
        listed = [[a.name, b.name] for a, b in members]
        _write_text(root / "splits" / f"{split}.json", json.dumps(listed, indent=2))
    names = sorted(scene.name for pair in pairs for scene in pair)
    videos = {name: f"drawn-{name} 0" for name in names}
    _write_text(root / "conversion_dict.json", json.dumps(videos, indent=2))


def _write_text(path: Path, text: str) -> None:
    write_atomically(path, text.encode())
