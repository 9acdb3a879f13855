"""These tests run where a GPU is, or its emulation (`-DCNNFAST_CUDA=EMULATED`); elsewhere they say what is missing."""

from __future__ import annotations

import pytest

import cnnfast
from cnnfast import config
from cnnfast.ops import engine, target


def _missing() -> str:
    if not engine.has_cuda():
        return "this build has no CUDA"
    try:
        engine.cuda_devices()
    except cnnfast.DeviceError as error:
        return str(error)
    return ""


@pytest.fixture
def gpu():
    """Models run on the GPU during the test."""
    if missing := _missing():
        pytest.skip(missing)
    before = target.current()
    cnnfast.set_device("cuda")
    yield
    target.choose_device(before.device)
    target.choose_policy(before.policy)


@pytest.fixture(params=["float32", "tensorfloat32", "mixed_bfloat16"])
def policy(request, gpu):
    """On the GPU, once for each policy."""
    config.set_policy(request.param)
    return request.param
