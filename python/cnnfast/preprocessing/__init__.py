"""What comes before a model, by Keras' names."""

from cnnfast.preprocessing import image

__all__ = ["image"]
