"""Models in files: safetensors with the architecture as JSON, read through closed registries; no pickle."""

from cnnfast.formats.checkpoint import load_checkpoint, save_checkpoint
from cnnfast.formats.saving import load_model, save_model
from cnnfast.formats.weights import load_weights, save_weights

__all__ = ["load_checkpoint", "load_model", "load_weights", "save_checkpoint", "save_model", "save_weights"]
