"""Gradient ascent finds the maximisers that are known, with exact gradients, and the same ones again."""

import numpy as np
import pytest
from PIL import Image

import cnnfast
from cnnfast import explain, layers
from cnnfast.explain.maximization import Ascent, maximize_activation, save_gif
from cnnfast.explain.parametrization import Fourier, Pixels
from cnnfast.explain.priors import Norm, TotalVariation, Views
from cnnfast.graph.program import Program
from tests.explain.networks import small_convnet

STILL = {"jitter": 0, "rotate": 0, "scale": 0}


def linear(weights):
    """Scores <w_k, x> - 1 before a ReLU, of (H, W, C, K) weights."""
    h, w, c, k = weights.shape
    model = cnnfast.Sequential(
        [cnnfast.Input((h, w, c)), layers.Conv2D(k, (h, w), activation="relu", name="conv"), layers.Flatten()]
    )
    model.get_layer("conv").set_weights([weights, -np.ones(k)])
    return model


def weights(seed=0, shape=(6, 5, 3, 2)):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("bounds", [(0, 255), (-1, 1), ([-2, 0, 1], [3, 1, 4])])
def test_the_maximiser_of_a_linear_score_is_black_and_white_exactly(bounds):
    w = weights()
    record = Ascent(every=0)
    found = maximize_activation(
        linear(w), "conv", [1, 0], steps=40, input_range=bounds, parametrization="pixels", record=record, **STILL
    )
    low, high = (np.broadcast_to(np.float32(b), (6, 5, 3)) for b in bounds)
    expected = np.stack([np.where(w[..., k] > 0, high, low) for k in (1, 0)])
    np.testing.assert_array_equal(found, expected)
    best = (w[..., [1, 0]].astype(np.float64) * np.moveaxis(expected, 0, -1)).sum((0, 1, 2)) - 1
    np.testing.assert_allclose(record.activations[-1], best, rtol=1e-5)


def test_the_maximiser_of_a_matched_filter_is_the_filter():
    w = weights()
    # The maximum of <w, d> - 127.5 mean((d / 127.5)^2) over d = z - 127.5 is at d = 127.5 H W C w / 2.
    scale = np.float32(0.5 / 90 / np.abs(w).max())
    found = maximize_activation(
        linear(w * scale), "conv", 0, steps=300, parametrization="pixels",
        penalties=[Norm(1.0, p=2)], **STILL,
    )  # fmt: skip
    expected = 127.5 + 127.5 * 90 / 2 * w[..., 0] * scale
    assert np.ptp(expected) > 50
    np.testing.assert_allclose(found[0], expected, atol=1e-4)  # a few roundings of numbers up to 255


@pytest.mark.parametrize("parametrization", ["fourier", "pixels"])
@pytest.mark.parametrize("layer", ["conv2", "relu2", "bn"])
def test_activation_rises_and_is_that_of_the_model(parametrization, layer):
    model, record = small_convnet(), Ascent(every=10)
    found = maximize_activation(
        model, layer, 2, count=2, steps=30, input_range=(-1, 1), parametrization=parametrization, record=record,
        jitter=1, rotate=3, scale=0.05,
    )  # fmt: skip
    assert record.activations.shape == (31, 2)
    assert (record.activations[-1] > record.activations[0] + 0.1).all()
    assert found.min() >= -1 and found.max() <= 1 and not np.array_equal(*record.frames[0])
    cut = cnnfast.Model(model.inputs[0], model.get_layer({"relu2": "conv2"}.get(layer, layer)).output)
    np.testing.assert_allclose(record.activations[-1], cut.predict(found, verbose=0)[..., 2].mean((1, 2)), rtol=1e-5)
    assert len(record.frames) == 4 and record.frames[0].shape == (2, 12, 10, 3)
    np.testing.assert_allclose(record.frames[-1], (found + 1) * 127.5, atol=0.501)


def test_a_class_is_raised_before_its_softmax():
    model, record = small_convnet(), Ascent()
    model.class_names = ["a", "b", "c"]
    found = maximize_activation(model, target=["a", "c"], steps=30, input_range=(-1, 1), record=record)
    logits = cnnfast.Model(model.inputs[0], model.get_layer("mean").output).predict(found, verbose=0)
    w, b = model.get_layer("scores").get_weights()
    np.testing.assert_allclose(record.activations[-1], (logits @ w + b)[[0, 1], [0, 2]], rtol=1e-5)
    assert (record.activations[-1] > record.activations[0] + 0.1).all()
    difference = explain.weighted([1, -1, 0])
    maximize_activation(model, target=difference, steps=30, input_range=(-1, 1), record=record)
    assert record.activations[-1, 0] > record.activations[0, 0] + 0.1


