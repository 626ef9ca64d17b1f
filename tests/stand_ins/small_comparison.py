"""Small recipes to compare, and their comparison."""

from hf_bones.evaluation.report.figures import Resampling
from hf_bones.labels import THREE_CLASS

FEW = Resampling(repeats=60)
NAMES = THREE_CLASS.names
