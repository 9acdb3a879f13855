"""Class-activation maps are the formulas of their papers, in one calling convention."""

import inspect

import numpy as np
import pytest

import cnnfast
from cnnfast import explain, layers, ops
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
from cnnfast.explain.cam_method import principal
from cnnfast.explain.cam_perturbation import ablationcam, scorecam
from cnnfast.explain.maps import upsampled
from cnnfast.explain.probe import Probe
from tests.explain.networks import images, small_convnet, two_filters

X = np.arange(16.0, dtype=np.float32).reshape(1, 4, 4, 1)
# What the convolution of two_filters makes of X, and class 0's weights: five 1 and three -1, channels first.
A = np.array([[[0, 4], [31, 40]], [[0, 0], [6, 15]]]).transpose(1, 2, 0)
G = np.array([[[1, 1], [1, 1]], [[1, -1], [-1, -1]]]).transpose(1, 2, 0)
# With alpha = g^2 / (2 g^2 + sum(A) g^3 + 1e-6), where g > 0.
PLUS = np.array([4 / (2 + 75 + 1e-6), 1 / (2 + 21 + 1e-6)])

EVERY = [gradcam, gradcam_plus_plus, hirescam, xgradcam, layercam, elementwise_cam, cam, eigen_gradcam, eigencam,
         scorecam, ablationcam]  # fmt: skip


def raw(method, model, x, *args, **options):
    return method(model, x, *args, **({"normalize": False, "upsample": False, "relu": False} | options))


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        (gradcam, A @ [1, -0.5]),
        (gradcam_plus_plus, A @ PLUS),
        (hirescam, (G * A).sum(-1)),
        (xgradcam, A @ [1, -21 / (21 + 1e-7)]),
        (layercam, (np.maximum(G, 0) * A).sum(-1)),
        (elementwise_cam, np.maximum(G * A, 0).sum(-1)),
        # The score is 75 - 21 = 54, without the first map -21 and without the second 75.
        (ablationcam, A @ [75 / 54, -21 / 54]),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_maps_of_a_known_network_are_exact(method, expected):
    # One rounding to float32 at the end; what comes before is done in float64.
    np.testing.assert_allclose(raw(method, two_filters(), X, 0, layer="relu")[0], expected, rtol=2**-24)


def test_scorecam_of_a_known_network_is_exact():
    masks = A / A.max((0, 1))
    model = two_filters()
    seen = np.stack([X[0] * _enlarged(masks[..., k])[..., None] for k in (0, 1)])
    scores = model.predict(seen, verbose=0)[:, 0].astype(np.float64)
    assert scores[0] != scores[1]
    weights = np.exp(scores - scores.max()) / np.exp(scores - scores.max()).sum()
    np.testing.assert_allclose(raw(scorecam, model, X, 0, layer="relu")[0], A @ weights, rtol=1e-6)


def _enlarged(mask):
    """2x2 to 4x4, bilinear between centres, scaled to [0, 1] again."""
    rows = np.array([[1, 0], [0.75, 0.25], [0.25, 0.75], [0, 1]])
    large = rows @ mask @ rows.T
    return ((large - large.min()) / (large.max() - large.min())).astype(np.float32)


def test_scorecam_weights_are_a_softmax_so_equal_scores_give_the_mean():
    model = small_convnet()
    layer = model.get_layer("scores")
    kernel, bias = layer.get_weights()
    layer.set_weights([np.zeros_like(kernel), bias])
    x = images(2)
    maps = cnnfast.Model(model.inputs[0], model.get_layer("relu2").output).predict(x, verbose=0)
    np.testing.assert_allclose(raw(scorecam, model, x, 1), maps.mean(-1), rtol=1e-6, atol=1e-7)


def test_eigencam_is_the_singular_vector_with_the_sign_of_the_activity():
    model, x = small_convnet(), images(3)
    maps = cnnfast.Model(model.inputs[0], model.get_layer("relu2").output).predict(x, verbose=0).astype(np.float64)
    for found, image in zip(raw(eigencam, model, x), maps, strict=True):
        rows = image.reshape(-1, image.shape[-1])
        centred = rows - rows.mean(0)
        expected = centred @ np.linalg.svd(centred)[2][0]
        expected *= np.sign(expected @ rows.sum(1))
        np.testing.assert_allclose(found.ravel(), expected, rtol=1e-5, atol=1e-6)


