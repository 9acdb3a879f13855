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


HUGE = [2**31, 2**62, 2**70]


@pytest.mark.parametrize("huge", HUGE)
@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("strides", lambda n: ops.conv2d(ONE, ONE, strides=n)),
        ("padding", lambda n: ops.conv2d(ONE, ONE, padding=n)),
        ("dilation", lambda n: ops.conv2d(ONE, ONE, dilation=n)),
        ("padding", lambda n: ops.depthwise_conv2d(ONE, ONE, padding=n, dilation=n)),
        ("strides", lambda n: ops.conv2d_transpose(ONE, ONE, strides=n)),
        ("output_size", lambda n: ops.conv2d_transpose(ONE, ONE, output_size=n)),
        ("strides", lambda n: ops.max_pool2d(ONE, 1, strides=n)),
        ("pool_size", lambda n: ops.average_pool2d(ONE, n, padding="same")),
        ("size", lambda n: ops.upsample2d(ONE, n)),
        ("padding", lambda n: ops.zero_pad2d(ONE, n)),
        ("padding", lambda n: ops.crop2d(ONE, n)),
        ("size", lambda n: layers.UpSampling2D(n)),
        ("padding", lambda n: layers.ZeroPadding2D(n)),
        ("strides", lambda n: layers.MaxPooling2D(1, strides=n)),
    ],
)
def test_settings_beyond_32_bits_are_refused(name, call, huge):
    with pytest.raises(ValueError, match=f"{name} must be at most 2147483647, got"):
        call(huge)


def test_padded_input_that_no_machine_holds_is_refused():
    w = np.ones((2, 2, 1, 1), np.float32)
    for op in (ops.conv2d, ops.depthwise_conv2d):
        with pytest.raises(ValueError, match="the padded input may have at most"):
            op(ONE, w, padding=2**30, dilation=2**30)
    with pytest.raises(ValueError, match="the padded input may have at most"):
        ops.average_pool2d(ONE, 2**30, padding="same")


def test_strides_far_beyond_the_image_give_one_window_and_its_gradient():
    x = np.arange(16, dtype=np.float32).reshape(1, 4, 4, 1)
    for strides in (5, 2**30, 2**31 - 1):
        y, argmax = ops.max_pool2d_argmax(x, 2, strides=strides)
        dx = ops.max_pool2d_backward(np.ones_like(y), argmax, (4, 4), 2, strides=strides)
        assert y.item() == 5.0 and dx.sum() == 1.0 and dx[0, 1, 1, 0] == 1.0
        dx = ops.average_pool2d_backward(np.ones_like(y), (4, 4), 2, strides=strides)
        np.testing.assert_array_equal(dx[0, :2, :2, 0], 0.25)
        assert dx.sum() == 1.0
        assert ops.conv2d(x, np.ones((2, 2, 1, 1)), strides=strides).item() == 10.0
        assert ops.depthwise_conv2d(x, np.ones((2, 2, 1, 1)), strides=strides).item() == 10.0


@pytest.mark.parametrize("channels", [1, 4, 2**10, 2**20])
def test_window_far_larger_than_the_image_is_averaged_over_the_image(channels):
    x = np.ones((1, 1, 2, channels), np.float32)
    y = ops.average_pool2d(x, (2**22, 2**22), padding="same")
    np.testing.assert_array_equal(y, x[:, :, :1])


@pytest.mark.parametrize("name", ["strides", "pool_size", "padding"])
@pytest.mark.parametrize("value", [-1, 2**31, 2**62])
def test_engine_refuses_settings_out_of_range(name, value):
    settings = {"pool_size": [1, 1], "strides": [1, 1], "padding": [0, 0, 0, 0]}
    settings[name] = [value] * len(settings[name])
    with pytest.raises(ValueError, match=f"max_pool2d: {name} must lie in"):
        engine.Step("max_pool2d", [("float32", [1, 1, 1, 1])], [("float32", [1, 1, 1, 1])], settings)
