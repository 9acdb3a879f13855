"""Pooling, batch normalization and losses against PyTorch and Keras, op by op."""

from __future__ import annotations

import inspect
import os

import numpy as np
import pytest

import cnnfast
from cnnfast import ops

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch")


@pytest.fixture(scope="module")
def keras():
    return pytest.importorskip("keras")


def _torch_images(torch, x):
    return torch.from_numpy(x).permute(0, 3, 1, 2).requires_grad_()


@pytest.mark.parametrize(("size", "strides", "padding"), [(2, 2, 0), (3, 2, 1), (3, 1, 1), (2, 3, 0)])
@pytest.mark.parametrize("kind", ["max", "average"])
def test_pooling_and_its_gradient_agree_with_torch(rng, torch, kind, size, strides, padding):
    x = rng.standard_normal((3, 11, 10, 13)).astype(np.float32)
    options = {"strides": strides, "padding": padding}
    ours = _torch_images(torch, x)
    if kind == "max":
        theirs = torch.nn.functional.max_pool2d(ours, size, strides, padding)
        y, argmax = ops.max_pool2d_argmax(x, size, **options)
    else:
        theirs = torch.nn.functional.avg_pool2d(ours, size, strides, padding, count_include_pad=False)
        y = ops.average_pool2d(x, size, **options)
    dy = rng.standard_normal(y.shape).astype(np.float32)
    theirs.backward(torch.from_numpy(dy).permute(0, 3, 1, 2))
    if kind == "max":
        dx = ops.max_pool2d_backward(dy, argmax, (11, 10), size, **options)
    else:
        dx = ops.average_pool2d_backward(dy, (11, 10), size, **options)
    np.testing.assert_allclose(y, theirs.detach().permute(0, 2, 3, 1).numpy(), atol=1e-6)
    np.testing.assert_allclose(dx, ours.grad.permute(0, 2, 3, 1).numpy(), atol=2e-6)


@pytest.mark.parametrize("size", [2, 3, (2, 3)])
@pytest.mark.parametrize("strides", [None, 1, 2])
def test_same_pooling_agrees_with_keras(rng, keras, size, strides):
    x = rng.standard_normal((2, 9, 8, 5)).astype(np.float32)
    for ours, layer in (
        (ops.max_pool2d, keras.layers.MaxPooling2D),
        (ops.average_pool2d, keras.layers.AveragePooling2D),
    ):
        theirs = keras.ops.convert_to_numpy(layer(size, strides, padding="same")(x))
        np.testing.assert_allclose(ours(x, size, strides=strides, padding="same"), theirs, atol=1e-6)


def test_batch_norm_and_its_moving_averages_agree_with_keras(rng, keras):
    layer = keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-2)
    x = (3 + 2 * rng.standard_normal((4, 5, 6, 7))).astype(np.float32)
    layer.build(x.shape)
    layer.set_weights([rng.random(7) for _ in range(4)])
    gamma, beta, *moving = (np.array(w, dtype=np.float32) for w in layer.get_weights())
    y, *moments = ops.batch_norm(x, gamma, beta, epsilon=1e-2)
    np.testing.assert_allclose(y, keras.ops.convert_to_numpy(layer(x, training=True)), atol=1e-5)
    for average, value, theirs in zip(moving, moments, layer.get_weights()[2:], strict=True):
        ops.moving_average_update(average, value, momentum=0.9)
        np.testing.assert_allclose(average, theirs, rtol=1e-5)
    y = ops.batch_norm_inference(x, gamma, beta, *moving, epsilon=1e-2)
    np.testing.assert_allclose(y, keras.ops.convert_to_numpy(layer(x, training=False)), atol=1e-5)


