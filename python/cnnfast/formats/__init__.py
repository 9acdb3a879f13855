"""Models in files: safetensors with the architecture as JSON, read through closed registries; no pickle is run.

Weights of Keras, PyTorch and NumPy are read too.
"""

from cnnfast.formats.checkpoint import load_checkpoint, save_checkpoint
from cnnfast.formats.foreign import ForeignWeights, read_foreign
from cnnfast.formats.saving import load_model, save_model
from cnnfast.formats.weights import load_weights, save_weights

__all__ = [
    "ForeignWeights",
    "load_checkpoint",
    "load_model",
    "load_weights",
    "read_foreign",
    "save_checkpoint",
    "save_model",
    "save_weights",
]