def test_eigencam_of_one_pattern_in_all_maps_is_that_pattern():
    x = cnnfast.Input((5, 4, 1))
    y = layers.Conv2D(3, 1, use_bias=False, name="copies")(x)
    model = cnnfast.Model(x, layers.Dense(2)(layers.GlobalAveragePooling2D()(y)))
    model.get_layer("copies").set_weights([np.array([1.0, 2.0, 2.0]).reshape(1, 1, 1, 3)])
    image = np.random.default_rng(0).normal(size=(1, 5, 4, 1)).astype(np.float32)
    # The copies 1, 2, 2 times: along the unit vector (1, 2, 2) / 3 the pattern has 3 times its length.
    expected = 3 * (image - image.mean())[..., 0]
    np.testing.assert_allclose(raw(eigencam, model, image), expected, rtol=1e-5, atol=1e-6)


def test_more_maps_than_positions_have_the_same_component():
    generator = np.random.default_rng(0)
    wide = generator.normal(size=(1, 2, 3, 20)).astype(np.float32)
    rows = wide.reshape(6, 20) - wide.reshape(6, 20).mean(0, dtype=np.float64)
    u, s, _ = np.linalg.svd(rows)
    found = principal(wide, np.ones((1, 20))).ravel()
    np.testing.assert_allclose(np.abs(found), np.abs(u[:, 0] * s[0]), rtol=1e-10)
    assert found @ rows.sum(1) > 0


def test_eigen_smooth_is_the_component_of_the_weighted_maps():
    model, x = small_convnet(), images(3)
    np.testing.assert_array_equal(raw(hirescam, model, x, 1, eigen_smooth=True), raw(eigen_gradcam, model, x, 1))
    assert not np.allclose(raw(hirescam, model, x, 1, eigen_smooth=True), raw(hirescam, model, x, 1))


