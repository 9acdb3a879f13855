"""Explanations: what in an image makes a network say what it says.

Every method is a function of a model and inputs that gives plain arrays, `method(model, x, target=None, ...)`.
Nothing is attached to the model. Scores are those before a final softmax or sigmoid.
"""

from cnnfast.explain.activations import DeadChannels, activation_maps, dead_channels, mosaic
from cnnfast.explain.backprop_rules import deconvnet, guided_backprop, guided_gradcam
from cnnfast.explain.cam import (
    cam,
    eigen_gradcam,
    eigencam,
    elementwise_cam,
    gradcam,
    gradcam_plus_plus,
    hirescam,
    layercam,
    xgradcam,
)
from cnnfast.explain.cam_perturbation import ablationcam, scorecam
from cnnfast.explain.comparison import Comparison, compare
from cnnfast.explain.curves import Curve, deletion, insertion
from cnnfast.explain.filters import first_layer_filters
from cnnfast.explain.fullgrad import fullgrad
from cnnfast.explain.gradient import gradient_x_input, saliency
from cnnfast.explain.imputation import Road, road
from cnnfast.explain.integrated import integrated_gradients
from cnnfast.explain.kernel_shap import kernel_shap
from cnnfast.explain.lime import lime
from cnnfast.explain.localization import energy_in_box, pointing_game
from cnnfast.explain.maps import ExplanationWarning
from cnnfast.explain.maximization import Ascent, maximize_activation, save_gif
from cnnfast.explain.occlusion import occlusion
from cnnfast.explain.priors import Norm, Penalty, TotalVariation
from cnnfast.explain.rise import rise
from cnnfast.explain.robustness import infidelity, max_sensitivity
from cnnfast.explain.sanity import Randomised, model_randomisation, rank_correlation, structural_similarity
from cnnfast.explain.smoothing import smoothgrad, vargrad
from cnnfast.explain.superpixels import superpixels
from cnnfast.explain.targets import Target, region, weighted

__all__ = [
    "Ascent",
    "Comparison",
    "Curve",
    "DeadChannels",
    "ExplanationWarning",
    "Norm",
    "Penalty",
    "Randomised",
    "Road",
    "Target",
    "TotalVariation",
    "ablationcam",
    "activation_maps",
    "cam",
    "compare",
    "dead_channels",
    "deconvnet",
    "deletion",
    "eigen_gradcam",
    "eigencam",
    "elementwise_cam",
    "energy_in_box",
    "first_layer_filters",
    "fullgrad",
    "gradcam",
    "gradcam_plus_plus",
    "gradient_x_input",
    "guided_backprop",
    "guided_gradcam",
    "hirescam",
    "infidelity",
    "insertion",
    "integrated_gradients",
    "kernel_shap",
    "layercam",
    "lime",
    "max_sensitivity",
    "maximize_activation",
    "model_randomisation",
    "mosaic",
    "occlusion",
    "pointing_game",
    "rank_correlation",
    "region",
    "rise",
    "road",
    "saliency",
    "save_gif",
    "scorecam",
    "smoothgrad",
    "structural_similarity",
    "superpixels",
    "vargrad",
    "weighted",
    "xgradcam",
]
