"""Guided backprop and deconvnet change the gradient of every ReLU, wherever it stands, and of nothing else."""

import numpy as np
import pytest

import cnnfast
from cnnfast import explain, layers
from cnnfast.explain.backprop_rules import deconvnet, guided_backprop, guided_gradcam
from cnnfast.explain.gradient import saliency
from cnnfast.explain.maps import ExplanationWarning
from tests.explain.networks import images, small_convnet, two_filters

X = np.arange(16.0, dtype=np.float32).reshape(1, 4, 4, 1)


def boxes(counts):
    """What a 3x3 convolution of ones gives back for `counts` (2, 2) at its outputs."""
    found = np.zeros((4, 4))
    for (p, q), count in np.ndenumerate(np.asarray(counts)):
        found[p : p + 3, q : q + 3] += count
    return found


def chain(*activations, weights=(1.0, 2.0), signs=(1.0, -1.0)):
    """Scores: the sum of what elementwise weights and activations make of (N, 1, 1, 4), times `signs`.

    A convolution 1x1 with the weight on its diagonal stands before each activation, which is fused into it.
    """
    x = y = cnnfast.Input((1, 1, 4))
    convolutions = []
    for activation in activations:
        convolutions.append(layers.Conv2D(4, 1, use_bias=False, activation=activation))
        y = convolutions[-1](y)
    dense = layers.Dense(2, use_bias=False)
    model = cnnfast.Model(x, dense(layers.Flatten()(y)))
    for convolution, w in zip(convolutions, weights, strict=False):
        convolution.set_weights([w * np.eye(4).reshape(1, 1, 4, 4)])
    dense.set_weights([np.outer(np.ones(4), signs)])
    return model


def points(*values):
    return np.float32(values).reshape(1, 1, 1, -1)


def test_a_known_network_has_exact_values():
    # What comes back to filter 1 is 1 everywhere, to filter 2 it is 1 at the first position and -1 at the others;
    # filter 1 is closed at the first position, filter 2 at the first two.
    model = two_filters()
    np.testing.assert_array_equal(guided_backprop(model, X, 0)[0, ..., 0], boxes([[0, 1], [1, 1]]))
    np.testing.assert_array_equal(deconvnet(model, X, 0)[0, ..., 0], boxes([[2, 1], [1, 1]]))
    # With all signs turned, filter 2 alone passes anything.
    np.testing.assert_array_equal(guided_backprop(model, X, 1)[0, ..., 0], boxes([[0, 0], [1, 1]]))
    np.testing.assert_array_equal(deconvnet(model, X, 1)[0, ..., 0], boxes([[0, 1], [1, 1]]))


@pytest.mark.parametrize("activation", ["relu", layers.ReLU()])
def test_one_relu_passes_what_is_positive_where_it_is_open(activation):
    model, x = chain(activation, weights=[3.0]), points(-2, -1, 1, 2)
    np.testing.assert_array_equal(guided_backprop(model, x, 0).ravel(), [0, 0, 3, 3])
    np.testing.assert_array_equal(deconvnet(model, x, 0).ravel(), [3, 3, 3, 3])
    np.testing.assert_array_equal(saliency(model, x, 1, absolute=False).ravel(), [0, 0, -3, -3])
    assert not guided_backprop(model, x, 1).any()
    assert not deconvnet(model, x, 1).any()


@pytest.mark.parametrize("activation", ["relu6", layers.ReLU(6.0), layers.ReLU(max_value=5.0)])
def test_a_relu_with_a_limit_is_closed_above_it(activation):
    model, x = chain(activation, weights=[3.0]), points(-2, 1, 1.5, 4)
    np.testing.assert_array_equal(guided_backprop(model, x, 0).ravel(), [0, 3, 3, 0])
    assert not guided_backprop(model, x, 1).any()


def test_deconvnet_passes_relu6_everywhere():
    model, x = chain("relu6", weights=[3.0]), points(-2, 1, 1.5, 4)
    np.testing.assert_array_equal(deconvnet(model, x, 0).ravel(), [3, 3, 3, 3])


@pytest.mark.parametrize("activation", ["hard_sigmoid", "hard_silu", "leaky_relu", "tanh", "silu", "elu"])
def test_other_activations_keep_their_gradients(activation):
    x = points(-2, -1, 1, 2)
    for target in (0, 1):
        expected = saliency(chain(activation), x, target, absolute=False)
        assert expected.any()
        np.testing.assert_array_equal(guided_backprop(chain(activation), x, target), expected)
        np.testing.assert_array_equal(deconvnet(chain(activation), x, target), expected)


