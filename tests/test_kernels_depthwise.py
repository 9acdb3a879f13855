"""The depthwise kernels and their gradients against the float64 oracle."""

from __future__ import annotations

import numpy as np
import pytest

from cnnfast.ops import engine
from tests.oracle import conv, depthwise
from tests.tolerance import assert_sum_close

# N, H, W, C, M, R, S, strides, dilation, pads: channels around one and two vectors of every width, windows
# wider than the input, strides longer than the window (pixels that no window reads), padding that whole windows
# lie in.
SHAPES = [
    (1, 1, 1, 1, 1, 1, 1, (1, 1), (1, 1), (0, 0, 0, 0)),
    (2, 7, 9, 3, 1, 3, 3, (1, 1), (1, 1), (1, 1, 1, 1)),
    (2, 7, 9, 17, 1, 3, 3, (1, 1), (1, 1), (1, 1, 1, 1)),
    (1, 16, 30, 32, 1, 3, 3, (1, 1), (1, 1), (0, 0, 0, 0)),
    (2, 9, 28, 33, 1, 3, 3, (2, 2), (1, 1), (0, 1, 0, 1)),
    (1, 9, 27, 15, 1, 5, 4, (2, 3), (1, 1), (2, 2, 1, 2)),
    (1, 6, 40, 8, 1, 1, 1, (3, 2), (1, 1), (0, 0, 0, 0)),
    (1, 7, 11, 5, 1, 2, 2, (4, 3), (1, 1), (0, 0, 0, 0)),
    (1, 15, 14, 16, 1, 3, 3, (1, 1), (3, 2), (2, 3, 2, 1)),
    (1, 15, 14, 7, 1, 3, 2, (2, 3), (2, 3), (1, 2, 3, 0)),
    (1, 3, 2, 9, 1, 5, 5, (1, 1), (1, 1), (4, 3, 4, 4)),
    (1, 2, 2, 4, 1, 2, 2, (1, 1), (1, 1), (5, 4, 6, 3)),
    (2, 7, 9, 3, 2, 3, 3, (1, 1), (1, 1), (1, 1, 1, 1)),
    (1, 8, 13, 5, 7, 3, 3, (2, 2), (1, 1), (0, 1, 0, 1)),
    (1, 6, 7, 1, 40, 3, 2, (1, 2), (2, 1), (2, 1, 0, 3)),
    (1, 2, 2, 4, 3, 2, 2, (1, 1), (1, 1), (5, 4, 6, 3)),
    (33, 5, 5, 6, 1, 3, 3, (1, 1), (1, 1), (1, 1, 1, 1)),
    (2, 64, 63, 20, 1, 3, 3, (1, 1), (1, 1), (1, 1, 1, 1)),
    (2, 40, 41, 20, 2, 3, 3, (1, 1), (1, 1), (1, 1, 1, 1)),
]


def _case(rng, shape):
    N, H, W, C, M, R, S, strides, dilation, pads = shape
    P = conv.output_size(H, R, strides[0], dilation[0], *pads[:2])
    Q = conv.output_size(W, S, strides[1], dilation[1], *pads[2:])
    sizes = [(N, H, W, C), (R, S, C, M), (C * M,), (N, P, Q, C * M)]
    x, w, b, dy = (rng.standard_normal(size).astype(np.float32) for size in sizes)
    attributes = {"strides": list(strides), "dilation": list(dilation), "padding": list(pads)}
    return x, w, b, dy, attributes, (strides, dilation, pads)


def _run(op, inputs, shape, attributes):
    out = np.full(shape, np.nan, np.float32)  # a value that is never written shows
    engine.run_step(op, inputs, [out], attributes)
    return out


def _forward(x, w, b, dy, attributes):
    return _run("depthwise_conv2d", [x, w, b], dy.shape, attributes)


def _backward(x, w, dy, attributes):
    return (
        _run("depthwise_conv2d_backward_input", [dy, w], x.shape, attributes),
        _run("depthwise_conv2d_backward_weight", [dy, x], w.shape, attributes),
    )


@pytest.mark.parametrize("shape", SHAPES)
def test_depthwise_agrees_with_the_oracle_on_every_isa(rng, isa, shape):
    x, w, b, dy, attributes, geometry = _case(rng, shape)
    y = _forward(x, w, b, dy, attributes)
    exact = depthwise.depthwise_conv2d(x, w, b, *geometry)
    assert_sum_close(y, exact, w[..., 0, 0].size, np.abs(x).max() * np.abs(w).max())


@pytest.mark.parametrize("shape", SHAPES)
def test_depthwise_gradients_agree_with_the_oracle_on_every_isa(rng, isa, shape):
    x, w, _, dy, attributes, geometry = _case(rng, shape)
    dx, dw = _backward(x, w, dy, attributes)
    exact_dx, exact_dw, _ = depthwise.depthwise_conv2d_backward(dy, x, w, *geometry)
    top = np.abs(dy).max()
    assert_sum_close(dx, exact_dx, w[:, :, 0].size, top * np.abs(w).max())
    assert_sum_close(dw, exact_dw, dy[..., 0].size, top * np.abs(x).max())


@pytest.mark.parametrize("shape", SHAPES)
def test_depthwise_gives_the_same_bits_for_any_number_of_threads(rng, isa, same_bits, shape):
    x, w, b, dy, attributes, _ = _case(rng, shape)
    same_bits(lambda: [_forward(x, w, b, dy, attributes), *_backward(x, w, dy, attributes)])


@pytest.mark.parametrize("bias", [None, "given"])
@pytest.mark.parametrize(("epilogue", "top"), [("relu", np.inf), ("relu6", 6.0)])
def test_depthwise_epilogue_is_the_activation_of_the_plain_result(rng, isa, bias, epilogue, top):
    x, w, b, dy, attributes, _ = _case(rng, (2, 7, 9, 19, 1, 3, 3, (1, 1), (1, 1), (1, 1, 1, 1)))
    b = None if bias is None else b
    plain = _forward(9 * x, w, b, dy, attributes)
    fused = _forward(9 * x, w, b, dy, {**attributes, "epilogue": epilogue})
    assert np.array_equal(fused, np.clip(plain, 0.0, top))
    assert (plain > 6).any() and (plain < 0).any()