def test_neurons_of_dense_layers_are_channels():
    model = cnnfast.Sequential(
        [cnnfast.Input((3, 3, 1)), layers.Flatten(), layers.Dense(4, activation="relu", name="dense")]
    )
    w, _ = model.get_layer("dense").get_weights()
    found = maximize_activation(model, "dense", [3, 1], steps=40, parametrization="pixels", **STILL)
    np.testing.assert_array_equal(found.reshape(2, 9) > 127, w[:, [3, 1]].T > 0)
    np.testing.assert_array_equal(np.unique(found), [0, 255])


def test_a_unit_changes_only_what_it_sees():
    model, start = small_convnet(), np.zeros((1, 12, 10, 3), np.float32)
    found = maximize_activation(
        model, "conv1", 0, (4, 5), start=start, steps=20, input_range=(-1, 1), parametrization="pixels", **STILL
    )
    seen = np.zeros((12, 10), bool)
    seen[3:6, 4:7] = True
    np.testing.assert_array_equal((found[0] != 0).all(2), seen)
    kernel = model.get_layer("conv1").get_weights()[0][..., 0]
    np.testing.assert_array_equal(found[0, 3:6, 4:7], np.sign(kernel))


def test_one_program_serves_all_steps(monkeypatch):
    model, built = small_convnet(), []
    make = Program.__init__
    monkeypatch.setattr(Program, "__init__", lambda self, *a, **k: built.append(1) or make(self, *a, **k))
    maximize_activation(model, "conv1", 0, steps=10)
    maximize_activation(model, "conv1", 5, steps=10, seed=3)
    assert len(built) == 1


def test_the_same_seed_gives_the_same_bits_and_images_do_not_depend_on_each_other():
    model, options = small_convnet(), {"steps": 15, "input_range": (-1, 1), "jitter": 2}
    one = maximize_activation(model, "conv2", 1, count=3, seed=4, **options)
    threads = cnnfast.get_threads()
    try:
        cnnfast.set_threads(1)
        np.testing.assert_array_equal(maximize_activation(model, "conv2", 1, count=3, seed=4, **options), one)
    finally:
        cnnfast.set_threads(threads)
    assert not np.array_equal(maximize_activation(model, "conv2", 1, count=3, seed=5, **options), one)
    for count in (1, 2):
        fewer = maximize_activation(model, "conv2", 1, count=count, seed=4, **options)
        np.testing.assert_allclose(fewer, one[:count], atol=1e-2)


def test_an_image_that_nothing_moves_is_reported():
    model = small_convnet()
    w, b = model.get_layer("conv1").get_weights()
    model.get_layer("conv1").set_weights([w, b - 1e4])
    with pytest.warns(explain.ExplanationWarning, match=r"the score of 2 of 2 images \(0, 1\) did not depend on them"):
        found = maximize_activation(model, "conv2", [0, 1], steps=3, input_range=(-1, 1))
    assert np.isfinite(found).all()
    # Its own ReLU does not silence a layer.
    assert np.ptp(maximize_activation(model, "conv1", 0, steps=3, input_range=(-1, 1))) > 0.1


@pytest.mark.parametrize(
    "penalty",
    [TotalVariation(2.0), Norm(0.7, p=1), Norm(3.0, p=2, center=0), Norm(1.3, p=6)],
    ids=["tv", "p1", "p2", "p6"],
)
def test_gradients_of_penalties_are_central_differences(penalty):
    z = np.random.default_rng(0).permutation(np.linspace(1, 254, 2 * 4 * 3 * 2)).reshape(2, 4, 3, 2)  # no ties
    h = 1e-4
    slopes = np.zeros_like(z)
    for i in np.ndindex(z.shape):
        there, back = z.copy(), z.copy()
        there[i] += h
        back[i] -= h
        slopes[i] = (penalty.value(there) - penalty.value(back))[i[0]] / (2 * h)
    # Rounding of values up to 400 over the step.
    np.testing.assert_allclose(penalty.gradient(z), slopes, rtol=1e-6, atol=1e-8)


def test_values_of_penalties_are_those_of_the_formulas():
    z = np.array([[0.0, 10], [40, 255]]).reshape(1, 2, 2, 1)
    np.testing.assert_allclose(TotalVariation(2.0).value(z), [2 * (10 + 215 + 40 + 245) / 4])
    np.testing.assert_allclose(Norm(2.0, p=1).value(z), [2 * (127.5 + 117.5 + 87.5 + 127.5) / 4])
    np.testing.assert_allclose(Norm(2.0, p=1, center=0).value(z), [2 * (10 + 40 + 255) / 4])


