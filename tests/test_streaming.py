"""Results that are stored past the caches are the bits that are stored otherwise."""

from __future__ import annotations

import numpy as np
import pytest

import cnnfast
from cnnfast.ops import engine

FLOATS = 2 << 20  # from this many on, where rows and the start of the result allow it


def _result(floats: int, *, aligned: bool) -> np.ndarray:
    """Memory at a multiple of 64 bytes, or 4 bytes behind one: only the first is streamed to."""
    memory = np.full(floats + 32, np.nan, np.float32)
    start = -memory.ctypes.data % 64 // 4 + (0 if aligned else 1)
    return memory[start : start + floats]


def _run(op, inputs, shape, attributes, others=(), *, aligned):
    y = _result(int(np.prod(shape)), aligned=aligned).reshape(shape)
    engine.run_step(op, inputs, [y, *(np.empty(s, np.float32) for s in others)], attributes)
    return y


_WINDOW = {"strides": [1, 1], "dilation": [1, 1], "padding": [1, 1, 1, 1]}
_POOL = {"pool_size": [2, 2], "strides": [2, 2], "padding": [0, 0, 0, 0]}
_BY_PIXEL = {"strides": [1, 1], "dilation": [1, 1], "padding": [0, 0, 0, 0], "groups": 1}
_TWO_GROUPS = {**_BY_PIXEL, "groups": 2}
_EPSILON = {"epsilon": 1e-3}


def _pixels(channels: int) -> tuple[int, int, int, int]:
    """A shape (1,H,W,C) that is streamed, with an odd number of pixels in a row."""
    return 1, -(-FLOATS // (channels * 101)), 101, channels


def _cases(rng):
    """op, inputs, shape of the result, attributes, shapes of further results."""

    def random(*shape):
        return rng.standard_normal(shape).astype(np.float32)

    for channels in (8, 16, 17, 24, 48):
        y = _pixels(channels)
        b, residual = random(channels), random(*y)
        thin = random(*y[:3], 2)
        relu = {"epilogue": "relu"}
        yield "conv2d", [thin, random(1, 1, 2, channels), b, residual], y, _BY_PIXEL | relu, ()
        yield (
            "conv2d_backward_input",
            [thin, random(1, 1, channels, 2), b, residual],
            y,
            _BY_PIXEL | {"size": y[1:3]},
            (),
        )
        yield "conv2d", [thin, random(3, 3, 2, channels), b, residual], y, _WINDOW | relu, ()
        yield "batch_norm", [residual, b, b, residual[::-1]], y, _EPSILON | relu, [(channels,)] * 2
        if channels % 2 == 0:
            yield "conv2d", [thin, random(1, 1, 1, channels), None], y, _TWO_GROUPS, ()
            pooled = (1, y[1] // 2 + 1, 51, channels)
            whole = (1, 2 * pooled[1], 102, channels)
            which = rng.integers(0, 4, pooled).astype(np.uint8)
            yield "max_pool2d_backward", [random(*pooled), which], whole, _POOL, ()
            yield "average_pool2d_backward", [random(*pooled)], whole, _POOL, ()
        yield "depthwise_conv2d", [residual, random(3, 3, channels, 1), b], y, _WINDOW | relu, ()
        yield "batch_norm_inference", [residual, b, b, b, np.abs(b)], y, _EPSILON, ()
    long = random(FLOATS + 5)
    yield "relu", [long], long.shape, {}, ()
    yield "relu_backward", [long, long[::-1].copy()], long.shape, {}, ()


@pytest.mark.parametrize("algorithm", ["direct", "winograd4", "winograd6"])
def test_streamed_results_are_the_bits_of_others(rng, algorithm):
    cnnfast.config.set_conv2d_algorithm(algorithm)
    isas = [name for name in engine.available_isas() if name != "scalar"]  # it has no such stores
    before = engine.isa()
    try:
        for op, inputs, shape, attributes, others in _cases(rng):
            if algorithm.startswith("winograd") and not (op == "conv2d" and inputs[1].shape[0] == 3):
                continue
            for isa in isas:
                engine.set_isa(isa)
                streamed, stored = (_run(op, inputs, shape, attributes, others, aligned=a) for a in (True, False))
                assert streamed.tobytes() == stored.tobytes(), (op, shape, isa)
    finally:
        engine.set_isa(before)
        cnnfast.config.set_conv2d_algorithm("auto")
