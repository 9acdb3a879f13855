"""conv2d and its gradients against the float64 oracle."""

from __future__ import annotations

import re

import numpy as np
import pytest

import cnnfast
from cnnfast import config, ops
from cnnfast.ops import engine, target
from tests.oracle import conv as oracle
from tests.tolerance import assert_sum_close

# N, H, W, C, K, R, S, strides, padding, dilation, groups: sizes around the register tiles, odd channels, windows with
# stride > kernel, padding > input, dilation, groups, one-pixel outputs, runs longer than a pass.
SHAPES = [
    (1, 1, 1, 1, 1, 1, 1, (1, 1), "valid", (1, 1), 1),
    (2, 5, 7, 3, 4, 3, 3, (1, 1), "valid", (1, 1), 1),
    (2, 5, 7, 3, 17, 3, 3, (1, 1), "same", (1, 1), 1),
    (3, 13, 6, 7, 16, 3, 3, (1, 1), "same", (1, 1), 1),
    (1, 12, 12, 1, 15, 5, 5, (2, 2), "same", (1, 1), 1),
    (2, 11, 10, 17, 33, 2, 3, (2, 3), "valid", (1, 1), 1),
    (2, 9, 9, 4, 6, 1, 1, (3, 2), "valid", (1, 1), 1),
    (2, 8, 8, 4, 6, 1, 1, (1, 1), ((1, 0), (2, 1)), (1, 1), 1),
    (1, 3, 2, 2, 3, 5, 5, (1, 1), ((4, 3), (4, 4)), (1, 1), 1),
    (2, 15, 14, 5, 8, 3, 3, (1, 1), "valid", (3, 2), 1),
    (2, 15, 14, 5, 8, 3, 2, (2, 1), "same", (2, 3), 1),
    (2, 7, 7, 6, 9, 3, 3, (1, 1), "same", (1, 1), 3),
    (2, 7, 6, 8, 8, 3, 3, (2, 2), "same", (1, 1), 8),
    (1, 6, 6, 300, 5, 3, 3, (1, 1), "valid", (1, 1), 1),
    (33, 6, 6, 3, 40, 3, 3, (1, 1), "valid", (1, 1), 1),
    (1, 64, 63, 2, 3, 3, 3, (1, 1), "same", (1, 1), 1),
    # Several blocks of pixels and ranges of channels, with weights that stay in a core's cache and with more.
    (1, 14, 14, 24, 100, 1, 1, (1, 1), "valid", (1, 1), 1),
    (1, 15, 13, 400, 400, 1, 1, (1, 1), "valid", (1, 1), 1),
    # Blocks of pixels of unequal height, whose tiles have unequal heights; pixels that nobody reads.
    (1, 7, 7, 1000, 136, 1, 1, (1, 1), "valid", (1, 1), 1),
    (1, 14, 13, 40, 200, 1, 1, (2, 2), "valid", (1, 1), 1),
    # First layers, whose gradient by the input makes cells of pixels: weights in several passes, cells cut by the edge,
    # more channels in a cell than a panel has, taps between which nothing lies.
    (2, 23, 21, 3, 40, 7, 7, (2, 2), "same", (1, 1), 1),
    (1, 31, 34, 3, 24, 11, 11, (4, 4), "valid", (1, 1), 1),
    (2, 12, 9, 1, 16, 5, 5, (3, 3), ((2, 0), (0, 4)), (1, 1), 1),
    (1, 17, 15, 3, 32, 3, 3, (2, 2), "same", (2, 2), 1),
    # Pixels that the next tile reads are asked for: long ones, of which several tiles make a task.
    (2, 15, 13, 160, 64, 1, 1, (1, 1), "valid", (1, 1), 1),
]


of_the_cpu = pytest.mark.skipif(not target.current().is_cpu, reason="GPUs have other algorithms")


