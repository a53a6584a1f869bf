"""Checks of the machine: Python, packages, dlib, codecs, GPUs, disk space."""

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
# Package → another package with the same modules.
ALTERNATIVES = {"dlib": "dlib-bin", "opencv-python-headless": "opencv-python"}
DECODERS = ("h264", "hevc", "mpeg4", "vp9", "av1")
BACKENDS = ("tensorflow", "torch", "jax")
BACKEND_S = 180  # time limit in seconds for importing a backend
REPAIR = "make install, or pip install --no-deps -r requirements.lock"
# Expressions that list a backend's GPUs. They run in a process of their own, because a broken
# backend may crash its process, and importing TensorFlow takes seconds.
GPU_LISTS = {
    "tensorflow": "[d.name for d in b.config.list_physical_devices('GPU')]",
    "torch": "[b.cuda.get_device_name(i) for i in range(b.cuda.device_count())]",
    "jax": "[str(d) for d in b.devices() if d.platform != 'cpu']",
}


@dataclass(frozen=True)
class Finding:
    """The result of one check."""

    what: str  # what was checked
    state: str  # OK, NOTE (limited) or PROBLEM (something will not work)
    found: str
    remedy: str = ""  # empty if OK


def examine() -> Iterator[Finding]:
    """Check everything that the commands need from the machine."""
    yield python()
    yield from packages()
    yield dlib_finding()
    yield detector()
    yield codecs()
    yield from backends()


def python() -> Finding:
    """Check the Python version."""
    text = f"{platform.python_version()} ({platform.machine()} {platform.system()})"
    if (3, 11) <= sys.version_info[:2] <= (3, 13):
        return Finding("Python", OK, f"{text}, {os.cpu_count()} CPUs")
    return Finding("Python", PROBLEM, text, "use Python 3.11 to 3.13")


def packages() -> Iterator[Finding]:
    """Check that the packages required by pyproject.toml are installed."""
    from packaging.requirements import Requirement

    problems = 0
    requirements = [Requirement(text) for text in requires(PACKAGE) or ()]
    requirements = [r for r in requirements if r.marker is None or r.marker.evaluate({"extra": ""})]
    for requirement in requirements:
        name = requirement.name
        installed = _version(name) or _version(ALTERNATIVES.get(name, name))
        if installed is None:
            problems += 1
            yield Finding(name, PROBLEM, "not installed", REPAIR)
        elif not requirement.specifier.contains(installed, prereleases=True):
            problems += 1
            text = f"{installed}, expected {requirement.specifier}"
            yield Finding(name, PROBLEM, text, REPAIR)
    if _version("opencv-python") and _version("opencv-python-headless"):
        problems += 1
        text = "opencv-python and opencv-python-headless overwrite each other's cv2"
        remedy = "uninstall both, then install opencv-python-headless"
        yield Finding("OpenCV", PROBLEM, text, remedy)
    if not problems:
        text = f"{PACKAGE} {version(PACKAGE)}, {len(requirements)} required packages"
        yield Finding("packages", OK, text)


def dlib_finding() -> Finding:
    """Check how dlib was built."""
    try:
        import dlib as module
    except ImportError as error:
        return Finding("dlib", PROBLEM, str(error), "pip install dlib-bin")
    features = {"AVX": module.USE_AVX_INSTRUCTIONS, "BLAS": module.DLIB_USE_BLAS}
    texts = [f"{'with' if enabled else 'without'} {name}" for name, enabled in features.items()]
    gpus = module.cuda.get_num_devices() if module.DLIB_USE_CUDA else 0
    texts.append(f"CUDA on {gpus} devices" if module.DLIB_USE_CUDA else "without CUDA")
    text = f"{module.__version__}, {', '.join(texts)}"
    if not features["AVX"] and platform.machine() in ("x86_64", "AMD64"):
        return Finding("dlib", NOTE, text, "a build with AVX detects faces about twice as fast")
    return Finding("dlib", OK, text)


def detector() -> Finding:
    """Check that the detector finds a drawn face."""
    from ffpp_tools.demo.face import Expression, Person, Portrait
    from ffpp_tools.errors import FfppError
    from ffpp_tools.faces.detect import FindSettings, full, load
    from ffpp_tools.video.image import Picture

    drawn = Portrait(Person.drawn(1), 400).render(Expression())
    try:
        faces = full(Picture(drawn), load(FindSettings()))
    except (FfppError, RuntimeError, ImportError) as error:
        return Finding("face detector", PROBLEM, str(error), REPAIR)
    if len(faces) == 1:
        return Finding("face detector", OK, "finds the face in a drawn image")
    text = f"finds {len(faces)} faces in an image of one face"
    return Finding("face detector", PROBLEM, text, REPAIR)


