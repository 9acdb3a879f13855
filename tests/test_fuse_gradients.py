"""What a convolution sends back is fused with what stands before and behind it."""

from __future__ import annotations

import numpy as np
import pytest

from cnnfast import ops
from cnnfast.graph.differentiate import differentiate
from cnnfast.graph.program import Program
from cnnfast.graph.values import Graph, Spec, Variable
from cnnfast.ops.conv import CONV2D_BACKWARD_INPUT
from cnnfast.ops.core import apply
from tests.test_fusion import _close as close
from tests.test_fusion import _compile as compile_ops
from tests.test_fusion import _random as random


# Channels, filters, kernel, strides: cells of pixels, Winograd's algorithm, pixels that no tap reaches, several panels.
@pytest.mark.parametrize("case", [(3, 20, 7, 2), (5, 9, 3, 1), (40, 48, 3, 1), (24, 40, 1, 2), (130, 140, 1, 1)])
@pytest.mark.parametrize("activation", ["relu", "relu6"])
@pytest.mark.parametrize("summed", [False, True])
def test_what_a_convolution_sends_back_goes_through_the_activation_as_it_is_stored(isa, case, activation, summed):
    channels, filters, kernel, strides = case
    x, w = 4 * random(2, 13, 12, channels), Variable(random(kernel, kernel, channels, filters))
    act = getattr(ops, activation)
    y = act(x)
    dy = random(*ops.conv2d(y, w.numpy(), strides=strides, padding="same").shape, seed=1)
    other = random(*x.shape, seed=2)

    def build(v, g, r):
        a = act(v)
        z = ops.conv2d(a, w, strides=strides, padding="same")
        return differentiate(v.graph, [(z, g), *([(a, r)] if summed else [])], [v])

    names, (dx,) = compile_ops(build, [x, dy, other], training=False)
    assert names == ["pack_weights", activation, "conv2d_backward_input"]
    exact = ops.conv2d_backward(dy, y, w.numpy(), strides=strides, padding="same")[0] + summed * other
    passes = (y > 0) & ((y < 6) | (activation == "relu"))
    close(dx, np.where(passes, exact, 0))
    assert not dx[~passes].any()


@pytest.mark.parametrize("why", ["read elsewhere", "made later"])
def test_an_activation_gradient_of_something_else_stays_an_op_of_its_own(why):
    x, w, dy = random(2, 6, 6, 4), Variable(random(3, 3, 4, 5)), random(2, 6, 6, 5, seed=1)

    def build(v, g):
        size = list(v.shape[1:3])
        attributes = {"strides": [1, 1], "dilation": [1, 1], "padding": [1, 1, 1, 1], "groups": 1, "size": size}
        early = None if why == "made later" else ops.relu(v)
        dx = apply(CONV2D_BACKWARD_INPUT, [g, v.graph.variable(w), None], attributes)
        y = ops.relu(v) if early is None else early
        return [ops.relu_backward(dx, y), *([dx] if why == "read elsewhere" else [])]

    names, found = compile_ops(build, [x, dy], training=False)
    assert "relu_backward" in names
    exact = ops.conv2d_backward(dy, x, w.numpy(), padding="same")[0]
    close(found[0], np.where(x > 0, exact, 0))


@pytest.mark.parametrize("kind", ["conv", "depthwise"])
def test_gradients_through_batch_normalization_in_inference_are_scaled_by_the_weights(kind):
    x = random(2, 8, 7, 6)
    w = Variable(random(3, 3, 6, 9) if kind == "conv" else random(3, 3, 6, 2))
    channels = 9 if kind == "conv" else 12
    gamma, beta, mean = (Variable(random(channels, seed=i)) for i in (1, 2, 3))
    variance = Variable(0.5 + random(channels, seed=4) ** 2)
    run = ops.conv2d if kind == "conv" else ops.depthwise_conv2d
    dy = random(2, 8, 7, channels, seed=5)

    graph = Graph(training=False)
    v, g = graph.input(Spec(x.shape)), graph.input(Spec(dy.shape))
    y = ops.batch_norm_inference(run(v, w, padding="same"), gamma, beta, mean, variance)
    program = Program(graph, [v, g], differentiate(graph, [(y, g)], [v]))
    assert graph.nodes[-1].op.name.endswith("conv2d_backward_input")
    assert graph.nodes[-1].inputs[0] is g
    back = ops.conv2d_backward if kind == "conv" else ops.depthwise_conv2d_backward
    for _ in range(2):  # the second time with another gamma
        scale = gamma.numpy() / np.sqrt(variance.numpy() + 1e-3)
        exact = back((dy * scale).astype(np.float32), x, w.numpy(), padding="same")[0]
        close(program.run([x, dy])[1][0], exact)
        gamma.assign(random(channels, seed=6))


