"""FullGrad's terms are what the score is made of, and its maps are the paper's sum of them."""

import numpy as np
import pytest

import cnnfast
from cnnfast import explain, layers
from cnnfast.explain.fullgrad import full_gradients, fullgrad
from cnnfast.explain.probe import Probe
from tests.explain.networks import images, small_convnet

RNG = np.random.default_rng


def terms_of(model, x, target=1, **options):
    """All terms of all images, and the scores they shall sum to."""
    probe = Probe(model, x, op="fullgrad", **options)
    batches = [list(terms) for terms in full_gradients(probe, target, probe.xs)]
    return [np.concatenate(parts) for parts in zip(*batches, strict=True)], probe.scores()[:, 1]


def assert_complete(model, x):
    terms, scores = terms_of(model, x, batch_size=2)
    sums = sum(t.reshape(len(t), -1).sum(1, dtype=np.float64) for t in terms)
    sizes = sum(np.abs(t).reshape(len(t), -1).sum(1, dtype=np.float64) for t in terms)
    # Each term is right to some roundings of float32; what cancels leaves them.
    np.testing.assert_array_less(np.abs(sums - scores), 1e-5 * sizes)
    return terms


def with_weights(model, seed=0):
    """Moments and biases that are not 0 or 1."""
    generator = RNG(seed)
    for layer in model.layers:
        layer.set_weights([w + 0.3 * np.abs(generator.normal(size=w.shape)) for w in layer.get_weights()])
    return model


def test_one_convolution_has_the_known_map():
    model = cnnfast.Sequential(
        [
            cnnfast.Input((2, 3, 1)),
            layers.Conv2D(2, 1, activation="relu", name="conv"),
            layers.Flatten(),
            layers.Dense(1, use_bias=False, name="score"),
        ]
    )
    model.get_layer("conv").set_weights([np.array([1.0, -1.0]).reshape(1, 1, 1, 2), np.array([0.5, 2.0])])
    model.get_layer("score").set_weights([np.ones((12, 1))])
    x = np.array([[1, 2, 3], [4, -1, 0]], np.float32).reshape(1, 2, 3, 1)
    # relu(x + 1/2) + relu(2 - x): the first is there unless x < -1/2, the second where x < 2.
    one, two = np.array([[1, 1, 1], [1, 0, 1]]), np.array([[1, 0, 0], [0, 1, 1]])
    by_input = np.abs(x[0, ..., 0] * (one - two))  # 0 2 3 / 4 1 0
    # The biases 1/2 and 2 are scaled away.
    np.testing.assert_allclose(fullgrad(model, x, 1, normalize=False)[0], by_input / 4 + one + two, rtol=1e-6)


@pytest.mark.parametrize("activation", ["elu", "silu", "sigmoid", "relu6", "mish"])
def test_what_a_curved_activation_reads_may_be_read_by_others_too(activation):
    x = cnnfast.Input((12, 10, 3))
    y = layers.Conv2D(4, 3)(x)
    y = layers.Add()([y, layers.Activation(activation)(y)])
    model = with_weights(cnnfast.Model(x, layers.Dense(3)(layers.Flatten()(y))))
    assert_complete(model, images(2))


def test_terms_of_a_network_with_batch_normalization_sum_to_its_score():
    terms = assert_complete(small_convnet(), images())
    # Input, first bias, normalization and the dense layer's bias; conv2 has none.
    assert [t.shape[1:] for t in terms] == [(12, 10, 3), (12, 10, 8), (12, 10, 8), (3,)]


@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "gelu", "silu", "elu", "softplus", "relu6", "leaky_relu"])
def test_curved_activations_add_what_their_tangents_lack(activation):
    x = cnnfast.Input((6, 5, 2))
    y = layers.Conv2D(4, 3, padding="same", activation=activation)(x)
    y = layers.AveragePooling2D(2)(layers.BatchNormalization()(y))
    y = layers.Conv2D(4, 2, activation=activation)(y)
    model = cnnfast.Model(x, layers.Dense(3, activation="softmax")(layers.Flatten()(y)))
    assert_complete(with_weights(model), RNG(1).normal(size=(3, 6, 5, 2)).astype(np.float32))


def test_sums_products_shifts_and_transposed_convolutions_are_complete():
    x = cnnfast.Input((6, 6, 2))
    y = layers.Rescaling(0.5, offset=-0.3)(x)
    first = layers.Conv2D(4, 3, padding="same", activation="relu")(y)
    y = layers.DepthwiseConv2D(3, padding="same")(layers.BatchNormalization(center=False, scale=False)(first))
    y = layers.Add()([y, first])
    gate = layers.Dense(4, activation="sigmoid")(layers.GlobalAveragePooling2D(keepdims=True)(y))
    y = layers.Multiply()([y, gate])
    y = layers.Subtract()([layers.Conv2DTranspose(3, 2, strides=2)(y), layers.UpSampling2D(2)(layers.Conv2D(3, 1)(y))])
    y = layers.Concatenate()([layers.MaxPooling2D(2)(y), first])
    model = cnnfast.Model(x, layers.Dense(3)(layers.Flatten()(y)))
    assert_complete(with_weights(model), RNG(1).normal(size=(3, 6, 6, 2)).astype(np.float32))


def test_maps_have_the_size_of_the_image_and_lie_in_0_to_1():
    heat = fullgrad(small_convnet(), images(3), 1)
    assert heat.shape == (3, 12, 10) and heat.dtype == np.float32
    np.testing.assert_array_equal([heat.min((1, 2)), heat.max((1, 2))], [[0] * 3, [1] * 3])


def test_batches_threads_and_other_samples_do_not_matter():
    model, x = small_convnet(), images(5)
    whole = fullgrad(model, x, 1)
    np.testing.assert_allclose(fullgrad(model, x, 1, batch_size=2), whole, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(fullgrad(model, x[3:4], 1), whole[3:4], rtol=1e-4, atol=1e-6)
    threads = cnnfast.get_threads()
    try:
        cnnfast.set_threads(1)
        one = fullgrad(model, x, 1)
        cnnfast.set_threads(3)
        np.testing.assert_array_equal(fullgrad(model, x, 1), one)
    finally:
        cnnfast.set_threads(threads)


def test_smoothing_by_augmentation_is_the_mean_of_six_maps():
    model, x = small_convnet(), images(2)
    six = []
    for factor in (0.9, 1, 1.1):
        six.append(fullgrad(model, x * np.float32(factor), 1))
        six.append(fullgrad(model, np.ascontiguousarray(x[:, :, ::-1]) * np.float32(factor), 1)[:, :, ::-1])
    np.testing.assert_allclose(fullgrad(model, x, 1, aug_smooth=True), np.mean(six, axis=0), rtol=1e-4, atol=1e-5)


def test_scores_with_positions_can_be_explained_by_region():
    x = cnnfast.Input((6, 6, 2))
    y = layers.Conv2D(4, 3, padding="same", activation="relu", name="maps")(x)
    model = cnnfast.Model(x, layers.Conv2D(3, 1, name="classes")(y))
    image = RNG(0).normal(size=(2, 6, 6, 2)).astype(np.float32)
    heat = fullgrad(model, image, explain.region(1, box=(0, 0, 0.5, 0.5)))
    # A 3x3 convolution sees one pixel beyond the 3x3 quarter.
    assert heat[:, :4, :4].any() and not heat[:, 4:].any() and not heat[:, :, 4:].any()


def test_errors_name_the_method():
    with pytest.raises(ValueError, match="fullgrad: target 3 is out of range"):
        fullgrad(small_convnet(), images(), 3)