def codecs() -> Finding:
    """Check which codecs PyAV's FFmpeg can read and write."""
    try:
        import av
        from av.codec import Codec
        from av.codec.codec import UnknownCodecError
    except ImportError as error:
        return Finding("codecs", PROBLEM, str(error), REPAIR)

    def is_available(name: str, mode: str) -> bool:
        try:
            Codec(name, mode)  # type: ignore[arg-type]
        except UnknownCodecError:
            return False
        return True

    readable = [name for name in DECODERS if is_available(name, "r")]
    text = f"FFmpeg {av.ffmpeg_version_info} reads {', '.join(readable)}"
    if "h264" not in readable:
        remedy = "install PyAV's own wheel: pip install --force-reinstall av"
        return Finding("codecs", PROBLEM, f"{text}, but not h264, which FF++ uses", remedy)
    if not is_available("libx264", "w"):
        remedy = "pip install --force-reinstall av; ffpp-demo and report --robustness write h264"
        return Finding("codecs", NOTE, f"{text}, cannot write h264", remedy)
    return Finding("codecs", OK, f"{text}, writes h264")


def keras_home() -> Path:
    """Return the folder of Keras's settings and downloads; in /tmp if home is not writable."""
    if "KERAS_HOME" in os.environ:
        return Path(os.environ["KERAS_HOME"])
    home = os.path.expanduser("~")  # noqa: PTH111 (Path.home raises for a user who has none)
    return Path(home if os.access(home, os.W_OK) else "/tmp") / ".keras"


def chosen_backend() -> str:
    """Return the backend that Keras will use, from KERAS_BACKEND or else from keras.json."""
    configured = os.environ.get("KERAS_BACKEND")
    with suppress(OSError, ValueError, AttributeError):
        configured = configured or read_json(keras_home() / "keras.json").get("backend")
    return str(configured or "tensorflow")


def backends() -> Iterator[Finding]:
    """Check which GPUs each installed Keras backend can use."""
    installed = [name for name in BACKENDS if find_spec(name)]
    chosen = chosen_backend()
    has_gpu = shutil.which("nvidia-smi") is not None
    for name in installed:
        yield _backend(name, has_gpu, " (Keras's choice)" if name == chosen else "")
    if chosen not in installed:
        remedy = f"install it, or set KERAS_BACKEND to one of {', '.join(installed or BACKENDS)}"
        text = f"{chosen} is Keras's choice, but is not installed"
        yield Finding("Keras backend", PROBLEM, text, remedy)


def _backend(name: str, has_gpu: bool, mark: str) -> Finding:
    """Check one backend; `mark` follows its version in the finding."""
    code = f"import json, {name} as b; print(json.dumps([b.__version__, {GPU_LISTS[name]}]))"
    command = [sys.executable, "-c", code]
    quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_HOME": str(keras_home())}
    try:
        process = subprocess.run(
            command, capture_output=True, text=True, timeout=BACKEND_S, env=quiet, check=False
        )
        installed, gpus = json.loads(process.stdout.splitlines()[-1])
    except OSError as error:  # such as an interpreter that this user may not execute
        text = f"cannot be checked{mark}: {sys.executable}: {error.strerror}"
        return Finding(name, PROBLEM, text, "make that file executable for this user")
    except subprocess.TimeoutExpired:
        text = f"not imported within {BACKEND_S} s{mark}; the machine may be busy, or its disk slow"
        return Finding(name, NOTE, text, f"run ffpp-doctor again; if that does not help, {REPAIR}")
    except (ValueError, IndexError):
        last = (process.stderr.strip().splitlines() or [f"status {process.returncode}"])[-1]
        return Finding(name, PROBLEM, f"cannot be imported{mark}: {last}", REPAIR)
    if gpus:
        return Finding(name, OK, f"{installed}{mark}, {', '.join(gpus)}")
    if has_gpu:
        remedy = "install its CUDA build, such as pip install 'tensorflow[and-cuda]'"
        return Finding(name, NOTE, f"{installed}{mark}, does not find the machine's GPU", remedy)
    return Finding(name, OK, f"{installed}{mark}, no GPU: trains on the CPU")


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def free_space(folder: Path) -> int:
    """Return the free bytes on the disk of a folder, which need not exist yet."""
    existing = next(p for p in (folder.absolute(), *folder.absolute().parents) if p.exists())
    return shutil.disk_usage(existing).free
