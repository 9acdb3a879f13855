"""Sizes and settings so large that arithmetic on them would wrap around: refused where they enter."""

from __future__ import annotations

import numpy as np
import pytest

import cnnfast
from cnnfast import layers, ops
from cnnfast.graph import Spec
from cnnfast.ops import engine

ONE = np.ones((1, 1, 1, 1), np.float32)


def test_bytes_of_a_shape_are_exact_beyond_64_bits():
    assert Spec((2**32, 2**32)).nbytes == 2**66


def test_output_that_no_machine_holds_is_refused():
    with pytest.raises(ValueError, match=r"upsample_nearest: output 0 may have at most .* bytes, got shape"):
        ops.upsample2d(ONE, 2**30)
    with pytest.raises(ValueError, match=r"zero_pad2d: output 0 may have at most .* bytes, got shape"):
        ops.zero_pad2d(ONE, 2**30)


def test_model_with_a_value_that_no_machine_holds_is_refused_when_it_is_defined():
    def define():
        return cnnfast.Sequential([cnnfast.Input((1, 1, 1)), layers.UpSampling2D(2**30), layers.Flatten()])

    with pytest.raises(ValueError, match="upsample_nearest: output 0 may have at most"):
        define()


@pytest.mark.parametrize("shape", [[2**32, 2**32], [2**62, 4], [-1], [2**49]])
def test_engine_refuses_shapes_whose_size_would_wrap_around(shape):
    with pytest.raises(ValueError, match="a shape must have from 0 to"):
        engine.Step("relu", [("float32", shape)], [("float32", shape)], {})
