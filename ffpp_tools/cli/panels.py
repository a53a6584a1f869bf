"""The panels of `--help`, with the same names in all commands."""

from ffpp_tools.script import MACHINE as MACHINE
from ffpp_tools.script import OUTPUT as OUTPUT
from ffpp_tools.script import STOPPING as STOPPING

# What goes in
DATA = "Data"
EXTRACT = "What to extract"
SPLITS = "Classes and splits"

# What is done with it
FACES = "Faces and crops"
NETWORK = "Network"
FINE_TUNING = "Fine-tuning"
TRAINING = "Training"
AUGMENTATION = "Augmentation"
SEARCH = "Search"
EVALUATION = "Evaluation"
