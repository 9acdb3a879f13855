"""ResNet-50 under Keras' older name of the module; see `resnet`."""

from cnnfast.applications.resnet import ResNet50, decode_predictions, preprocess_input

__all__ = ["ResNet50", "decode_predictions", "preprocess_input"]