def _case(rng, shape):
    N, H, W, C, K, R, S, strides, padding, dilation, groups = shape
    x = rng.standard_normal((N, H, W, C)).astype(np.float32)
    w = rng.standard_normal((R, S, C // groups, K)).astype(np.float32)
    b = rng.standard_normal(K).astype(np.float32)
    if padding == "same":
        pads = oracle.same_pads((H, W), (R, S), strides, dilation)
    else:
        pads = (0, 0, 0, 0) if padding == "valid" else (*padding[0], *padding[1])
    options = {"strides": strides, "padding": padding, "dilation": dilation, "groups": groups}
    return x, w, b, pads, options


@pytest.mark.parametrize("shape", SHAPES)
def test_conv2d_agrees_with_the_oracle_on_every_isa(rng, isa, shape):
    x, w, b, pads, options = _case(rng, shape)
    y = ops.conv2d(x, w, b, **options)
    exact = oracle.conv2d(x, w, b, options["strides"], options["dilation"], pads, options["groups"])
    assert_sum_close(y, exact, w[..., 0].size, np.abs(x).max() * np.abs(w).max())


@pytest.mark.parametrize("shape", SHAPES)
def test_conv2d_gradients_agree_with_the_oracle_on_every_isa(rng, isa, shape):
    x, w, b, pads, options = _case(rng, shape)
    dy = rng.standard_normal(ops.conv2d(x, w, b, **options).shape).astype(np.float32)
    dx, dw, db = ops.conv2d_backward(dy, x, w, **options)
    exact = oracle.conv2d_backward(dy, x, w, options["strides"], options["dilation"], pads, options["groups"])
    pixels, top = dy.shape[0] * dy.shape[1] * dy.shape[2], np.abs(dy).max()
    assert_sum_close(dx, exact[0], w[:, :, 0].size, top * np.abs(w).max())
    assert_sum_close(dw, exact[1], pixels, top * np.abs(x).max())
    assert_sum_close(db, exact[2], pixels, top)


@pytest.mark.parametrize("shape", SHAPES)
def test_conv2d_gives_the_same_bits_for_any_number_of_threads(rng, same_bits, shape):
    x, w, b, _, options = _case(rng, shape)
    (y,) = same_bits(lambda: ops.conv2d(x, w, b, **options))
    same_bits(lambda: ops.conv2d_backward(y, x, w, **options))


def test_conv2d_without_bias_and_with_one_differ_by_the_bias(rng):
    x, w = rng.standard_normal((2, 5, 5, 3)), rng.standard_normal((3, 3, 3, 4))
    assert np.allclose(ops.conv2d(x, w, np.full(4, 2.0)) - ops.conv2d(x, w), 2.0, atol=1e-5)


@pytest.mark.parametrize(
    ("x", "w", "options", "message"),
    [
        (
            (8, 28, 28, 1),
            (3, 3, 3, 32),
            {},
            r"w expects 3 input channels .*\(3, 3, 3, 32\), x has .*\(8, 28, 28, 1\)",
        ),
        ((8, 28, 28), (3, 3, 3, 32), {}, r"x expects 4 dimensions \(N,H,W,C\), got shape \(8, 28, 28\)"),
        ((8, 28, 28, 3), (3, 3, 32), {}, r"w expects 4 dimensions"),
        ((0, 28, 28, 3), (3, 3, 3, 32), {}, r"dimension of size 0"),
        ((8, 28, 28, 3), (0, 3, 3, 32), {}, r"dimension of size 0"),
        ((1, 2, 5, 3), (3, 3, 3, 2), {}, r"window of 3 rows does not fit in the input's 2"),
        ((1, 5, 5, 3), (3, 3, 3, 2), {"strides": 0}, r"strides must be at least 1, got 0"),
        ((1, 5, 5, 3), (3, 3, 3, 2), {"dilation": (1, 0)}, r"dilation must be at least 1"),
        (
            (1, 5, 5, 3),
            (3, 3, 3, 2),
            {"padding": "full"},
            r"padding must be 'valid', 'same' or numbers, got 'full'",
        ),
        ((1, 5, 5, 3), (3, 3, 3, 2), {"padding": -1}, r"must not be negative"),
        ((1, 5, 5, 3), (3, 3, 3, 2), {"groups": 0}, r"groups must be an integer of at least 1"),
        ((1, 5, 5, 4), (3, 3, 2, 3), {"groups": 2}, r"3 filters cannot be split into 2 groups"),
    ],
)
def test_conv2d_refuses_bad_input_with_the_values_in_the_message(x, w, options, message):
    with pytest.raises(ValueError, match=message):
        ops.conv2d(np.zeros(x, np.float32), np.zeros(w, np.float32), **options)


def test_conv2d_refuses_what_is_not_a_number():
    with pytest.raises(TypeError, match="input 0 must hold real numbers"):
        ops.conv2d(np.zeros((1, 3, 3, 1), dtype=complex), np.zeros((1, 1, 1, 1)))


# N, H, W, C, K, padding, groups: tiles that are whole and cut, one tile, partial vectors of channels, blocks of tiles
# and of channels that are whole and cut, a pixel that is mostly padding.
WINOGRAD_SHAPES = [
    (1, 3, 3, 1, 1, "valid", 1),
    (1, 1, 1, 4, 5, "same", 1),
    (2, 6, 6, 16, 16, "valid", 1),
    (2, 9, 10, 3, 5, "same", 1),
    (3, 13, 6, 7, 33, ((2, 0), (1, 2)), 1),
    (2, 12, 12, 17, 65, "same", 1),
    (2, 8, 7, 6, 10, "same", 2),
    (1, 30, 28, 97, 130, "valid", 1),
    (5, 40, 37, 20, 33, "same", 1),
    (33, 7, 7, 20, 24, "same", 1),
    (1, 5, 4, 300, 200, "same", 1),
    (2, 12, 12, 600, 40, "same", 1),
    (1, 13, 13, 32, 64, "valid", 1),  # 9 tiles in 2 blocks, of 5 and 4
    (1, 22, 23, 20, 40, "valid", 1),  # 30 tiles in blocks of 5
]


@pytest.fixture(params=["winograd4", "winograd6"])
def winograd(request):
    config.set_conv2d_algorithm(request.param)
    yield
    config.set_conv2d_algorithm("auto")


#: rows and columns of the kernel, and strides, of the forms of Winograd's algorithm
WINOGRAD_FORMS = {"3x3": (3, 1), "5x5": (5, 1), "2x2": (2, 1), "3x3, strides 2": (3, 2)}


def _winograd_case(rng, shape, form):
    N, H, W, C, K, padding, groups = shape
    kernel, strides = WINOGRAD_FORMS[form]
    if padding == "valid":
        H, W = H + kernel - 3, W + kernel - 3
    return _case(rng, (N, H, W, C, K, kernel, kernel, (strides, strides), padding, (1, 1), groups))


@pytest.mark.parametrize("form", WINOGRAD_FORMS)
@pytest.mark.parametrize("shape", WINOGRAD_SHAPES)
def test_winograd_is_within_2e_5_of_the_scale_of_the_oracle_on_every_isa(rng, isa, winograd, shape, form):
    x, w, b, pads, options = _winograd_case(rng, shape, form)
    y = ops.conv2d(x, w, b, **options)
    strides = options["strides"]
    exact = oracle.conv2d(x, w, b, strides, (1, 1), pads, options["groups"])
    dy = rng.standard_normal(y.shape).astype(np.float32)
    gradients = ops.conv2d_backward(dy, x, w, **options)
    exact_gradients = oracle.conv2d_backward(dy, x, w, strides, (1, 1), pads, options["groups"])
    for name, got, wanted in zip(("y", "dx", "dw", "db"), (y, *gradients), (exact, *exact_gradients), strict=True):
        assert np.abs(got - wanted).max() <= 2e-5 * np.abs(wanted).max(), name


@pytest.mark.parametrize("form", WINOGRAD_FORMS)
@pytest.mark.parametrize("shape", WINOGRAD_SHAPES)
def test_winograd_gives_the_same_bits_for_any_number_of_threads(rng, same_bits, winograd, shape, form):
    x, w, b, _, options = _winograd_case(rng, shape, form)
    (y,) = same_bits(lambda: ops.conv2d(x, w, b, **options))
    same_bits(lambda: ops.conv2d_backward(y, x, w, **options))


@of_the_cpu
@pytest.mark.parametrize("form", WINOGRAD_FORMS)
def test_forms_of_winograd_are_taken_by_themselves_where_they_are_cheaper(rng, form):
    x, w, b, _, options = _winograd_case(rng, (8, 31, 30, 64, 64, "same", 1), form)
    dy = ops.conv2d(x, w, b, **options)
    by_itself = (dy, *ops.conv2d_backward(dy, x, w, **options))
    config.set_conv2d_algorithm("direct")
    try:
        direct = (ops.conv2d(x, w, b, **options), *ops.conv2d_backward(dy, x, w, **options))
    finally:
        config.set_conv2d_algorithm("auto")
    for mine, plain in zip(by_itself[:3], direct[:3], strict=True):
        assert (mine != plain).any()


@of_the_cpu
def test_the_algorithm_of_convolutions_can_be_chosen_and_changes_bits_but_not_results(rng):
    x, w = rng.standard_normal((4, 20, 20, 64)), rng.standard_normal((3, 3, 64, 64))
    results = {}
    for name in ("direct", "winograd4", "winograd6", "winograd", "auto"):
        config.set_conv2d_algorithm(name)
        assert config.conv2d_algorithm() == name
        results[name] = ops.conv2d(x, w)
    assert (results["direct"] != results["winograd4"]).any()
    assert (results["winograd4"] != results["winograd6"]).any()
    assert (results["winograd"] == results["winograd6"]).all()  # three tiles of 6 instead of five of 4 a side
    assert (results["auto"] == results["winograd"]).all()
    for name in ("winograd4", "winograd6"):
        np.testing.assert_allclose(results["direct"], results[name], atol=2e-5 * np.abs(results["direct"]).max())


@pytest.mark.parametrize("name", ["fft", "Direct", None])
def test_an_unknown_algorithm_is_refused_and_changes_nothing(name):
    with pytest.raises(ValueError, match=re.escape(repr(name).strip("'"))):
        config.set_conv2d_algorithm(name)
    assert config.conv2d_algorithm() == "auto"


@of_the_cpu
def test_a_model_notices_another_algorithm(rng):
    model = cnnfast.Sequential([cnnfast.Input((20, 20, 32)), cnnfast.layers.Conv2D(32, 3)])
    x = rng.standard_normal((2, 20, 20, 32)).astype(np.float32)
    automatic = model.predict(x, verbose=0)
    config.set_conv2d_algorithm("direct")
    direct = model.predict(x, verbose=0)
    config.set_conv2d_algorithm("auto")
    assert (automatic != direct).any()


@pytest.mark.parametrize("op", ["conv2d", "conv2d_backward_weight"])
def test_the_engine_refuses_a_window_larger_than_its_image(op):
    x, w, y = (np.ones(shape, np.float32) for shape in ((1, 3, 4, 2), (5, 3, 2, 6), (1, 1, 2, 6)))
    inputs, output = ([x, w], y) if op == "conv2d" else ([y, x], w)
    attributes = {"strides": [1, 1], "dilation": [1, 1], "padding": [0, 0, 0, 0], "groups": 1}
    with pytest.raises(ValueError, match="window of 5x3 does not fit in an image of 3x4, its padding"):
        engine.run_step(op, inputs, [output], attributes)


def test_the_engine_refuses_to_pool_a_result_of_one_column():
    x, w, y = (np.ones(shape, np.float32) for shape in ((1, 4, 3, 2), (3, 3, 2, 6), (1, 1, 1, 6)))
    attributes = {"strides": [1, 1], "dilation": [1, 1], "padding": [0, 0, 0, 0], "groups": 1, "pool": 1}
    with pytest.raises(ValueError, match="no 2x2 to pool"):
        engine.run_step("conv2d", [x, w], [y], attributes)


@pytest.mark.parametrize("filters", [40, 300])  # few: windows of x in place; many: packed
@pytest.mark.parametrize("shape, size, stride", [((2, 106, 104, 48), 1, 1), ((1, 42, 50, 512), 1, 1),
                                                 ((1, 92, 90, 128), 1, 2), ((2, 90, 93, 64), 3, 2)])  # fmt: skip
def test_weight_gradients_of_tensors_larger_than_a_cache_agree_with_float64(shape, size, stride, filters):
    """Where x or dy has a million floats, tiles ask for the next band's."""
    config.set_conv2d_algorithm("direct")
    try:
        pads = ((0, size - 1), (0, size - 1))
        P, Q = (oracle.output_size(n, size, stride, 1, *pad) for n, pad in zip(shape[1:3], pads, strict=True))
        rng = np.random.default_rng(7)
        x = rng.uniform(-1, 1, shape).astype(np.float32)
        dy = rng.uniform(-1, 1, (shape[0], P, Q, filters)).astype(np.float32)
        dw = np.empty((size, size, shape[3], filters), np.float32)
        padding = [n for pad in pads for n in pad]
        attributes = {"strides": [stride] * 2, "dilation": [1, 1], "padding": padding, "groups": 1}
        engine.run_step("conv2d_backward_weight", [dy, x], [dw], attributes)
    finally:
        config.set_conv2d_algorithm("auto")
    x = np.pad(x.astype(np.float64), ((0, 0), *pads, (0, 0)))
    for r in range(size):
        for s in range(size):
            seen = x[:, r : r + stride * (P - 1) + 1 : stride, s : s + stride * (Q - 1) + 1 : stride]
            exact = seen.reshape(-1, shape[3]).T @ dy.reshape(-1, filters).astype(np.float64)
            assert_sum_close(dw[r, s], exact, shape[0] * P * Q, 1.0)
