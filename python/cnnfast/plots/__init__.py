"""Pictures of results: `confusion_matrix`, `curves`, `image_grid`, `misclassified`.

Every function returns a `matplotlib.figure.Figure`, to be saved with ``figure.savefig("name.png")`` or shown
by a notebook; given something to draw on, that figure. Nothing uses pyplot, opens a window or needs a screen.
Matplotlib is imported when a function is called, not before. The colours can be told apart by people who see
colours differently: one scale from light to dark, and the palette of Okabe and Ito (2008).
"""

from cnnfast.plots.confusion import confusion_matrix
from cnnfast.plots.curves import curves
from cnnfast.plots.images import image_grid, misclassified
from cnnfast.plots.network import plot_model

__all__ = ["confusion_matrix", "curves", "image_grid", "misclassified", "plot_model"]