def test_negative_weights_between_two_relus_cut_the_way():
    # relu(-2 relu(x)) is 0: the second ReLU is closed. Deconvnet does not look, but gets -2 at the first ReLU.
    model, x = chain("relu", "relu", weights=(1.0, -2.0)), points(1, 2, 3, 4)
    assert not guided_backprop(model, x, 0).any() and not deconvnet(model, x, 0).any()
    # relu(relu(-2 x)) is open where x is negative: the sign is turned at the convolution below both ReLUs.
    model, x = chain("relu", "relu", weights=(-2.0, 1.0)), points(-1, -2, 3, 4)
    np.testing.assert_array_equal(guided_backprop(model, x, 0).ravel(), [-2, -2, 0, 0])
    np.testing.assert_array_equal(deconvnet(model, x, 0).ravel(), [-2, -2, -2, -2])


def test_a_relu_behind_a_rescaling_counts():
    model = cnnfast.Sequential(
        [cnnfast.Input((1, 1, 4)), layers.Rescaling(1.0, offset=-1.0), layers.ReLU(), layers.Flatten(), layers.Dense(2)]
    )
    model.layers[-1].set_weights([np.outer([1, -1, 1, -1], [1, -1]), np.zeros(2)])
    np.testing.assert_array_equal(guided_backprop(model, points(0, 0, 2, 2), 0).ravel(), [0, 0, 1, 0])


def oracle(model, x, target, *, guided):
    """float64, in NumPy, of `small_convnet`: convolutions, batch normalization and pooling written out."""
    (w1, b1), (gamma, beta, mean, variance) = (model.get_layer(n).get_weights() for n in ("conv1", "bn"))
    (w2,), (w3, _) = (model.get_layer(n).get_weights() for n in ("conv2", "scores"))
    factor = gamma / np.sqrt(variance.astype(float) + model.get_layer("bn").epsilon)
    z1 = convolved(x.astype(float), w1.astype(float)) + b1
    normed = (np.maximum(z1, 0) - mean) * factor + beta
    n, h, w, k = normed.shape
    blocks = normed.reshape(n, h // 2, 2, w // 2, 2, k)
    pooled = blocks.max((2, 4))
    z2 = convolved(pooled, w2.astype(float))
    d = np.broadcast_to(w3[:, target] / (z2.shape[1] * z2.shape[2]), z2.shape).astype(float)
    d = np.maximum(d, 0) * ((z2 > 0) if guided else 1)
    d = convolved(d, w2[::-1, ::-1].transpose(0, 1, 3, 2).astype(float))
    d = ((blocks == pooled[:, :, None, :, None]) * d[:, :, None, :, None]).reshape(normed.shape) * factor
    d = np.maximum(d, 0) * ((z1 > 0) if guided else 1)
    return convolved(d, w1[::-1, ::-1].transpose(0, 1, 3, 2).astype(float))


def convolved(x, w):
    """Convolution 3x3, stride 1, padding 1, of (N, H, W, C) and (3, 3, C, K)."""
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    h, width = x.shape[1:3]
    return sum(padded[:, r : r + h, s : s + width] @ w[r, s] for r in range(3) for s in range(3))


def clear_images(model):
    """Images in which no maximum of the pooling is tied at 0 by closed ReLUs: the biases of `conv1` are positive."""
    w, b = model.get_layer("conv1").get_weights()
    model.get_layer("conv1").set_weights([w, b + 4])
    return 0.7 * images()


@pytest.mark.parametrize(("method", "guided"), [(guided_backprop, True), (deconvnet, False)])
def test_a_network_with_normalization_and_pooling_is_that_of_the_definition(method, guided):
    model = small_convnet()
    x = clear_images(model)
    w, b = model.get_layer("scores").get_weights()
    model.get_layer("scores").set_weights([w - w.mean(), b])  # both signs
    expected = oracle(model, x, 1, guided=guided)
    assert np.abs(expected).max() > 0.01
    found = method(model, x, 1)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())
    assert not np.allclose(found, saliency(model, x, 1, absolute=False), atol=1e-3 * np.abs(expected).max())


@pytest.mark.parametrize("method", [guided_backprop, deconvnet])
def test_nested_models_give_what_the_flat_one_gives(method):
    flat = small_convnet()
    base = cnnfast.Model(flat.inputs[0], flat.get_layer("relu2").output, name="base")
    outer = cnnfast.Sequential([cnnfast.Input((12, 10, 3)), base], name="outer")
    nested = cnnfast.Sequential([cnnfast.Input((12, 10, 3)), outer, flat.get_layer("mean"), flat.get_layer("scores")])
    expected = method(flat, images(), 1)
    assert expected.any()
    np.testing.assert_array_equal(method(nested, images(), 1), expected)


