"""Train classifiers of face manipulation on the manifests of `ffpp_tools`, and evaluate them.

The main commands are functions: `train`, `resume`, `evaluate`, `evaluate_predictions`, `predict`
and `compare`. They are imported when first used, so that `import classify` does not load Keras.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ffpp_tools  # sets OpenCV's decoding limits, which must happen before cv2 is imported

if TYPE_CHECKING:
    from classify.api import compare, evaluate, evaluate_predictions, predict, resume, train
    from classify.errors import ClassifyError
    from classify.reporting.report_data import Report
    from classify.training.runs import Run
    from classify.training.settings import TrainSettings

    __version__: str

__all__ = [
    "ClassifyError",
    "Report",
    "Run",
    "TrainSettings",
    "__version__",
    "compare",
    "evaluate",
    "evaluate_predictions",
    "predict",
    "resume",
    "train",
]
_MODULES = {
    "ClassifyError": "errors",
    "Report": "reporting.report_data",
    "Run": "training.runs",
    "TrainSettings": "training.settings",
}

if not TYPE_CHECKING:  # with `__getattr__`, type checkers would accept any attribute

    def __getattr__(name: str) -> Any:
        """Import an exported name when it is first used (PEP 562)."""
        if name == "__version__":
            return ffpp_tools.__version__
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        value = getattr(import_module(f"{__name__}.{_MODULES.get(name, 'api')}"), name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
