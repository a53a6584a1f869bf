"""Train classifiers of face manipulation and evaluate them without data leakage."""

import ffpp_tools  # noqa: F401 (sets OpenCV's decoding limits, which must happen before cv2 is imported)
