"""A 1x1 convolution and the depthwise one behind it in one op: the bits of the two ops, which have their own tests."""

from __future__ import annotations

import numpy as np
import pytest

from cnnfast.ops import engine
from tests.oracle import conv

# N, H, W, C, K, R, S, strides, dilation, pads: channels around one and two vectors of every width, rows around a
# register tile, windows wider than the input, strides longer than the window, padding that whole windows lie in, sums
# of more than one pass, several bands.
SHAPES = [
    (1, 1, 1, 1, 1, 1, 1, (1, 1), (1, 1), (0, 0, 0, 0)),
    (2, 7, 9, 3, 5, 3, 3, (1, 1), (1, 1), (1, 1, 1, 1)),
    (2, 7, 12, 4, 16, 3, 3, (1, 1), (1, 1), (1, 1, 1, 1)),
    (1, 8, 13, 5, 17, 3, 3, (1, 1), (1, 1), (1, 1, 1, 1)),
    (1, 16, 30, 8, 32, 3, 3, (1, 1), (1, 1), (0, 0, 0, 0)),
    (2, 9, 28, 7, 49, 3, 3, (2, 2), (1, 1), (0, 1, 0, 1)),
    (1, 9, 27, 6, 15, 5, 4, (2, 3), (1, 1), (2, 2, 1, 2)),
    (1, 6, 40, 2, 8, 1, 1, (3, 2), (1, 1), (0, 0, 0, 0)),
    (1, 13, 11, 2, 5, 2, 2, (4, 3), (1, 1), (0, 0, 0, 0)),
    (1, 15, 14, 3, 16, 3, 3, (1, 1), (3, 2), (2, 3, 2, 1)),
    (1, 15, 14, 3, 7, 3, 2, (2, 3), (2, 3), (1, 2, 3, 0)),
    (1, 3, 2, 5, 9, 5, 5, (1, 1), (1, 1), (4, 3, 4, 4)),
    (1, 2, 2, 4, 4, 2, 2, (1, 1), (1, 1), (5, 4, 6, 3)),
    (1, 5, 4, 300, 33, 3, 3, (1, 1), (1, 1), (1, 1, 1, 1)),
    (2, 60, 13, 3, 40, 3, 3, (1, 1), (1, 1), (1, 1, 1, 1)),
    (1, 61, 9, 3, 20, 3, 3, (2, 2), (1, 1), (1, 1, 1, 1)),
]
_BY_PIXEL = {"strides": [1, 1], "dilation": [1, 1], "padding": [0, 0, 0, 0], "groups": 1}


def _run(op, inputs, shape, attributes):
    out = np.full(shape, np.nan, np.float32)  # a value that is never written shows
    engine.run_step(op, inputs, [out], attributes)
    return out


def _case(rng, shape):
    N, H, W, C, K, R, S, strides, dilation, pads = shape
    P = conv.output_size(H, R, strides[0], dilation[0], *pads[:2])
    Q = conv.output_size(W, S, strides[1], dilation[1], *pads[2:])
    sizes = [(N, H, W, C), (1, 1, C, K), (K,), (R, S, K, 1), (K,)]
    inputs = [rng.standard_normal(size).astype(np.float32) for size in sizes]
    return inputs, (N, P, Q, K), {"strides": list(strides), "dilation": list(dilation), "padding": list(pads)}


def _one_by_one(inputs, shape, attributes, first, last):
    x, w, b, filters, b_out = inputs
    between = _run("conv2d", [x, w, b], (*x.shape[:3], w.shape[3]), _BY_PIXEL | first)
    return _run("depthwise_conv2d", [between, filters, b_out], shape, attributes | last)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_op_gives_the_bits_of_the_two_on_every_isa(rng, isa, shape):
    inputs, shape, attributes = _case(rng, shape)
    y = _run("pointwise_depthwise_conv2d", inputs, shape, attributes)
    assert np.array_equal(y, _one_by_one(inputs, shape, attributes, {}, {}))


@pytest.mark.parametrize("shape", SHAPES)
def test_the_op_gives_the_same_bits_for_any_number_of_threads(rng, isa, same_bits, shape):
    inputs, shape, attributes = _case(rng, shape)
    same_bits(lambda: [_run("pointwise_depthwise_conv2d", inputs, shape, attributes)])


@pytest.mark.parametrize("biased", [(True, True), (True, False), (False, True), (False, False)])
@pytest.mark.parametrize("epilogues", [("relu", "relu6"), ("relu6", "relu"), ("relu6", None), (None, "relu6")])
def test_each_part_has_a_bias_and_an_epilogue_of_its_own(rng, isa, biased, epilogues):
    (x, w, b, filters, b_out), shape, attributes = _case(rng, SHAPES[5])
    inputs = [9 * x, w, b if biased[0] else None, filters, b_out if biased[1] else None]
    first, last = ({} if e is None else {"epilogue": e} for e in epilogues)
    between = {} if epilogues[0] is None else {"pointwise_epilogue": epilogues[0]}
    y = _run("pointwise_depthwise_conv2d", inputs, shape, attributes | between | last)
    assert np.array_equal(y, _one_by_one(inputs, shape, attributes, first, last))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({1: (3, 3, 5, 17)}, r"w expects \(R,S,C,K\)=\(1, 1, 5, K\)"),
        ({1: (1, 1, 4, 17)}, r"w expects \(R,S,C,K\)=\(1, 1, 5, K\)"),
        ({3: (3, 3, 17, 2)}, r"depthwise w expects \(R,S,K,1\) with K=17"),
        ({2: (5,)}, r"b expects shape \(17,\)"),
        ({4: (5,)}, r"b expects shape \(17,\)"),
        ({3: (9, 3, 17, 1), 0: (1, 3, 13, 5)}, "larger|window"),
    ],
)
def test_operands_that_do_not_fit_are_refused(rng, change, message):
    from cnnfast.ops.conv_pointwise_depthwise import POINTWISE_DEPTHWISE_CONV2D
    from cnnfast.ops.core import apply

    inputs, _, attributes = _case(rng, SHAPES[3])
    for place, shape in change.items():
        inputs[place] = np.zeros(shape, np.float32)
    with pytest.raises(ValueError, match=message):
        apply(POINTWISE_DEPTHWISE_CONV2D, inputs, attributes)