@pytest.mark.parametrize("method", [guided_backprop, deconvnet])
def test_a_relu_layer_used_twice_counts_each_time(method):
    def model(first, second):
        x = cnnfast.Input((6, 6, 2))
        y = first(layers.Conv2D(4, 3, padding="same", name="a")(x))
        y = second(layers.Conv2D(4, 3, padding="same", name="b")(y))
        return cnnfast.Model(x, layers.Dense(2, name="c")(layers.Flatten()(y)))

    shared = layers.ReLU()
    twice, apart = model(shared, shared), model(layers.ReLU(), layers.ReLU())
    apart.set_weights(twice.get_weights())
    x = np.random.default_rng(0).normal(size=(2, 6, 6, 2)).astype(np.float32)
    expected = method(apart, x, 1)
    assert not np.allclose(expected, saliency(apart, x, 1, absolute=False))
    np.testing.assert_array_equal(method(twice, x, 1), expected)


def test_nothing_of_the_rules_stays_with_the_model():
    model, x = small_convnet(), images()
    before, heat = saliency(model, x, 1), explain.gradcam(model, x, 1)
    for method in (guided_backprop, deconvnet, guided_gradcam):
        method(model, x, 1)
    np.testing.assert_array_equal(saliency(model, x, 1), before)
    np.testing.assert_array_equal(explain.gradcam(model, x, 1), heat)
    assert not np.allclose(guided_backprop(model, x, 1), deconvnet(model, x, 1))


def test_guided_gradcam_of_a_known_network():
    model = two_filters()
    # A map as large as the image would be needed to read it off: 2x2 maps are stretched by the weights 1, 3/4, 1/4, 0.
    stretch = np.array([[1, 0], [0.75, 0.25], [0.25, 0.75], [0, 1]])
    heat = stretch @ np.array([[0, 4], [31 - 0.5 * 6, 40 - 0.5 * 15]]) @ stretch.T
    expected = heat * boxes([[0, 1], [1, 1]])
    np.testing.assert_allclose(guided_gradcam(model, X, 0, layer="relu")[0, ..., 0], expected, rtol=1e-6)


def test_guided_gradcam_warns_of_an_empty_map_and_errs_in_its_own_name():
    x = cnnfast.Input((4, 4, 1))
    y = layers.ReLU(name="relu")(layers.Conv2D(1, 3, kernel_initializer="ones")(x))
    model = cnnfast.Model(x, layers.Dense(2)(layers.GlobalAveragePooling2D()(y)))
    model.layers[-1].set_weights([np.array([[-1.0, -2.0]]), np.zeros(2)])
    with pytest.warns(ExplanationWarning, match="guided_gradcam"):
        guided_gradcam(model, X, 0, layer="relu")
    with pytest.raises(ValueError, match="guided_gradcam"):
        guided_gradcam(model, X, 0, layer="nothing")


def test_guided_gradcam_is_the_product():
    model, x = small_convnet(), images()
    guided = guided_backprop(model, x, 2)
    for layer in ("auto", "conv1", ("pool", 0)):
        heat = explain.gradcam(model, x, 2, layer, normalize=False)
        found = guided_gradcam(model, x, 2, layer)
        np.testing.assert_allclose(found, guided * heat[..., None], rtol=1e-6)
        np.testing.assert_array_equal(guided_gradcam(model, x, 2, layer, channels="max"), found.max(-1))
    np.testing.assert_array_equal(
        guided_gradcam(model, x), guided_gradcam(model, x, model.predict(x, verbose=0).argmax(1))
    )


def test_bad_arguments_are_named():
    model, x = small_convnet(), images()
    with pytest.raises(ValueError, match="no layer is named 'conv9'"):
        guided_gradcam(model, x, layer="conv9")
    with pytest.raises(ValueError, match="layer 'scores' has the output"):
        guided_gradcam(model, x, layer="scores")
    with pytest.raises(ValueError, match=r"guided_gradcam: expected images \(N,H,W,C\)"):
        guided_gradcam(model, [x])
    for method in (guided_backprop, deconvnet, guided_gradcam):
        with pytest.raises(ValueError, match=f"{method.__name__}: channels must be one of"):
            method(model, x, 1, channels="all")
        with pytest.raises(ValueError, match="target 7 is out of range"):
            method(model, x, 7)
