"""Measures of explanations against Captum, pytorch-grad-cam, SciPy and scikit-image, for the same changes."""

from __future__ import annotations

import numpy as np
import pytest

import cnnfast
from cnnfast import layers
from cnnfast.explain import imputation, measuring, robustness, sanity

pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore")]
torch = pytest.importorskip("torch", reason="PyTorch is not installed")

H, W = 24, 20


@pytest.fixture(autouse=True)
def plain_torch():
    with torch.backends.mkldnn.flags(enabled=False):
        yield


def both_networks(seed: int = 0):
    """The same network here and in PyTorch, without a final softmax. Its scores are of size 1."""
    cnnfast.utils.set_random_seed(seed)
    model = cnnfast.Sequential(
        [
            cnnfast.Input((H, W, 3)),
            layers.Conv2D(6, 3, padding="same", activation="relu", name="conv1"),
            layers.MaxPooling2D(2),
            layers.Conv2D(8, 3, padding="same", activation="relu", name="conv2"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(4, name="scores"),
        ]
    )
    first, second = torch.nn.Conv2d(3, 6, 3, padding=1), torch.nn.Conv2d(6, 8, 3, padding=1)
    last = torch.nn.Linear(8, 4)
    for mine, theirs in (("conv1", first), ("conv2", second), ("scores", last)):
        kernel, bias = model.get_layer(mine).get_weights()
        order = (3, 2, 0, 1) if kernel.ndim == 4 else (1, 0)
        theirs.weight.data = torch.tensor(np.ascontiguousarray(kernel.transpose(order)))
        theirs.bias.data = torch.tensor(bias)

    class Mean(torch.nn.Module):
        def forward(self, x):
            return x.mean((2, 3))

    relu = torch.nn.ReLU
    network = torch.nn.Sequential(first, relu(), torch.nn.MaxPool2d(2), second, relu(), Mean(), last)
    return model, network.eval()


def to_torch(x: np.ndarray):
    return torch.tensor(np.ascontiguousarray(np.moveaxis(x, -1, 1).astype(np.float32)))


def images(count: int) -> np.ndarray:
    return np.random.default_rng(3).normal(size=(count, H, W, 3)).astype(np.float32)


def gradients(network, x: np.ndarray, target: int) -> np.ndarray:
    tensor = to_torch(x).requires_grad_()
    network(tensor)[:, target].sum().backward()
    return tensor.grad.permute(0, 2, 3, 1).numpy()


# Captum


@pytest.mark.parametrize("normalize", [False, True])
def test_infidelity_is_captums_for_the_same_changes(normalize):
    metrics = pytest.importorskip("captum.metrics", reason="Captum is not installed")
    model, network = both_networks()
    x, samples = images(3), 12
    attributions = gradients(network, x, 2)
    taken = []

    def perturbation(rng, image):
        taken.append((0.3 * rng.standard_normal(image.shape)).astype(np.float32))
        return taken[-1]

    mine = robustness.infidelity(
        model, x, attributions, 2, perturbation=perturbation, samples=samples, normalize=normalize
    )

    def perturb(inputs):  # all changes of the first image, then those of the second
        change = to_torch(np.stack(taken))
        return change, inputs - change

    theirs = metrics.infidelity(
        network, perturb, to_torch(x), to_torch(attributions), target=2, n_perturb_samples=samples, normalize=normalize
    )
    # Both round scores of size 1 in float32 sums of 216 products at most; the errors they square are of size 0.01.
    scale = np.abs(network(to_torch(x)).detach().numpy()).max()
    slack = 216 * 2**-24 * scale
    root = np.sqrt(theirs.numpy())
    np.testing.assert_allclose(np.sqrt(mine), root, rtol=1e-5, atol=slack)
    assert root.min() > 20 * slack


def test_max_sensitivity_is_captums_for_the_same_changes():
    metrics = pytest.importorskip("captum.metrics", reason="Captum is not installed")
    model, network = both_networks()
    x, samples, radius = images(3), 6, 0.03
    seen = []

    def method(model, x, target):
        seen.append(np.asarray(x))
        return gradients(network, x, 1)

    mine = robustness.max_sensitivity(method, model, x, 1, radius=radius, samples=samples)
    changed = np.stack(seen[1:], 1).reshape(-1, H, W, 3)  # all versions of the first image, then of the second

    def explain(inputs):
        tensor = inputs[0] if isinstance(inputs, tuple) else inputs
        with torch.enable_grad():
            return (to_torch(gradients(network, tensor.permute(0, 2, 3, 1).numpy(), 1)),)

    theirs = metrics.sensitivity_max(
        explain, to_torch(x), perturb_func=lambda inputs: to_torch(changed), n_perturb_samples=samples
    )
    np.testing.assert_allclose(mine, theirs.numpy(), rtol=1e-5)
    assert theirs.min() > 0


# pytorch-grad-cam and SciPy


@pytest.fixture
def their_road(monkeypatch):
    monkeypatch.setattr(torch.library, "register_fake", lambda *a, **k: lambda function: function)
    return pytest.importorskip("pytorch_grad_cam.metrics.road", reason="pytorch-grad-cam is not installed")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("kind", ["scattered", "hole"])
def test_imputed_images_are_those_of_a_direct_solver(their_road, share, kind):
    rng = np.random.default_rng(7)
    image = images(1)[0]
    distance = np.hypot(*np.mgrid[-1 : 1 : H * 1j, -0.8 : 1.2 : W * 1j])
    order = rng.random((H, W)) if kind == "scattered" else distance
    keep = order >= np.quantile(order, share)
    theirs = their_road.NoisyLinearImputer(noise=0)(to_torch(image[None])[0], torch.tensor(keep.astype(np.float32)))
    # Residual 1e-7 times the norm of the inverse, the width of the hole squared at most; theirs is rounded to float32.
    tolerance = (1e-7 * H**2 + 2**-24) * np.abs(image).max()
    np.testing.assert_allclose(imputation.imputed(image, keep), theirs.permute(1, 2, 0).numpy(), rtol=0, atol=tolerance)


@pytest.mark.parametrize(
    ("order", "name"),
    [
        ("most", "ROADMostRelevantFirstAverage"),
        ("least", "ROADLeastRelevantFirstAverage"),
        ("combined", "ROADCombined"),
    ],
)
def test_road_gives_the_numbers_of_pytorch_grad_cam(their_road, monkeypatch, order, name):
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    monkeypatch.setattr(their_road.NoisyLinearImputer, "__init__", lambda self: setattr(self, "noise", 0))
    model, network = both_networks()
    x = images(3)
    rng = np.random.default_rng(5)
    maps = np.stack([rng.permutation(H * W).reshape(H, W) for _ in x]).astype(np.float32) / 512  # exact, also 1 - map
    targets = [ClassifierOutputTarget(k) for k in (0, 3, 1)]
    theirs = getattr(their_road, name)(percentiles=[10, 40, 75, 90])(to_torch(x), maps, targets, network)
    mine = imputation.road(model, x, maps, [0, 3, 1], percentiles=[10, 40, 75, 90], order=order, noise=0.0, of="score")
    # Scores of size 1 in float32, of images that differ by what the imputation leaves (1e-7 * 24^2 at most).
    scale = np.abs(network(to_torch(x)).detach().numpy()).max()
    np.testing.assert_allclose(mine.mean, theirs, rtol=0, atol=1e-4 * scale)
    assert np.abs(theirs).min() > 1e-3 * scale


# SciPy and scikit-image


def test_rank_correlation_is_scipys_with_equal_values_too():
    stats = pytest.importorskip("scipy.stats", reason="SciPy is not installed")
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 9, size=(2, 4, 11, 13)).astype(float)
    expected = [stats.spearmanr(u.reshape(-1), v.reshape(-1)).statistic for u, v in zip(a, b, strict=True)]
    np.testing.assert_allclose(sanity.rank_correlation(a, b), expected, rtol=1e-12, atol=1e-14)


def test_structural_similarity_is_that_of_scikit_image():
    metrics = pytest.importorskip("skimage.metrics", reason="scikit-image is not installed")
    rng = np.random.default_rng(0)
    a = np.cumsum(np.cumsum(rng.normal(size=(3, 32, 27)), 1), 2)
    b = a + rng.normal(size=a.shape) * np.array([0.5, 5, 50])[:, None, None]
    scaled = [(m - m.min((1, 2), keepdims=True)) / np.ptp(m, (1, 2))[:, None, None] for m in (a, b)]
    expected = [
        metrics.structural_similarity(u, v, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=1)
        for u, v in zip(*scaled, strict=True)
    ]
    # The maps are scaled in float32; constants of 1e-4 and 9e-4 divide their differences.
    np.testing.assert_allclose(sanity.structural_similarity(a, b), expected, atol=16 * 2**-24 / 1e-4)


def test_streams_of_samples_are_those_that_are_documented():
    """What the comparisons above rest on: the same seed and sample give the same changes."""
    one, two = (measuring.stream_of("test", 4, 2).random(3) for _ in range(2))
    np.testing.assert_array_equal(one, two)
    assert not np.array_equal(one, measuring.stream_of("test", 4, 3).random(3))
