"""Explanations: what in an image makes a network say what it says.

Every method is a function of a model and inputs that gives plain arrays. Nothing is attached to the model.
"""

from cnnfast.explain.cam import gradcam
from cnnfast.explain.maps import ExplanationWarning
from cnnfast.explain.targets import Target, region, weighted

__all__ = ["ExplanationWarning", "Target", "gradcam", "region", "weighted"]
