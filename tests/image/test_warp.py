"""Affine warps against their definition, and what is promised besides."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from cnnfast.image.warp import FILL_MODES, warp
from tests.oracle.warp import warp as exact_warp
from tests.tolerance import UNIT_ROUNDOFF

ORDERS = range(6)
# One pixel, one row, one column, two pixels; a chunk of 64 pixels, one less and one more; channels of every path.
SHAPES = [(1, 1, 3), (1, 9, 1), (7, 1, 4), (2, 2, 3), (5, 6, 17), (9, 8, 2), (6, 13, 3)]
SIZES = {(6, 13, 3): [(2, 63), (3, 64), (2, 65), (1, 1)], (9, 8, 2): [(3, 130)]}


def some_images(rng, shape, dtype, count=2):
    values = rng.integers(0, 256, (count, *shape))
    return values.astype(dtype) if dtype == np.uint8 else (values + rng.random(values.shape) - 40).astype(dtype)


def some_matrices(rng, count, shape, size=None):
    """Rotated, zoomed, sheared; the middle of the output is about the middle of the image, parts are outside."""
    size = size or shape[:2]
    angles, zooms = rng.uniform(-3, 3, count), rng.uniform(0.5, 1.6, (count, 2)) * (shape[0] / size[0])
    found = []
    for a, (zr, zc) in zip(angles, zooms, strict=True):
        linear = np.array([[np.cos(a) * zr, -np.sin(a) * zc], [np.sin(a + 0.1) * zr, np.cos(a + 0.1) * zc]])
        middle = (np.array(shape[:2]) - 1) / 2 - linear @ (np.array(size) - 1) / 2 + rng.uniform(-2, 2, 2)
        found.append(np.column_stack([linear, middle]))
    return np.array(found)


def tolerance(x, order):
    """Order 1 is computed in float32: weights, three roundings of each of two mixtures, rounding of the result. The
    others are rounded once, from double; coefficients and weights amplify its roundings at most a thousandfold."""
    largest = float(np.abs(x).max()) + 1.0
    roundings = {0: 0, 1: 8}.get(order, 2)
    return largest * (roundings * UNIT_ROUNDOFF + 1e-12)


def assert_right(y, x, m, order, fill_mode, cval):
    size = y.shape[1:3]
    exact = np.stack([exact_warp(a, b, size, order, fill_mode, cval) for a, b in zip(x, m, strict=True)])
    if y.dtype == np.uint8:
        assert np.abs(y - np.clip(exact, 0, 255)).max() <= 0.5 + tolerance(x, order)
    else:
        assert np.abs(y - exact).max() <= tolerance(x, order)


@pytest.mark.parametrize("fill_mode", FILL_MODES)
@pytest.mark.parametrize("order", ORDERS)
def test_warp_is_its_definition(rng, isa, order, fill_mode):
    for shape in SHAPES:
        for number, size in enumerate(SIZES.get(shape, [shape[:2]])):
            m = some_matrices(rng, 2, shape, size)
            for dtype in (np.uint8, np.float32) if number == 0 else (np.uint8,):
                x = some_images(rng, shape, dtype)
                y = warp(x, m, size=size, order=order, fill_mode=fill_mode, cval=7.25, dtype=np.float32)
                assert_right(y, x, m, order, fill_mode, 7.25)
                rounded = warp(x, m, size=size, order=order, fill_mode=fill_mode, cval=7.25, dtype=np.uint8)
                assert np.abs(rounded - np.clip(y, 0, 255)).max() <= 0.5 + UNIT_ROUNDOFF * 256


@pytest.mark.peers
@pytest.mark.parametrize("fill_mode", FILL_MODES)
@pytest.mark.parametrize("order", ORDERS)
def test_warp_is_scipys(rng, isa, order, fill_mode):
    ndimage = pytest.importorskip("scipy.ndimage")
    # With `reflect` SciPy's own coefficients of images of a few pixels do not pass through the pixels.
    shapes = [(30, 41, 3), (64, 65, 1), (33, 30, 4)] + ([(1, 5, 2), (2, 3, 3)] if fill_mode != "reflect" else [])
    for shape in shapes:
        m = some_matrices(rng, 3, shape)
        for dtype in (np.uint8, np.float32):
            x = some_images(rng, shape, dtype, 3)
            theirs = np.empty((3, *shape))
            for n, c in np.ndindex(3, shape[2]):
                channel = x[n, ..., c].astype(np.float64)
                theirs[n, ..., c] = ndimage.affine_transform(
                    channel, m[n], order=order, mode=fill_mode, cval=7.25, output=np.float64
                )
            y = warp(x, m, order=order, fill_mode=fill_mode, cval=7.25, dtype=np.float32)
            assert np.abs(y - theirs).max() <= tolerance(x, order) + 1e-9


@pytest.mark.peers
@pytest.mark.parametrize("order", [0, 1, 3])
def test_uint8_results_are_scipys(rng, order):
    ndimage = pytest.importorskip("scipy.ndimage")
    x = some_images(rng, (60, 50, 3), np.uint8)
    m = some_matrices(rng, 2, (60, 50))
    y = warp(x, m, order=order)
    for n, c in np.ndindex(2, 3):
        theirs = ndimage.affine_transform(x[n, ..., c], m[n], order=order, mode="nearest")
        different = y[n, ..., c] != theirs
        # Only where the exact value lies within a rounding of the middle between two levels.
        assert different.mean() < 1e-3 and np.abs(y[n, ..., c].astype(int) - theirs).max() <= 1


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("order", ORDERS)
def test_flips_quarter_turns_and_whole_shifts_keep_every_pixel(rng, isa, order, dtype):
    x = some_images(rng, (7, 7, 3), dtype, 4)
    flips = [[[1, 0, 0], [0, -1, 6]], [[-1, 0, 6], [0, 1, 0]], [[0, 1, 0], [-1, 0, 6]], [[1, 0, 2], [0, 1, 0]]]
    y = warp(x, flips, order=order)
    np.testing.assert_array_equal(y[0], x[0, :, ::-1])
    np.testing.assert_array_equal(y[1], x[1, ::-1])
    np.testing.assert_array_equal(y[2], np.rot90(x[2], axes=(0, 1)))
    np.testing.assert_array_equal(y[3], np.concatenate([x[3, 2:], x[3, -1:], x[3, -1:]]))


def test_the_middle_between_two_levels_is_rounded_up(isa):
    x = np.array([0, 1, 2, 254, 255, 255, 4, 7], np.uint8).reshape(1, 1, 8, 1)
    y = warp(x, [[[1, 0, 0], [0, 1, 0.5]]])
    assert y.ravel().tolist() == [1, 2, 128, 255, 255, 130, 6, 7]


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("shape", [(2,), (2, 3)])
def test_scale_and_offset_follow_the_warp(rng, isa, shape, dtype):
    x, m = some_images(rng, (9, 70, 3), np.uint8), some_matrices(rng, 2, (9, 70))
    scale, offset = rng.uniform(0.1, 2.0, shape).astype(np.float32), rng.uniform(-9, 9, shape).astype(np.float32)
    per_channel = [a.reshape(2, 1, 1, -1).astype(np.float64) for a in (scale, offset)]
    expected = warp(x, m, dtype=np.float32) * per_channel[0] + per_channel[1]
    y = warp(x, m, dtype=dtype, scale=scale, offset=offset)
    if dtype == np.uint8:
        expected = np.clip(expected, 0, 255)
    bound = 3 * UNIT_ROUNDOFF * 512 + (0.5 if dtype == np.uint8 else 0)
    assert np.abs(y - expected).max() <= bound
    assert y.dtype == dtype


def test_the_constant_is_scaled_too():
    y = warp(np.zeros((1, 2, 2, 1), np.uint8), [[[1, 0, 9], [0, 1, 0]]], fill_mode="constant", cval=255.0,
             dtype=np.float32, scale=[1 / 255])  # fmt: skip
    np.testing.assert_allclose(y, 1.0, rtol=2 * UNIT_ROUNDOFF)


@pytest.mark.parametrize("order", [0, 1, 3])
def test_bits_do_not_depend_on_threads(rng, isa, same_bits, order):
    x, m = some_images(rng, (40, 90, 3), np.float32, 11), some_matrices(rng, 11, (40, 90))
    x[0, :, :, 0] = 1e-42  # below the smallest normal number
    scale = np.full(11, 1 / 255, np.float32)

    def run(threads=None):
        return warp(x, m, order=order, size=(100, 97), scale=scale, fill_mode="reflect", threads=threads)

    (shared,) = same_bits(run)
    assert run(threads=1).tobytes() == shared.tobytes()


@pytest.mark.parametrize("order", [0, 1])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_bits_do_not_depend_on_the_place_in_the_batch(rng, isa, channels, order):
    image = rng.uniform(0, 255, (1, 8, 9, channels)).astype(np.float32)
    matrices = np.array([[[0.9, 0.2, -0.3], [-0.1, 0.8, 0.7]]])
    alone = warp(image, matrices, order=order)
    batch = warp(np.repeat(image, 3, axis=0), np.repeat(matrices, 3, axis=0), order=order)
    for warped in batch:
        assert np.array_equal(warped, alone[0])


def test_threads_of_the_caller_work_beside_each_other(rng):
    x, m = some_images(rng, (50, 60, 3), np.uint8, 8), some_matrices(rng, 8, (50, 60))
    expected = warp(x, m, order=3)
    with ThreadPoolExecutor(4) as pool:
        for y in pool.map(lambda _: warp(x, m, order=3, threads=1), range(12)):
            assert y.tobytes() == expected.tobytes()


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("fill_mode", FILL_MODES)
@pytest.mark.parametrize("huge", [1e6, 1e18, 1e150, 1e308])
def test_huge_coordinates_stay_in_the_image(rng, isa, huge, fill_mode, order):
    for shape in [(5, 6, 3), (1, 4, 1)]:
        x = some_images(rng, shape, np.uint8, 3)
        m = np.array([[[1, 0, huge], [0, 1, -huge]], [[huge, -huge, 0.5], [0, 1, 0]], [[-huge] * 3, [huge] * 3]])
        y = warp(x, m, order=order, fill_mode=fill_mode, cval=300.0, dtype=np.float32)
        assert np.isfinite(y).all()
        if fill_mode == "constant":
            assert (y[0] == 300.0).all()
        elif order < 2:
            assert y.min() >= x.min() and y.max() <= x.max()


@pytest.mark.parametrize("fill_mode", FILL_MODES)
def test_only_what_weighs_nothing_may_lie_past_the_last_pixel(isa, fill_mode):
    """Coordinates at the border, and a bit to each side of it."""
    x = np.arange(1, 13, dtype=np.float32).reshape(1, 3, 4, 1)
    for c in (-1e-17, 0.0, 3.0, np.nextafter(3.0, 4.0), np.nextafter(3.0, 0.0)):
        y = warp(x, [[[0, 0, 2], [0, 0, c]]], size=(1, 1), fill_mode=fill_mode, cval=-5.0).item()
        outside = not 0 <= c <= 3
        edge = 9.0 if c < 1 else 12.0
        opposite = 9.0 + (3 - edge / 4) if fill_mode == "wrap" else None
        if outside and fill_mode == "constant":
            assert y == -5.0
        elif outside and fill_mode == "wrap":
            assert y in (edge, 21.0 - edge), opposite
        else:
            assert y == pytest.approx(edge, rel=2 * UNIT_ROUNDOFF)


def test_inputs_of_any_layout_and_an_empty_batch(rng):
    x, m = some_images(rng, (8, 9, 6), np.uint8, 4), some_matrices(rng, 4, (8, 9))
    view = x[::2, ::-1, :, ::2]
    np.testing.assert_array_equal(warp(view, m[::2]), warp(view.copy(), m[::2].copy()))
    bytes_off = np.frombuffer(b"x" + x.tobytes(), np.uint8, offset=1).reshape(x.shape)
    np.testing.assert_array_equal(warp(bytes_off, m), warp(x, m))
    assert warp(x[:0], m[:0], size=(3, 2)).shape == (0, 3, 2, 6)
    assert warp(x[..., :0], m).shape == (4, 8, 9, 0)


def test_result_can_be_written_into_an_array(rng):
    x, m = some_images(rng, (8, 9, 3), np.uint8, 4), some_matrices(rng, 4, (8, 9))
    batch = np.full((6, 8, 9, 3), 5, np.float32)
    y = warp(x, m, out=batch[1:5])
    assert y.base is batch and (batch[[0, 5]] == 5).all()
    np.testing.assert_array_equal(y, warp(x, m, dtype=np.float32))


X = np.zeros((2, 4, 5, 3), np.uint8)
M = np.tile([[1.0, 0, 0], [0, 1, 0]], (2, 1, 1))


@pytest.mark.parametrize(
    ("error", "message", "change"),
    [
        (ValueError, r"images must be \(N,H,W,C\), came shape \(4, 5, 3\)", {"images": X[0]}),
        (TypeError, "images must be uint8 or float32, came float64", {"images": X.astype(float)}),
        (ValueError, r"no pixels, \(N,H,W,C\)=\(2, 0, 5, 3\)", {"images": X[:, :0], "size": (2, 2)}),
        (ValueError, r"matrices must be \(N,2,3\)=\(2, 2, 3\), came \(1, 2, 3\)", {"matrices": M[:1]}),
        (ValueError, r"came \(2, 3, 3\)", {"matrices": np.zeros((2, 3, 3))}),
        (ValueError, "matrices must be finite, came nan", {"matrices": M * np.nan}),
        (ValueError, "matrices must be finite, came inf", {"matrices": M + np.inf}),
        (ValueError, "order must be from 0 to 5, came 6", {"order": 6}),
        (ValueError, "order must be from 0 to 5, came True", {"order": True}),
        (ValueError, "order must be from 0 to 5, came 1.5", {"order": 1.5}),
        (ValueError, "fill_mode must be one of nearest, constant, reflect, wrap, came 'mirror'",
         {"fill_mode": "mirror"}),
        (ValueError, "cval must be finite, came nan", {"cval": np.nan}),
        (ValueError, r"size must be \(rows, columns\), each at least 1, came \(0, 3\)", {"size": (0, 3)}),
        (ValueError, r"size must be \(rows, columns\)", {"size": (3, 4, 5)}),
        (ValueError, r"size must be \(rows, columns\)", {"size": (3.0, 4)}),
        (TypeError, "dtype must be uint8 or float32, came int32", {"dtype": np.int32}),
        (ValueError, r"scale must be \(N,\)=\(2,\) or \(N,C\)=\(2, 3\), came \(3,\)", {"scale": np.ones(3)}),
        (ValueError, "offset must be finite, came inf", {"offset": [0, np.inf]}),
        (ValueError, r"threads must be None \(the engine's\) or 1", {"threads": 2}),
        (TypeError, "out must be an array of uint8 or float32, came float64", {"out": np.empty(X.shape)}),
        (TypeError, "out must be uint8, came float32", {"out": np.empty(X.shape, np.float32), "dtype": np.uint8}),
        (ValueError, r"out must be \(N,P,Q,C\)=\(2, 4, 5, 3\), came \(2, 5, 4, 3\)",
         {"out": np.empty((2, 5, 4, 3), np.uint8)}),
        (ValueError, "out must be C-contiguous", {"out": np.empty((2, 4, 5, 6), np.uint8)[..., ::2]}),
        (ValueError, "out must not overlap the images", {"out": X}),
    ],
)  # fmt: skip
def test_bad_arguments_are_refused_by_name(error, message, change):
    arguments = {"images": X, "matrices": M, **change}
    with pytest.raises(error, match=f"^warp: .*{message}"):
        warp(**arguments)
    assert not X.any()
