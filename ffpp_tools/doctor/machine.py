"""What this machine has: Python, packages, dlib, codecs, GPUs, space."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from pathlib import Path

from ffpp_tools.files import read_json

OK, NOTE, PROBLEM = "ok", "note", "problem"
PACKAGE = "ffpp-tools"
# The same modules by another name.
INSTEAD = {"dlib": "dlib-bin", "opencv-python-headless": "opencv-python"}
DECODERS = ("h264", "hevc", "mpeg4", "vp9", "av1")
BACKENDS = ("tensorflow", "torch", "jax")
BACKEND_S = 180  # how long a backend may take to start
REPAIR = "make install, or pip install --no-deps -r requirements.lock"
# How each names its GPUs. Asked apart: importing TensorFlow takes seconds, and a
# backend that is broken may take its process with it.
ASK = {
    "tensorflow": "[d.name for d in b.config.list_physical_devices('GPU')]",
    "torch": "[b.cuda.get_device_name(i) for i in range(b.cuda.device_count())]",
    "jax": "[str(d) for d in b.devices() if d.platform != 'cpu']",
}


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    what: str
    state: str  # OK, NOTE (something is less than it could be) or PROBLEM (something will not work)
    found: str
    remedy: str = ""  # what to do about it; empty where it is OK


def examine() -> Iterator[Finding]:
    """Everything that the commands need of a machine."""
    yield python()
    yield from packages()
    yield dlib_finding()
    yield detector()
    yield codecs()
    yield from backends()


def python() -> Finding:
    """Whether the version will do."""
    here = f"{platform.python_version()} ({platform.machine()} {platform.system()})"
    if (3, 11) <= sys.version_info[:2] <= (3, 13):
        return Finding("Python", OK, f"{here}, {os.cpu_count()} CPUs")
    return Finding("Python", PROBLEM, here, "use Python 3.11 to 3.13")


def packages() -> Iterator[Finding]:
    """Whether what pyproject.toml asks for is there."""
    from packaging.requirements import Requirement

    wrong = 0
    wanted = [Requirement(text) for text in requires(PACKAGE) or ()]
    wanted = [r for r in wanted if r.marker is None or r.marker.evaluate({"extra": ""})]
    for requirement in wanted:
        name = requirement.name
        found = _version(name) or _version(INSTEAD.get(name, name))
        if found is None:
            wrong += 1
            yield Finding(name, PROBLEM, "not installed", REPAIR)
        elif not requirement.specifier.contains(found, prereleases=True):
            wrong += 1
            yield Finding(name, PROBLEM, f"{found}, wanted {requirement.specifier}", REPAIR)
    if _version("opencv-python") and _version("opencv-python-headless"):
        wrong += 1
        both = "opencv-python and opencv-python-headless overwrite each other's cv2"
        remedy = "uninstall both, then install opencv-python-headless"
        yield Finding("OpenCV", PROBLEM, both, remedy)
    if not wrong:
        yield Finding("packages", OK, f"{PACKAGE} {version(PACKAGE)}, {len(wanted)} needed")


def dlib_finding() -> Finding:
    """How dlib was built."""
    try:
        import dlib as module
    except ImportError as error:
        return Finding("dlib", PROBLEM, str(error), "pip install dlib-bin")
    built = {"AVX": module.USE_AVX_INSTRUCTIONS, "BLAS": module.DLIB_USE_BLAS}
    parts = [f"{'with' if there else 'without'} {name}" for name, there in built.items()]
    gpus = module.cuda.get_num_devices() if module.DLIB_USE_CUDA else 0
    parts.append(f"CUDA on {gpus} devices" if module.DLIB_USE_CUDA else "without CUDA")
    text = f"{module.__version__}, {', '.join(parts)}"
    if not built["AVX"] and platform.machine() in ("x86_64", "AMD64"):
        return Finding("dlib", NOTE, text, "a build with AVX finds faces about twice as fast")
    return Finding("dlib", OK, text)


def detector() -> Finding:
    """Whether the detector finds a face that is drawn for it."""
    from ffpp_tools.demo.face import Expression, Person, Portrait
    from ffpp_tools.errors import FfppError
    from ffpp_tools.faces.detect import full, load
    from ffpp_tools.video.image import Picture

    drawn = Portrait(Person.drawn(1), 400).render(Expression())
    try:
        faces = full(Picture(drawn), load("hog"))
    except (FfppError, RuntimeError, ImportError) as error:
        return Finding("face detector", PROBLEM, str(error), REPAIR)
    if len(faces) == 1:
        return Finding("face detector", OK, "finds the face in a drawn picture")
    return Finding("face detector", PROBLEM, f"{len(faces)} faces in a picture of one", REPAIR)


def codecs() -> Finding:
    """What FFmpeg, as PyAV brings it, can read and write."""
    try:
        import av
        from av.codec import Codec
        from av.codec.codec import UnknownCodecError
    except ImportError as error:
        return Finding("codecs", PROBLEM, str(error), REPAIR)

    def known(name: str, mode: str) -> bool:
        try:
            Codec(name, mode)  # type: ignore[arg-type]
        except UnknownCodecError:
            return False
        return True

    read = [name for name in DECODERS if known(name, "r")]
    text = f"FFmpeg {av.ffmpeg_version_info} reads {', '.join(read)}"
    if "h264" not in read:
        remedy = "install PyAV's own wheel: pip install --force-reinstall av"
        return Finding("codecs", PROBLEM, f"{text}; FF++ is H.264", remedy)
    if not known("libx264", "w"):
        remedy = "pip install --force-reinstall av; ffpp-demo and report --robustness write H.264"
        return Finding("codecs", NOTE, f"{text}, and writes no H.264", remedy)
    return Finding("codecs", OK, f"{text}, writes h264")


def keras_home() -> Path:
    """Where Keras keeps its settings and downloads: in /tmp where there is no home to write to."""
    if "KERAS_HOME" in os.environ:
        return Path(os.environ["KERAS_HOME"])
    home = os.path.expanduser("~")  # noqa: PTH111 (Path.home raises for a user who has none)
    return Path(home if os.access(home, os.W_OK) else "/tmp") / ".keras"


def chosen_backend() -> str:
    """The backend that Keras will take: of KERAS_BACKEND, else of its own keras.json."""
    named = os.environ.get("KERAS_BACKEND")
    with suppress(OSError, ValueError, AttributeError):
        named = named or read_json(keras_home() / "keras.json").get("backend")
    return str(named or "tensorflow")


def backends() -> Iterator[Finding]:
    """Which GPUs each installed Keras backend sees."""
    installed = [name for name in BACKENDS if find_spec(name)]
    chosen = chosen_backend()
    card = shutil.which("nvidia-smi") is not None
    for name in installed:
        yield _backend(name, card, " (Keras's choice here)" if name == chosen else "")
    if chosen not in installed:
        remedy = f"install it, or set KERAS_BACKEND to one of {', '.join(installed or BACKENDS)}"
        yield Finding("Keras backend", PROBLEM, f"{chosen} is chosen and not installed", remedy)


def _backend(name: str, card: bool, mark: str) -> Finding:
    ask = f"import json, {name} as b; print(json.dumps([b.__version__, {ASK[name]}]))"
    command = [sys.executable, "-c", ask]
    quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_HOME": str(keras_home())}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=BACKEND_S, env=quiet, check=False
        )
        found, gpus = json.loads(done.stdout.splitlines()[-1])
    except OSError as error:  # of an interpreter that another user may not start
        why = f"cannot be looked at{mark}: {sys.executable}: {error.strerror}"
        return Finding(name, PROBLEM, why, "make that file executable to this user")
    except subprocess.TimeoutExpired:
        slow = f"not started after {BACKEND_S} s{mark}; the machine may be busy, or its disk slow"
        return Finding(name, NOTE, slow, f"run ffpp-doctor again; if that is no help, {REPAIR}")
    except (ValueError, IndexError):
        last = (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
        return Finding(name, PROBLEM, f"cannot be imported{mark}: {last}", REPAIR)
    if gpus:
        return Finding(name, OK, f"{found}{mark}, {', '.join(gpus)}")
    if card:
        remedy = "install its build for CUDA, such as pip install 'tensorflow[and-cuda]'"
        return Finding(name, NOTE, f"{found}{mark}, sees no GPU though there is one", remedy)
    return Finding(name, OK, f"{found}{mark}, no GPU: trains on the CPU")


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def free_space(folder: Path) -> int:
    """Bytes that are free where a folder lies, or will lie."""
    there = next(p for p in (folder.absolute(), *folder.absolute().parents) if p.exists())
    return shutil.disk_usage(there).free
