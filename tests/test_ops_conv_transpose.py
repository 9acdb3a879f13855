"""conv2d_transpose: output sizes, values and gradients."""

from __future__ import annotations

import numpy as np
import pytest

from cnnfast import ops
from tests.oracle import conv as conv_oracle
from tests.oracle import conv_transpose as oracle
from tests.tolerance import assert_sum_close

# H, W, C, K, R, S, strides, dilation, padding, output_padding -> output size, (top, left) cut off
CASES = [
    (1, 1, 1, 1, 1, 1, (1, 1), (1, 1), "valid", None, (1, 1), (0, 0)),
    (4, 5, 3, 7, 3, 3, (1, 1), (1, 1), "valid", None, (6, 7), (0, 0)),
    (4, 5, 3, 7, 3, 2, (2, 3), (1, 1), "valid", None, (9, 15), (0, 0)),
    (4, 5, 3, 7, 3, 2, (2, 3), (1, 1), "valid", (1, 0), (10, 14), (0, 0)),
    (4, 5, 3, 17, 3, 3, (2, 2), (1, 1), "same", None, (8, 10), (0, 0)),
    (4, 5, 3, 17, 4, 5, (2, 2), (1, 1), "same", None, (8, 10), (1, 1)),
    (4, 5, 3, 4, 3, 5, (2, 2), (1, 1), "same", (0, 1), (7, 10), (1, 1)),
    (3, 4, 5, 3, 2, 2, (3, 3), (1, 1), "same", None, (9, 12), (0, 0)),
    (3, 4, 5, 3, 2, 3, (1, 1), (2, 3), "valid", None, (5, 10), (0, 0)),
    (3, 4, 5, 3, 3, 3, (1, 1), (2, 2), "same", None, (3, 4), (2, 2)),
    (3, 4, 5, 3, 4, 4, (2, 2), (1, 1), ((1, 1), (1, 1)), None, (6, 8), (1, 1)),
    (3, 4, 5, 3, 4, 4, (2, 2), (1, 1), ((1, 2), (0, 1)), (1, 1), (6, 10), (1, 0)),
]


def _case(rng, case):
    H, W, C, K, R, S, strides, dilation, padding, output_padding, size, cut = case
    x = rng.standard_normal((2, H, W, C)).astype(np.float32)
    w = rng.standard_normal((R, S, K, C)).astype(np.float32)
    b = rng.standard_normal(K).astype(np.float32)
    options = {"strides": strides, "dilation": dilation, "padding": padding, "output_padding": output_padding}
    return x, w, b, options, size, cut


@pytest.mark.parametrize("case", CASES)
def test_conv2d_transpose_agrees_with_the_oracle_on_every_isa(rng, isa, case):
    x, w, b, options, size, cut = _case(rng, case)
    y = ops.conv2d_transpose(x, w, b, **options)
    exact = oracle.conv2d_transpose(x, w, b, options["strides"], options["dilation"], size, cut)
    assert_sum_close(y, exact, w[:, :, 0].size, np.abs(x).max() * np.abs(w).max())


@pytest.mark.parametrize("case", CASES)
def test_conv2d_transpose_gradients_are_the_convolution_and_its_weight_gradient(rng, case):
    x, w, _, options, size, cut = _case(rng, case)
    dy = rng.standard_normal((2, *size, w.shape[2])).astype(np.float32)
    dx, dw, db = ops.conv2d_transpose_backward(dy, x, w, **options)
    strides, dilation = options["strides"], options["dilation"]
    ends = [
        (n - 1) * s + (k - 1) * d + 1 - c - p
        for n, s, k, d, c, p in zip(x.shape[1:3], strides, w.shape[:2], dilation, cut, size, strict=True)
    ]
    # Rows of dy that no window reads are cut off instead of padded.
    seen = dy[:, : size[0] + min(ends[0], 0), : size[1] + min(ends[1], 0)]
    pads = (cut[0], max(ends[0], 0), cut[1], max(ends[1], 0))
    exact_dx = conv_oracle.conv2d(seen, w, None, strides, dilation, pads, 1)
    _, exact_dw, _ = conv_oracle.conv2d_backward(x, seen, w, strides, dilation, pads, 1)
    top = np.abs(dy).max()
    assert_sum_close(dx, exact_dx, w[..., 0].size, top * np.abs(w).max())
    assert_sum_close(dw, exact_dw, x[..., 0].size, top * np.abs(x).max())
    assert_sum_close(db, dy.astype(float).sum((0, 1, 2)), dy[..., 0].size, top)


def test_conv2d_transpose_takes_any_size_that_the_convolution_takes_back(rng):
    w = rng.standard_normal((3, 3, 2, 1)).astype(np.float32)
    for size in (7, 8):
        assert ops.conv2d_transpose(np.ones((1, 3, 3, 1)), w, strides=2, output_size=size).shape == (
            1,
            size,
            size,
            2,
        )
    with pytest.raises(ValueError, match="3 rows cannot become 9"):
        ops.conv2d_transpose(np.ones((1, 3, 3, 1)), w, strides=2, output_size=9)


def test_conv2d_transpose_says_what_does_not_fit():
    x, w = np.ones((1, 3, 3, 2)), np.ones((3, 3, 4, 5))
    with pytest.raises(ValueError, match=r"w \(R,S,K,C\)=\(3, 3, 4, 5\).*x \(1, 3, 3, 2\)"):
        ops.conv2d_transpose(x, w)
    w = np.ones((3, 3, 4, 2))
    with pytest.raises(ValueError, match=r"output_padding=2 must be smaller than strides=\(2, 2\)"):
        ops.conv2d_transpose(x, w, strides=2, output_padding=2)
    with pytest.raises(ValueError, match=r"b expects shape \(4,\), got \(2,\)"):
        ops.conv2d_transpose(x, w, np.ones(2))
    with pytest.raises(ValueError, match="3 rows cannot become -1"):
        ops.conv2d_transpose(x, w, padding=3)
