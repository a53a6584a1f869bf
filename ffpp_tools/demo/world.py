"""The demo world on disk: clips, fakes, masks and stills in the real datasets' layouts."""

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
MARK = "DRAWN.txt"  # tells a world from a folder of somebody's data
CANVAS = 320
HQ_CANVAS = 1280
HEIGHT = 288
WIDTHS = (384, 400)  # Face2Face and NeuralTextures cut 400 to 384, a multiple of 32
MASK_CRF = 12
STILL_PEOPLE = 20
CELEBA_STILLS = 60
CELEBA_HQ_STILLS = 16
CRF = {"raw": 0, "c23": 23, "c40": 40}


@dataclass(frozen=True)
class Scene:
    """Where and how one person of the world was filmed. Everything follows from the seed."""

    name: str
    seed: int
    width: int
    fps: int
    frames: int

    @classmethod
    def drawn(cls, name: str, seed: int, seconds: float) -> Scene:
        """The scene of this seed, within 15 per cent of `seconds` long."""
        rng = np.random.default_rng((seed, 1))
        fps = int(rng.choice([24, 25, 30]))
        frames = round(fps * seconds * rng.uniform(0.85, 1.15))
        return cls(name, seed, int(rng.choice(WIDTHS)), fps, frames)

    @cached_property
    def portrait(self) -> Portrait:
        """The person of this scene."""
        return Portrait(Person.drawn(self.seed), CANVAS)

    def expression(self, frame: int) -> Expression:
        """Talking, smiling, blinking: the face at this frame."""
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
        """(2, 3) float32, canvas → frame: where the head is."""
        t = frame / self.fps
        sway = np.sin(2 * np.pi * (self._rates * t + self._phases[3:7]))
        scale = 1.02 + 0.04 * sway[0]
        matrix = cv2.getRotationMatrix2D((CANVAS / 2, CANVAS / 2), 5 * sway[1], scale)
        matrix[0, 2] += (self.width - CANVAS) / 2 + 14 * sway[2]
        matrix[1, 2] += 4 + 7 * sway[3]
        return matrix.astype(np.float32)

    def background(self, frame: int) -> Image:
        """(H, W, 3) uint8 RGB: a blurred room sliding past."""
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
    """Draw `people` pairwise forged people and celebrity stills; the same seed, the same bytes.

    Writes `FaceForensics++` (originals, four fakes of each, masks, splits,
    conversion_dict.json), `CelebA` and `CelebA-HQ` below `root`.

    Args:
        root: a folder that does not exist yet or is empty.
        people: how many; even, at least 6 so that train, val and test each get a pair.
        seconds: about how long a clip lasts.
        compressions: any of "raw", "c23", "c40".
        seed: another seed is another world.
        workers: processes.

    Returns:
        `root`.

    Raises:
        FfppError: on a used folder or impossible arguments.
    """
    compressions = tuple(compressions)
    if people < 6 or people % 2:
        raise FfppError(f"people ({people}) must be even and at least 6: fakes come in pairs")
    if unknown := set(compressions) - set(CRF):
        raise FfppError(f"compression {sorted(unknown)} is unknown; choose from {sorted(CRF)}")
    if has_foreign_files(root, COMMAND):
        raise FfppError(f"{root} is not empty; name another folder or delete it first")
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

    _write_text(root / MARK, "Everything in this folder was drawn by ffpp-demo and may go.\n")
    root = root.absolute()  # for processes that were started when this one was elsewhere
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
    """Write the target's original and the four fakes that show `source` in it."""
    cv2.setNumThreads(1)
    originals = root / "original_sequences/youtube"
    own = [
        _composed(target, i, target.portrait.render(target.expression(i)))
        for i in range(target.frames)
    ]
    for compression in compressions:
        path = originals / compression / "videos" / f"{target.name}.mp4"
        encode(path, own, target.fps, CRF[compression])
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
    """Frames and masks of one fake, with the length and width that the real method leaves."""
    length = {
        "Deepfakes": target.frames,
        "Face2Face": source.frames,
        "FaceSwap": min(target.frames, source.frames),
        "NeuralTextures": min(target.frames, source.frames),
    }[method]
    cut = target.width % 32 // 2 if method in ("Face2Face", "NeuralTextures") else 0
    visible = slice(cut, target.width - cut)
    for i in range(length):
        canvas, mask = forger.forge(method, target.expression(i), source.expression(i))
        covered = np.uint8(255) * (mask > 0.5)
        mask_frame = cv2.warpAffine(covered, target.pose(i), (target.width, HEIGHT))
        frame = _composed(target, i, canvas)
        yield frame[:, visible], cv2.cvtColor(mask_frame[:, visible], cv2.COLOR_GRAY2RGB)


def _composed(scene: Scene, frame: int, canvas: Image) -> Image:
    """The person's canvas put before the background: (H, W, 3) uint8 RGB."""
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
    """Write H.264 in MP4 as FF++ has it: x264, yuv420p, B-frames; always the same bytes."""
    import av

    # x264's macroblock tree reads memory it never set, so that now and then a file differs.
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
    """One aligned photograph, `span` pixels from eye to eye: (H, W, 3) uint8 RGB."""
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
    """The official splits and the list of source videos, as FF++ publishes them."""
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
