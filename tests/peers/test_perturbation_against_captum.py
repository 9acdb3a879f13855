"""Occlusion, Shapley values and LIME against Captum on the same weights."""

from __future__ import annotations

import numpy as np
import pytest

from cnnfast.explain.kernel_shap import kernel_shap
from cnnfast.explain.lime import lime, nearness, tosses
from cnnfast.explain.occlusion import occlusion
from tests.explain.networks import images, small_convnet

pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore")]
torch = pytest.importorskip("torch", reason="PyTorch is not installed")
attr = pytest.importorskip("captum.attr", reason="Captum is not installed")

TARGETS = [0, 1, 2]
LABELS = np.add.outer(np.arange(12) // 4 * 2, np.arange(10) // 5)  # 6 blocks


@pytest.fixture(scope="module")
def pair():
    """The network here and in PyTorch, and images for each."""
    ours, x = small_convnet(activation=None), images(3)
    w1, b1, gamma, beta, mean, variance, w2, w3, b3 = ours.get_weights()
    conv1, norm = torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.BatchNorm2d(8, eps=1e-3)
    conv2, dense = torch.nn.Conv2d(8, 6, 3, padding=1, bias=False), torch.nn.Linear(6, 3)
    for parameter, value in [
        (conv1.weight, w1.transpose(3, 2, 0, 1)), (conv1.bias, b1), (norm.weight, gamma), (norm.bias, beta),
        (norm.running_mean, mean), (norm.running_var, variance), (conv2.weight, w2.transpose(3, 2, 0, 1)),
        (dense.weight, w3.T), (dense.bias, b3),
    ]:  # fmt: skip
        parameter.data.copy_(torch.tensor(value))
    pool, mean = torch.nn.MaxPool2d(2), torch.nn.AdaptiveAvgPool2d(1)
    layers = [conv1, torch.nn.ReLU(), norm, pool, conv2, torch.nn.ReLU(), mean, torch.nn.Flatten(), dense]
    theirs = torch.nn.Sequential(*layers).eval()
    with torch.no_grad():
        yield ours, x, theirs, torch.tensor(x.transpose(0, 3, 1, 2))


def assert_same(found, expected):
    """To 1e-4 of the largest value."""
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize(
    ("window", "strides", "baseline"),
    [((3, 3), (1, 1), 0.0), ((4, 3), (3, 2), 0.5), ((5, 4), (5, 4), -1.0), ((12, 3), (1, 2), 0.0)],
)
def test_occlusion_is_captums(pair, window, strides, baseline):
    ours, x, theirs, tensor = pair
    expected = attr.Occlusion(theirs).attribute(
        tensor, sliding_window_shapes=(3, *window), strides=(3, *strides), target=TARGETS, baselines=baseline
    )
    # The window spans the channels, for which Captum gives the same value.
    found = occlusion(ours, x, TARGETS, window, strides, baseline)
    for channel in range(3):
        assert_same(found, expected[:, channel].numpy())


@pytest.mark.parametrize("baseline", [0.0, 0.5])
def test_kernel_shap_of_all_choices_is_captums_shapley_values(pair, baseline):
    ours, x, theirs, tensor = pair
    expected = attr.ShapleyValues(theirs).attribute(
        tensor,
        target=TARGETS,
        baselines=baseline,
        feature_mask=torch.tensor(LABELS)[None, None],
        perturbations_per_eval=6,
    )
    # Captum's means over all 6! = 720 orders.
    assert_same(kernel_shap(ours, x, TARGETS, LABELS, samples=64, baseline=baseline), expected[:, 0].numpy())


def test_lime_is_captums_with_the_same_copies(pair):
    """Captum makes copies one by one, so it can be given ours; its regression is scikit-learn's."""
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    from captum._utils.models.linear_model import SkLearnRidge

    ours, x, theirs, tensor = pair
    shown = tosses(80, 6, 3)
    found = lime(ours, x, TARGETS, LABELS, samples=80, kernel_width=0.4, alpha=1.0, seed=3, baseline=0.5)
    for i, target in enumerate(TARGETS):
        rows = iter(torch.tensor(shown, dtype=torch.float32))
        explainer = attr.LimeBase(
            theirs,
            SkLearnRidge(alpha=1.0),
            similarity_func=lambda original, changed, features, **_: nearness(features.double().numpy(), 0.4)[0],
            perturb_func=lambda original, rows=rows, **_: next(rows)[None],
            perturb_interpretable_space=True,
            from_interp_rep_transform=lambda features, original, **_: torch.where(
                features[0][torch.tensor(LABELS)] > 0, original, 0.5
            ),
            to_interp_rep_transform=None,
        )
        expected = explainer.attribute(tensor[i : i + 1], target=target, n_samples=80)
        assert_same(found[i], expected.numpy().reshape(-1)[LABELS])