def test_behind_the_mean_and_a_dense_layer_cam_hirescam_and_gradcam_agree():
    model, x = small_convnet(), images()
    expected = raw(gradcam, model, x, 1)
    np.testing.assert_allclose(raw(hirescam, model, x, 1), expected, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(raw(cam, model, x, 1), 6 * 5 * expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("method", [hirescam, xgradcam])
@pytest.mark.parametrize("top", ["GlobalAveragePooling2D", "Flatten"])
def test_the_map_sums_to_the_score_less_the_bias_before_a_linear_top(method, top):
    x = cnnfast.Input((7, 6, 2))
    y = layers.Conv2D(4, 3, activation="relu", name="maps")(x)
    model = cnnfast.Model(x, layers.Dense(3, bias_initializer="ones", name="scores")(getattr(layers, top)()(y)))
    image = np.random.default_rng(0).normal(size=(3, 7, 6, 2)).astype(np.float32)
    sums = raw(method, model, image, [0, 1, 2]).sum((1, 2), dtype=np.float64)
    scores = model.predict(image, verbose=0)[np.arange(3), [0, 1, 2]]
    np.testing.assert_allclose(sums, scores - 1, rtol=1e-4, atol=1e-5)


def test_ablationcam_divides_by_the_size_of_the_score():
    model = two_filters()  # class 1 scores -54, and -21 is less bad than -75
    np.testing.assert_allclose(
        raw(ablationcam, model, X, 1, layer="relu"), -raw(ablationcam, model, X, 0, layer="relu"), rtol=1e-6
    )


def test_ablation_runs_what_comes_after_the_layer_beside_what_does_not():
    x = cnnfast.Input((6, 6, 2))
    first = layers.Conv2D(3, 3, padding="same", activation="relu", name="first")(x)
    second = layers.Conv2D(3, 3, padding="same", activation="relu", name="second")(first)
    y = layers.Add(name="sum")([first, second])
    model = cnnfast.Model(x, layers.Dense(2)(layers.Flatten()(y)))
    image = np.random.default_rng(0).normal(size=(2, 6, 6, 2)).astype(np.float32)
    parts = cnnfast.Model(x, [first, second, model.outputs[0]])
    one, two, scores = parts.predict(image, verbose=0)
    kernel, bias = model.layers[-1].get_weights()
    drops = np.empty((2, 3))
    for k in range(3):
        without = two.copy()
        without[..., k] = 0
        drops[:, k] = scores[:, 0] - ((one + without).reshape(2, -1) @ kernel + bias)[:, 0]
    expected = np.einsum("npqk,nk->npq", two, drops / np.abs(scores[:, :1]))
    np.testing.assert_allclose(raw(ablationcam, model, image, 0, layer="second"), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("method", [scorecam, ablationcam])
def test_batches_and_other_samples_do_not_matter(method):
    model, x = small_convnet(), images(4)
    whole = raw(method, model, x, 1)
    np.testing.assert_allclose(raw(method, model, x, 1, batch_size=4), whole, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(raw(method, model, x[2:3], 1), whole[2:3], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("method", [scorecam, ablationcam])
def test_functions_of_the_scores_are_targets_without_gradients(method):
    model, x = small_convnet(), images(2)
    by_function = raw(method, model, x, lambda scores: ops.slice_axis(scores, 1, 1, 2))
    np.testing.assert_allclose(by_function, raw(method, model, x, 1), rtol=1e-6)


@pytest.mark.parametrize("method", [scorecam, ablationcam])
def test_functions_that_mix_the_samples_are_named(method):
    name = method.__name__
    with pytest.raises(ValueError, match=rf"{name}: a target that is a function must keep the samples apart: .* \(\)"):
        method(small_convnet(), images(2), lambda scores: scores.sum())


def test_no_more_samples_than_a_batch_run_at_once(monkeypatch):
    seen = []
    for name in ("scores", "scores_from"):
        plain = getattr(Probe, name)
        # The last argument is a list of inputs for both.
        monkeypatch.setattr(Probe, name, lambda self, *a, plain=plain: seen.append(len(a[-1][0])) or plain(self, *a))
    for method in (scorecam, ablationcam):
        method(small_convnet(), images(2), 1, batch_size=4)
    assert seen == [4, 2] * 4


@pytest.mark.parametrize("method", [m for m in EVERY if m is not cam], ids=lambda m: m.__name__)
def test_several_layers_are_scaled_and_averaged(method):
    model, x = small_convnet(), images(2)
    each = [raw(method, model, x, 1, layer=name, upsample=False, relu=True) for name in ("conv1", "relu2")]
    scaled = [(a - a.min((1, 2), keepdims=True)) / np.ptp(a, (1, 2), keepdims=True) for a in each]
    found = raw(method, model, x, 1, layer=["conv1", "relu2"], upsample=True, relu=True)
    expected = np.mean([upsampled(a, (12, 10)) for a in scaled], axis=0)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("method", EVERY, ids=lambda m: m.__name__)
def test_every_method_is_called_alike_and_says_so(method):
    parameters = list(inspect.signature(method).parameters)
    assert parameters[:6] == ["model", "x", "target", "layer", "normalize", "upsample"]
    assert {"relu", "aug_smooth", "output", "batch_size"} <= set(parameters[6:])
    assert method.__module__.startswith("cnnfast.explain.cam")
    for part in ("Args:", "Returns", "Source: ", "Example:", ">>> "):
        assert part in method.__doc__
    heat = method(small_convnet(), images(3), 1)
    assert heat.shape == (3, 12, 10) and heat.dtype == np.float32
    np.testing.assert_array_equal([heat.min((1, 2)), heat.max((1, 2))], [[0] * 3, [1] * 3])


@pytest.mark.parametrize("method", EVERY, ids=lambda m: m.__name__)
def test_smoothing_by_augmentation_is_the_mean_of_six_maps(method):
    model, x = small_convnet(), images(2)
    six = []
    for factor in (0.9, 1, 1.1):
        six.append(method(model, x * np.float32(factor), 1))
        six.append(method(model, np.ascontiguousarray(x[:, :, ::-1]) * np.float32(factor), 1)[:, :, ::-1])
    found = method(model, x, 1, aug_smooth=True)
    np.testing.assert_allclose(found, np.mean(six, axis=0), rtol=1e-4, atol=1e-5)


def test_smoothing_explains_the_class_of_the_image_itself():
    x = cnnfast.Input((4, 4, 1))
    y = layers.Conv2D(2, 1, name="maps", use_bias=False)(x)
    model = cnnfast.Model(x, layers.Dense(2, name="scores", use_bias=False)(layers.Flatten()(y)))
    # Class 0 likes the left half and class 1 the right one: the mirror image is of the other class.
    kernel = np.zeros((4, 4, 2, 2))
    kernel[:, :2, :, 0] = kernel[:, 2:, :, 1] = 1
    model.get_layer("maps").set_weights([np.ones((1, 1, 1, 2))])
    model.get_layer("scores").set_weights([kernel.reshape(32, 2)])
    image = np.zeros((1, 4, 4, 1), np.float32)
    image[:, :, :2] = 1
    assert model.predict(image, verbose=0).argmax() == 0
    # The mirror image has nothing for class 0, which is not worth a warning as long as the mean has.
    found = raw(hirescam, model, image, aug_smooth=True, relu=True)
    np.testing.assert_array_equal(found, raw(hirescam, model, image, 0, aug_smooth=True, relu=True))
    with pytest.warns(explain.ExplanationWarning, match="1 of 1 samples") as warned:
        raw(hirescam, model, 0 * image, aug_smooth=True, relu=True)
    assert len(warned) == 1
    assert found[0, :, :2].all()


def test_smoothing_needs_scores_without_positions():
    x = cnnfast.Input((6, 6, 2))
    y = layers.Conv2D(4, 3, padding="same", activation="relu", name="maps")(x)
    model = cnnfast.Model(x, layers.Conv2D(3, 1, name="classes")(y))
    image = np.random.default_rng(0).normal(size=(2, 6, 6, 2)).astype(np.float32)
    assert eigencam(model, image, layer="maps").shape == (2, 6, 6)
    for method in (scorecam, ablationcam, layercam):
        assert raw(method, model, image, explain.region(1, box=(0, 0, 0.5, 0.5)), layer="maps").any()
    with pytest.raises(ValueError, match=r"gradcam: aug_smooth needs .* scores \(N,K\), this one gives \(2, 6, 6, 3\)"):
        gradcam(model, image, explain.region(1), layer="maps", aug_smooth=True)


def test_cam_names_what_it_needs():
    model = small_convnet()
    with pytest.raises(ValueError, match=r"cam: the layer must be .* pooling, relu2, got 'conv1'"):
        cam(model, images(), 1, layer="conv1")
    with pytest.raises(ValueError, match="cam: a target that is a function"):
        cam(model, images(), lambda scores: scores)
    with pytest.raises(ValueError, match="cam: the model must end in GlobalAveragePooling2D and one Dense layer"):
        cam(two_filters(), X, 0)
    x, y = model.inputs[0], model.get_layer("mean").output
    deeper = cnnfast.Model(x, layers.Dense(2)(layers.Dense(4)(y)))
    with pytest.raises(ValueError, match="cam: the model must end in"):
        cam(deeper, images(), 0)


def test_cam_sees_through_reshapes_and_dropout_before_the_dense_layer():
    model = small_convnet()
    x, y = model.inputs[0], model.get_layer("relu2").output
    y = layers.Flatten()(layers.Dropout(0.5)(layers.GlobalAveragePooling2D(keepdims=True)(y)))
    other = cnnfast.Model(x, model.get_layer("scores")(y))
    np.testing.assert_allclose(raw(cam, other, images(), 1), raw(cam, model, images(), 1), rtol=1e-6)


def test_an_empty_list_of_layers_is_named():
    with pytest.raises(ValueError, match="layercam: layer is an empty list"):
        layercam(small_convnet(), images(), layer=[])


@pytest.mark.parametrize("method", EVERY, ids=lambda m: m.__name__)
def test_errors_name_the_method(method):
    with pytest.raises(ValueError, match=f"^{method.__name__}: no layer is named 'conv3'"):
        method(small_convnet(), images(), layer="conv3")


def test_the_warning_points_to_the_line_that_called():
    model = small_convnet()
    layer = model.get_layer("scores")
    layer.set_weights([-np.abs(w) for w in layer.get_weights()])
    with pytest.warns(explain.ExplanationWarning, match="layercam: nothing in the maps of 5 of 5") as caught:
        layercam(model, images(), 0)
    assert caught[0].filename == __file__