def test_batch_norm_gradients_agree_with_torch(rng, torch):
    x, dy = rng.standard_normal((2, 4, 5, 6, 7)).astype(np.float32)
    gamma, beta = rng.standard_normal((2, 7)).astype(np.float32)
    tx, tg, tb = (
        _torch_images(torch, x),
        torch.tensor(gamma, requires_grad=True),
        torch.tensor(beta, requires_grad=True),
    )
    torch.nn.functional.batch_norm(tx, None, None, tg, tb, training=True, eps=1e-3).backward(
        torch.from_numpy(dy).permute(0, 3, 1, 2)
    )
    _, mean, variance = ops.batch_norm(x, gamma, beta)
    dx, dgamma, dbeta = ops.batch_norm_backward(dy, x, gamma, mean, variance)
    np.testing.assert_allclose(dx, tx.grad.permute(0, 2, 3, 1).numpy(), atol=1e-5)
    np.testing.assert_allclose(dgamma, tg.grad.numpy(), atol=1e-4)
    np.testing.assert_allclose(dbeta, tb.grad.numpy(), atol=1e-4)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_losses_agree_with_keras(rng, keras, weighted, smoothing):
    x = rng.standard_normal((9, 5)).astype(np.float32)
    p = (1 / (1 + np.exp(-x))).astype(np.float32)
    labels = rng.integers(0, 5, 9)
    dense = np.eye(5, dtype=np.float32)[labels]
    w = rng.random(9).astype(np.float32) if weighted else None
    L = keras.losses
    pairs = [
        (ops.softmax_crossentropy, x, L.CategoricalCrossentropy(from_logits=True, label_smoothing=smoothing)),
        (ops.categorical_crossentropy, p, L.CategoricalCrossentropy(label_smoothing=smoothing)),
        (ops.binary_crossentropy, p, L.BinaryCrossentropy(label_smoothing=smoothing)),
        (
            ops.binary_crossentropy_with_logits,
            x,
            L.BinaryCrossentropy(from_logits=True, label_smoothing=smoothing),
        ),
    ]
    for ours, predictions, theirs in pairs:
        got = float(ours(predictions, dense, w, label_smoothing=smoothing)[0])
        assert got == pytest.approx(float(theirs(dense, predictions, sample_weight=w)), rel=1e-5)
    for ours, predictions, theirs in (
        (ops.sparse_softmax_crossentropy, x, L.SparseCategoricalCrossentropy(from_logits=True)),
        (ops.sparse_categorical_crossentropy, p, L.SparseCategoricalCrossentropy()),
    ):
        got = float(ours(predictions, labels, w)[0])
        assert got == pytest.approx(float(theirs(labels, predictions, sample_weight=w)), rel=1e-5)
    got = float(ops.mean_squared_error(x, dense, w)[0])
    assert got == pytest.approx(float(L.MeanSquaredError()(dense, x, sample_weight=w)), rel=1e-5)


POINTWISE = [
    ("MeanSquaredError", {}),
    ("MeanAbsoluteError", {}),
    ("MeanAbsolutePercentageError", {}),
    ("MeanSquaredLogarithmicError", {}),
    ("Huber", {}),
    ("Huber", {"delta": 0.1}),
    ("LogCosh", {}),
    ("Hinge", {}),
    ("SquaredHinge", {}),
    ("CategoricalHinge", {}),
    ("Poisson", {}),
    ("KLDivergence", {}),
    ("BinaryFocalCrossentropy", {}),
    ("BinaryFocalCrossentropy", {"apply_class_balancing": True, "gamma": 1.5, "label_smoothing": 0.1}),
    ("BinaryFocalCrossentropy", {"from_logits": True}),
    ("CategoricalFocalCrossentropy", {}),
    ("CategoricalFocalCrossentropy", {"alpha": 0.6, "gamma": 1.0, "label_smoothing": 0.1}),
    ("CategoricalFocalCrossentropy", {"from_logits": True}),
]


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "sum"])
@pytest.mark.parametrize(("name", "options"), POINTWISE, ids=lambda v: v if isinstance(v, str) else "-".join(v))
def test_pointwise_losses_and_training_with_them_agree_with_keras(rng, keras, name, options, reduction):
    x, t = rng.random((9, 5)).astype(np.float32), np.eye(5, dtype=np.float32)[rng.integers(0, 5, 9)]
    if "Mean" in name or name in ("Huber", "LogCosh", "Poisson", "KLDivergence"):
        t = rng.random((9, 5)).astype(np.float32)
    w = rng.random(9).astype(np.float32)
    found = []
    for library in (cnnfast, keras):
        loss = getattr(library.losses, name)(**options, reduction=reduction)
        model = library.Sequential([library.Input((5,)), library.layers.Dense(5, activation="sigmoid")])
        model.compile(library.optimizers.SGD(0.1), loss)
        model.set_weights([np.linspace(-1, 1, 25).reshape(5, 5), np.zeros(5)])
        found.append([float(loss(t, x, sample_weight=w)), *(float(model.train_on_batch(x, t, w)) for _ in range(3))])
        found[-1].append(model.get_weights())
    (*ours, weights), (*theirs, their_weights) = found
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)
    for a, b in zip(weights, their_weights, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


CLASSES = {cls.__name__: cls for cls in map(cnnfast.losses.LOSSES.find, cnnfast.losses.LOSSES.names())}


@pytest.mark.parametrize("name", CLASSES)
def test_losses_have_the_names_arguments_and_defaults_of_keras(keras, name):
    cls = CLASSES[name]
    ours, theirs = (inspect.signature(c).parameters for c in (cls, getattr(keras.losses, name)))
    assert list(ours) == list(theirs)
    for parameter in ours.keys() - {"name"}:
        assert ours[parameter].default == theirs[parameter].default
    assert cls().name == getattr(keras.losses, name)().name
