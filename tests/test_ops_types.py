"""Which types ops take: kernels read memory as what they expect, so anything else must be refused."""

from __future__ import annotations

import numpy as np
import pytest

import cnnfast
from cnnfast import ops
from cnnfast.graph import Spec
from cnnfast.ops import engine
from cnnfast.ops.core import OPS

INTEGERS = [np.uint8, np.int32]
X = np.ones((2, 6, 6, 4), np.float32)
SMALL = np.ones((2, 3), np.float32)

CALLS = {
    "dense's b": lambda a: ops.dense(SMALL, np.ones((3, 2)), a((2,))),
    "conv2d's b": lambda a: ops.conv2d(X, np.ones((1, 1, 4, 2)), a((2,))),
    "depthwise_conv2d's b": lambda a: ops.depthwise_conv2d(X, np.ones((1, 1, 4, 1)), a((4,))),
    "conv2d_transpose's b": lambda a: ops.conv2d_transpose(X, np.ones((1, 1, 2, 4)), a((2,))),
    "softmax_backward's y": lambda a: ops.softmax_backward(SMALL, a((2, 3))),
}
for _name in (
    "softmax_crossentropy",
    "categorical_crossentropy",
    "binary_crossentropy",
    "binary_crossentropy_with_logits",
    "mean_squared_error",
):
    CALLS[f"{_name}'s targets"] = lambda a, name=_name: getattr(ops, name)(SMALL, a((2, 3)))
    CALLS[f"{_name}'s sample_weight"] = lambda a, name=_name: getattr(ops, name)(SMALL, SMALL, a((2,)))


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("what", CALLS)
def test_integers_where_floats_are_read_are_refused(what, dtype):
    # int32 targets of the losses that take classes are classes, of another shape
    with pytest.raises((TypeError, ValueError), match=r"must be float32, got|targets expect shape"):
        CALLS[what](lambda shape: np.ones(shape, dtype))


@pytest.mark.parametrize("name", ["binary_crossentropy", "binary_crossentropy_with_logits", "mean_squared_error"])
def test_class_numbers_are_refused_by_losses_that_read_numbers(name):
    with pytest.raises(TypeError, match=f"{name}: targets must be float32, got int32"):
        getattr(ops, name)(SMALL, np.array([1, 0], np.int32))


def test_every_op_without_types_of_its_own_refuses_integers_whatever_its_shape_rule_checks():
    for op in OPS.values():
        if op.own_types or op.alias:
            continue
        inputs = [np.ones((1, 1, 1, 1), np.uint8)] * 8
        with pytest.raises(ValueError, match=f"{op.name}: input 0 must be float32, got uint8"):
            engine.run_step(op.name, inputs, [np.ones((1, 1, 1, 1), np.float32)], {})


@pytest.mark.parametrize("dtype", INTEGERS)
def test_engine_refuses_integers_that_the_shape_rules_let_through(dtype):
    out = [np.zeros((2, 2), np.float32)]
    with pytest.raises(ValueError, match=f"dense: input 2 must be float32, got {np.dtype(dtype).name}"):
        engine.run_step("dense", [SMALL, np.ones((3, 2), np.float32), np.ones(2, dtype)], out, {})
    with pytest.raises(ValueError, match="concatenate: input 1 must be float32"):
        specs = [("float32", [1]), (np.dtype(dtype).name, [1])]
        engine.Step("concatenate", specs, [("float32", [2])], {"axis": 0})


def test_model_whose_constant_is_of_another_type_is_refused_when_it_is_defined():
    with pytest.raises(TypeError, match="dense: b must be float32, got uint8"):
        ops.dense(cnnfast.Input((4,)), np.zeros((4, 64)), np.zeros(64, np.uint8))


@pytest.mark.parametrize("dtype", ["uint8", "int32"])
def test_ops_that_only_move_numbers_keep_their_type(dtype):
    x = np.arange(16, dtype=dtype).reshape(1, 4, 4, 1)
    assert ops.crop2d(ops.zero_pad2d(x, 1), 1).dtype == dtype
    np.testing.assert_array_equal(ops.concatenate([x, x])[..., 1], x[..., 0])
    assert Spec(x.shape, dtype).nbytes == x.nbytes