@pytest.mark.parametrize(("jitter", "rotate", "scale"), [(0, 0, 0), (3, 0, 0), (0, 20, 0), (2, 10, 0.3)])
def test_views_are_pulled_back_by_their_exact_transpose(jitter, rotate, scale):
    shape = (3, 7, 6, 2)
    generator = np.random.default_rng(0)
    z, g = (generator.normal(size=shape).astype(np.float32) for _ in range(2))
    views = Views(shape, jitter, rotate, scale, seed=1, step=5)
    seen, back = views.apply(z), views.pull_back(g)
    # Sums of 252 products, each of five roundings.
    for i in range(3):
        forward, backward = ((a[i].astype(np.float64) * b[i]).sum() for a, b in ((seen, g), (z, back)))
        assert abs(forward - backward) < 1e-5
    np.testing.assert_allclose(views.apply(np.ones(shape, np.float32)), 1, rtol=1e-6)
    if not rotate and not scale:
        for image, moved in zip(z, seen, strict=True):
            assert any(
                np.array_equal(np.roll(image, (i, j), (0, 1)), moved)
                for i in range(-jitter, jitter + 1)
                for j in range(-jitter, jitter + 1)
            )


def test_a_turned_view_reads_between_the_pixels():
    y, x = np.mgrid[:9, :9].astype(np.float32) - 4
    ramp = np.stack([y, x], axis=2)[None]
    views = Views((1, 9, 9, 2), 0, 30, 0.2, seed=0, step=1)
    middle = views.apply(ramp)[0, 2:7, 2:7]  # whose corners stay within the ramp
    # Of ramps, bilinear interpolation gives the positions themselves: a turn times a factor.
    across = middle[:, 1:] - middle[:, :-1]
    np.testing.assert_allclose(across, np.broadcast_to(across[0, 0], across.shape), atol=1e-5)
    along = middle[1:] - middle[:-1]
    np.testing.assert_allclose(along[..., 0], across[0, 0, 1], atol=1e-5)
    np.testing.assert_allclose(along[..., 1], -across[0, 0, 0], atol=1e-5)
    assert abs(across[0, 0, 0]) > 0.01 and 1 / 1.2 <= np.hypot(*across[0, 0]) <= 1.2


@pytest.mark.parametrize("shape", [(2, 4, 6, 3), (1, 5, 7, 3), (1, 4, 5, 1)])
def test_gradients_by_a_spectrum_are_central_differences(shape):
    how = Fourier(shape)
    generator = np.random.default_rng(0)
    parameters = generator.normal(size=how.noise(0).shape)
    g = generator.normal(size=shape)
    h = 1e-3
    found = how.pull_back(g, how.images(parameters))
    slopes = np.zeros_like(parameters)
    for i in np.ndindex(parameters.shape):
        there, back = parameters.copy(), parameters.copy()
        there[i] += h
        back[i] -= h
        difference = how.images(there).astype(np.float64) - how.images(back)
        slopes[i] = (g * difference).sum() / (2 * h)
    # Images are float32: rounding of up to 1.5e-5 in each pixel over the step.
    np.testing.assert_allclose(found, slopes, rtol=1e-3, atol=1.5e-5 / h * np.sqrt(g.size))


@pytest.mark.parametrize("shape", [(2, 4, 6, 3), (1, 5, 7, 3), (1, 4, 5, 2)])
def test_images_are_described_by_a_spectrum_and_back(shape):
    z = np.random.default_rng(0).uniform(5, 250, shape).astype(np.float32)
    for how in (Fourier(shape), Fourier(shape, decorrelate=False), Pixels(shape)):
        np.testing.assert_allclose(how.images(how.describe(z)), z, atol=1e-2)


def test_a_start_is_where_the_ascent_begins():
    start = np.random.default_rng(0).uniform(-0.9, 0.9, (2, 12, 10, 3)).astype(np.float32)
    record = Ascent(every=1)
    maximize_activation(small_convnet(), "conv2", 0, start=start, steps=1, input_range=(-1, 1), record=record)
    np.testing.assert_allclose(record.frames[0], (start + 1) * 127.5, atol=0.51)


def test_images_for_models_of_any_size_and_frames_of_turned_channels():
    model = cnnfast.Sequential([cnnfast.Input((None, None, 3)), layers.Conv2D(1, 1, use_bias=False, name="blue")])
    model.get_layer("blue").set_weights([np.array([1.0, 0, -1]).reshape(1, 1, 3, 1)])  # of blue, green, red
    record = Ascent()
    found = maximize_activation(
        model, "blue", 0, size=(8, 9), steps=40, input_range="caffe", parametrization="pixels", record=record, **STILL
    )
    assert found.shape == (1, 8, 9, 3)
    np.testing.assert_allclose(found[..., 0], 255 - 103.939, rtol=1e-6)
    np.testing.assert_allclose(found[..., 2], -123.68, rtol=1e-6)
    np.testing.assert_array_equal(record.frames[-1][0, ..., [0, 2]], [np.zeros((8, 9)), np.full((8, 9), 255)])