@pytest.mark.parametrize("activation", ["relu", "relu6"])
@pytest.mark.parametrize("own", [0, 1])
def test_zeros_around_an_activation_are_the_padding_of_the_pooling_behind_it(isa, activation, own):
    act, sides = getattr(ops, activation), ((1, 0), (0, 1))
    x = 4 * random(2, 11, 8, 5)
    x[0, :5], x[1, 4:8] = -1, 7  # windows of zeros; ties
    dy = random(*ops.max_pool2d(ops.zero_pad2d(x, sides), 3, strides=2, padding=own).shape, seed=1)

    def build(v, g):
        y = ops.max_pool2d(ops.zero_pad2d(act(v), sides), 3, strides=2, padding=own)
        return [y, *differentiate(v.graph, [(y, g)], [v])]

    names, (y, dx) = compile_ops(build, [x, dy], training=False)
    assert names == [activation, "max_pool2d", f"{activation}_backward", "max_pool2d_backward"]
    padded = ops.zero_pad2d(act(x), sides)
    exact, argmax = ops.max_pool2d_argmax(padded, 3, strides=2, padding=own)
    back = ops.max_pool2d_backward(dy, argmax, padded.shape[1:3], 3, strides=2, padding=own)
    np.testing.assert_array_equal(y, exact)
    np.testing.assert_array_equal(dx, getattr(ops, f"{activation}_backward")(ops.crop2d(back, sides), act(x)))


@pytest.mark.parametrize("why", ["negative values", "a window of zeros alone", "positions asked for", "not masked"])
def test_zeros_that_a_pooling_or_its_gradient_may_take_stay(why):
    x = random(2, 6, 6, 4) - 0.5
    sides = 2 if why == "a window of zeros alone" else 1
    dy = random(*ops.max_pool2d(ops.zero_pad2d(x, sides), 2).shape, seed=1)

    def build(v, g):
        a = v if why == "negative values" else ops.relu(v)
        y, argmax = ops.max_pool2d_argmax(ops.zero_pad2d(a, sides), 2)
        if why == "positions asked for":
            return [y, argmax]
        return [y, *differentiate(v.graph, [(y, g)], [a])]

    names, found = compile_ops(build, [x, dy], training=False)
    assert "zero_pad2d" in names
    padded = ops.zero_pad2d(x if why == "negative values" else ops.relu(x), sides)
    y, argmax = ops.max_pool2d_argmax(padded, 2)
    back = ops.crop2d(ops.max_pool2d_backward(dy, argmax, padded.shape[1:3], 2), sides)
    np.testing.assert_array_equal(found[0], y)
    np.testing.assert_array_equal(found[1], argmax if why == "positions asked for" else back)


def test_a_gradient_of_another_pooling_keeps_its_zeros():
    x = random(2, 7, 7, 3)
    dy = random(*ops.max_pool2d(ops.zero_pad2d(x, 1), 3, strides=2, padding=((1, 0), (0, 0))).shape, seed=1)

    def build(v, g):
        a = ops.relu(v)
        y, argmax = ops.max_pool2d_argmax(ops.zero_pad2d(a, 1), 3, strides=2, padding=((1, 0), (0, 0)))
        back = ops.max_pool2d_backward(g, argmax, (9, 9), 3, strides=2, padding=((0, 1), (0, 0)))
        return [y, ops.relu_backward(ops.crop2d(back, 1), a)]

    names, (y, dx) = compile_ops(build, [x, dy], training=False)
    assert "zero_pad2d" in names and "crop2d" in names
    a = ops.relu(x)
    exact, argmax = ops.max_pool2d_argmax(ops.zero_pad2d(a, 1), 3, strides=2, padding=((1, 0), (0, 0)))
    back = ops.max_pool2d_backward(dy, argmax, (9, 9), 3, strides=2, padding=((0, 1), (0, 0)))
    np.testing.assert_array_equal(y, exact)
    np.testing.assert_array_equal(dx, ops.relu_backward(ops.crop2d(back, 1), a))
