"""Pictures of results (`confusion_matrix`, `curves`, `per_class`, `reliability_diagram`, `roc_curve`,
`precision_recall_curve`), of data (`image_grid`, `misclassified`, `augmentation_samples`), of explanations (`overlay`,
`attribution`, `explanations`, `activation_mosaic`) and of a model's layers (`plot_model`).

Every function but `plot_model` returns a `matplotlib.figure.Figure`, to be saved with ``figure.savefig("name.png")`` or
shown by a notebook; given something to draw on, that figure. Nothing uses pyplot, opens a window or needs a screen.
Matplotlib is imported when a function is called, not before; `plot_model` writes SVG and needs none. The colours can be
told apart by people who see colours differently: one scale from light to dark, and the palette of Okabe and Ito (2008).
"""

from cnnfast.plots.activations import activation_mosaic
from cnnfast.plots.augmentation import augmentation_samples
from cnnfast.plots.confusion import confusion_matrix
from cnnfast.plots.curves import curves
from cnnfast.plots.images import image_grid, misclassified
from cnnfast.plots.network import plot_model
from cnnfast.plots.overlays import attribution, explanations, overlay
from cnnfast.plots.scores import per_class, reliability_diagram
from cnnfast.plots.thresholds import precision_recall_curve, roc_curve

__all__ = [
    "activation_mosaic",
    "attribution",
    "augmentation_samples",
    "confusion_matrix",
    "curves",
    "explanations",
    "image_grid",
    "misclassified",
    "overlay",
    "per_class",
    "plot_model",
    "precision_recall_curve",
    "reliability_diagram",
    "roc_curve",
]