def test_a_gif_holds_the_frames_and_is_whole_or_not_there(tmp_path):
    path = tmp_path / "a.gif"
    frames = [np.full((2, 4, 5, 3), 60 * i, np.uint8) for i in range(4)]
    save_gif(frames, path, seconds=0.05)
    with Image.open(path) as gif:
        assert gif.n_frames == 4 and gif.size == (10, 4) and gif.info["loop"] == 0
        for i in range(4):
            gif.seek(i)
            assert gif.info["duration"] == (50 if i < 3 else 500)
            np.testing.assert_array_equal(np.asarray(gif.convert("RGB")), np.full((4, 10, 3), 60 * i))
    before = path.read_bytes()
    for wrong in ([], [frames[0], frames[0][:1]], [frames[0].astype(float)], [frames[0][..., :2]]):
        with pytest.raises(ValueError, match="save_gif"):
            save_gif(wrong, path)
    with pytest.raises(ValueError, match="seconds must be from"):
        save_gif(frames, path, seconds=0)
    assert path.read_bytes() == before and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "expected a layer and its channel, or a target"),
        ({"layer": "conv2"}, "expected a layer and its channel, or a target"),
        ({"layer": "conv2", "channel": 1, "target": 1}, "expected a layer and its channel, or a target"),
        ({"channel": 1}, "channel 1 needs a layer"),
        ({"target": 1, "unit": (0, 0)}, "needs a layer and its channel"),
        ({"layer": "conv3", "channel": 1}, "no layer is named 'conv3'; did you mean"),
        ({"layer": "conv2", "channel": 6}, "channel 6 is out of range, the layer has the channels 0 to 5"),
        ({"layer": "conv2", "channel": -1}, "channel must be at least 0"),
        ({"layer": "conv2", "channel": 1, "unit": (6, 0)}, r"unit \(6, 0\) is no position .* \(1, 6, 5, 6\)"),
        ({"layer": "mean", "channel": 1, "unit": (0, 0)}, "is no position of the layer's output"),
        ({"target": 3}, "target 3 is out of range"),
        ({"target": [1, 2], "count": 3}, r"number of images must be one from 1, got \{'target': 2, 'count': 3\}"),
        ({"target": 1, "steps": 0}, "steps must be at least 1"),
        ({"target": 1, "size": (5, 5)}, "expects shape"),
        ({"target": 1, "input_range": (1, 0)}, "must rise from black to white"),
        ({"target": 1, "input_range": "rgb"}, "mode must be one of caffe"),
        ({"target": 1, "input_range": ([0, 0], 1)}, "input_range must be a mode or"),
        ({"target": 1, "parametrization": "wavelets"}, "must be 'fourier' or 'pixels', got 'wavelets'"),
        ({"target": 1, "jitter": -1}, "jitter must be at least 0"),
        ({"target": 1, "seed": -1}, "maximize_activation: seed must lie in 0 to"),
        ({"target": 1, "rotate": np.inf}, "rotate must be a finite number from 0"),
        ({"target": 1, "learning_rate": 0}, "learning_rate must be a number above 0"),
        ({"target": 1, "start": np.full((1, 12, 10, 3), np.nan)}, "start has values that are not finite"),
        ({"target": 1, "start": np.zeros((12, 10, 3))}, "start must be images"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        maximize_activation(small_convnet(), **arguments)


def test_a_single_penalty_needs_no_list():
    model, penalty = small_convnet(), TotalVariation(10.0)
    alone, listed = (
        maximize_activation(model, target=1, steps=3, penalties=penalties) for penalties in (penalty, [penalty])
    )
    np.testing.assert_array_equal(alone, listed)
    assert not np.array_equal(alone, maximize_activation(model, target=1, steps=3))


@pytest.mark.parametrize("seed", [None, 1.5, "a", True])
def test_a_seed_is_a_whole_number(seed):
    with pytest.raises(TypeError, match="maximize_activation: seed must be a whole number"):
        maximize_activation(small_convnet(), target=1, seed=seed)


def test_bad_penalties_and_types_are_named():
    for penalties in (0.5, "smooth", [TotalVariation(), "smooth"]):
        with pytest.raises(TypeError, match="penalties must be a Penalty, as TotalVariation, or a list of them"):
            maximize_activation(small_convnet(), target=1, penalties=penalties)
    with pytest.raises(ValueError, match="TotalVariation: weight must be"):
        TotalVariation(-1)
    with pytest.raises(ValueError, match="Norm: p must be at least 1, got 0"):
        Norm(1, p=0)
    with pytest.raises(TypeError, match="model must be a cnnfast model, got str"):
        maximize_activation("model", target=1)
    with pytest.raises(TypeError, match="got a function"):
        maximize_activation(small_convnet(), target=lambda s: s)
