"""Arrays that do not start where their type may: copied before a kernel sees them."""

from __future__ import annotations

import numpy as np
import pytest

import cnnfast
from cnnfast import layers, ops
from cnnfast.ops import engine


def unaligned(x: np.ndarray) -> np.ndarray:
    """The same numbers one byte off."""
    buffer = bytearray(1) + x.tobytes()
    moved = np.frombuffer(buffer, x.dtype, x.size, offset=1).reshape(x.shape)
    assert not moved.flags.aligned
    return moved


def test_ops_take_unaligned_arrays(rng):
    x, w = rng.standard_normal((3, 5)).astype(np.float32), rng.standard_normal((5, 2)).astype(np.float32)
    np.testing.assert_array_equal(ops.dense(unaligned(x), unaligned(w)), ops.dense(x, w))
    numbers = np.arange(6, dtype=np.int32)
    np.testing.assert_array_equal(ops.cast(unaligned(numbers)), np.arange(6))
    labels = np.array([1, 0, 2], np.int32)
    loss, dx = ops.sparse_softmax_crossentropy(x, unaligned(labels), unaligned(x[:, 0].copy()))
    expected_loss, expected_dx = ops.sparse_softmax_crossentropy(x, labels, x[:, 0])
    assert loss == expected_loss
    np.testing.assert_array_equal(dx, expected_dx)


def test_models_take_unaligned_arrays(rng):
    x, y = rng.standard_normal((4, 6)).astype(np.float32), rng.standard_normal((4, 2)).astype(np.float32)
    model = cnnfast.Sequential([cnnfast.Input((6,)), layers.Dense(2)])
    model.compile(optimizer="sgd", loss="mean_squared_error")
    np.testing.assert_array_equal(model.predict_on_batch(unaligned(x)), model.predict_on_batch(x))
    expected = model.test_on_batch(x, y)
    assert model.test_on_batch(unaligned(x), unaligned(y)) == expected
    assert np.isfinite(model.train_on_batch(unaligned(x), unaligned(y), unaligned(np.ones(4, np.float32))))


def test_engine_refuses_unaligned_arrays():
    x = unaligned(np.ones(4, np.float32))
    with pytest.raises(ValueError, match="relu: the array is not aligned"):
        engine.run_step("relu", [x], [np.empty(4, np.float32)], {})
