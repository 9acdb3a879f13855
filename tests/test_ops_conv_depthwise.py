"""depthwise_conv2d: values, gradients through the graph, messages (the kernels have tests of their own)."""

from __future__ import annotations

import numpy as np
import pytest

from cnnfast import ops
from cnnfast.graph.differentiate import differentiate
from cnnfast.graph.program import Program
from cnnfast.graph.values import Graph, Spec
from tests.oracle import conv as conv_oracle
from tests.oracle import depthwise as oracle
from tests.tolerance import assert_sum_close

# H, W, C, multiplier, R, S, strides, dilation, padding
CASES = [
    (7, 9, 17, 1, 3, 3, (1, 1), (1, 1), "same"),
    (7, 8, 5, 2, 3, 2, (2, 1), (1, 1), "valid"),
    (9, 8, 3, 3, 2, 3, (1, 1), (2, 2), "same"),
    (6, 5, 1, 7, 3, 3, (1, 1), (1, 1), ((2, 0), (1, 3))),
]


def _case(rng, case):
    H, W, C, multiplier, R, S, strides, dilation, padding = case
    x = rng.standard_normal((2, H, W, C)).astype(np.float32)
    w = rng.standard_normal((R, S, C, multiplier)).astype(np.float32)
    b = rng.standard_normal(C * multiplier).astype(np.float32)
    if isinstance(padding, str):
        same = conv_oracle.same_pads((H, W), (R, S), strides, dilation)
        pads = same if padding == "same" else (0, 0, 0, 0)
    else:
        pads = (*padding[0], *padding[1])
    return x, w, b, {"strides": strides, "dilation": dilation, "padding": padding}, (strides, dilation, pads)


@pytest.mark.parametrize("case", CASES)
def test_depthwise_conv2d_agrees_with_the_oracle(rng, case):
    x, w, b, options, geometry = _case(rng, case)
    exact = oracle.depthwise_conv2d(x, w, b, *geometry)
    y = ops.depthwise_conv2d(x, w, b, **options)
    assert_sum_close(y, exact, w[:, :, 0, 0].size, np.abs(x).max() * np.abs(w).max())


@pytest.mark.parametrize("case", CASES)
def test_depthwise_gradients_agree_with_the_oracle_eagerly_and_in_a_program(rng, case):
    x, w, b, options, geometry = _case(rng, case)
    dy = rng.standard_normal(ops.depthwise_conv2d(x, w, b, **options).shape).astype(np.float32)
    graph = Graph()
    feeds = [graph.input(Spec(a.shape)) for a in (x, w, b, dy)]
    y = ops.depthwise_conv2d(*feeds[:3], **options)
    wanted = differentiate(graph, [(y, feeds[3])], feeds[:3])
    _, in_program = Program(graph, feeds, wanted).run([x, w, b, dy])
    top = np.abs(dy).max()
    terms = (w[:, :, 0].size, dy[..., 0].size, dy[..., 0].size)
    magnitudes = (top * np.abs(w).max(), top * np.abs(x).max(), top)
    exact = oracle.depthwise_conv2d_backward(dy, x, w, *geometry)
    for got in (ops.depthwise_conv2d_backward(dy, x, w, **options), in_program):
        for a, e, n, m in zip(got, exact, terms, magnitudes, strict=True):
            assert_sum_close(a, e, n, m)


def test_depthwise_says_what_does_not_fit():
    x, w = np.ones((1, 5, 5, 2)), np.ones((3, 3, 4, 1))
    with pytest.raises(ValueError, match=r"\(3, 3, 4, 1\) expects 4 channels, x has \(1, 5, 5, 2\)"):
        ops.depthwise_conv2d(x, w)
    w = np.ones((3, 3, 2, 2))
    with pytest.raises(ValueError, match=r"b expects shape \(4,\), got \(2,\)"):
        ops.depthwise_conv2d(x, w, np.ones(2))
    with pytest.raises(ValueError, match="window of 9 rows does not fit"):
        ops.depthwise_conv2d(x, w, dilation=4)
    with pytest.raises(ValueError, match=r"expects dy \(N,P,Q,K\)=\(1, 3, 3, 4\), got \(1, 5, 5, 4\)"):
        ops.depthwise_conv2d_backward(np.ones((1, 5, 5, 4)), x, w)
