"""Build face datasets from FaceForensics++ videos and stills; no known identity is in two splits.

The main commands are functions: `extract`, `extract_stills`, `clean`, `identify`, `split`,
`split_folds`, `audit` and `export`. Their modules are imported on first use, so that `import
ffpp_tools` is fast.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ffpp_tools import pixel_limits  # noqa: F401 (before OpenCV is imported)

if TYPE_CHECKING:
    from ffpp_tools.api import (
        audit,
        clean,
        export,
        extract,
        extract_stills,
        identify,
        split,
        split_folds,
    )
    from ffpp_tools.errors import FfppError
    from ffpp_tools.extraction.settings import ClipSettings, StillSettings
    from ffpp_tools.extraction.workers import Workers
    from ffpp_tools.faces.crop import CropSettings
    from ffpp_tools.faces.detect import FindSettings
    from ffpp_tools.splits.manifest import Manifest
    from ffpp_tools.video.sampling import FramePlan

    __version__: str

__all__ = [
    "ClipSettings",
    "CropSettings",
    "FfppError",
    "FindSettings",
    "FramePlan",
    "Manifest",
    "StillSettings",
    "Workers",
    "__version__",
    "audit",
    "clean",
    "export",
    "extract",
    "extract_stills",
    "identify",
    "split",
    "split_folds",
]
_MODULES = {
    "ClipSettings": "extraction.settings",
    "CropSettings": "faces.crop",
    "FfppError": "errors",
    "FindSettings": "faces.detect",
    "FramePlan": "video.sampling",
    "Manifest": "splits.manifest",
    "StillSettings": "extraction.settings",
    "Workers": "extraction.workers",
}


if not TYPE_CHECKING:  # otherwise type checkers would accept any attribute of the module

    def __getattr__(name: str) -> Any:
        """Import an exported name on first use (PEP 562)."""
        if name == "__version__":
            from importlib.metadata import version

            return version("ffpp-tools")
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        value = getattr(import_module(f"{__name__}.{_MODULES.get(name, 'api')}"), name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
