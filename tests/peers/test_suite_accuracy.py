"""Every algorithm on the shapes of every convolution of the benchmark suite, against PyTorch in float64."""

from __future__ import annotations

import numpy as np
import pytest

import cnnfast
from cnnfast import ops
from cnnfast.bench.shapes import padding_of, pair
from cnnfast.bench.workloads import select

pytestmark = [pytest.mark.peers, pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
torch = pytest.importorskip("torch", reason="PyTorch is not installed")

ROWS = {w.name.split("/")[1]: w for w in select("kernel/conv-*/forward")}
ALGORITHMS = ("auto", "direct", "winograd4", "winograd6")


def _exact(x, w, dy, o):
    """y, dx, dw in float64; channels last on both sides."""
    (top, bottom), (left, right) = padding_of(x.shape[1:3], o)
    tx = torch.tensor(x).double().permute(0, 3, 1, 2).requires_grad_()
    tw = torch.tensor(w).double().permute(3, 2, 0, 1).requires_grad_()
    padded = torch.nn.functional.pad(tx, (left, right, top, bottom))
    ty = torch.nn.functional.conv2d(padded, tw, None, pair(o["strides"]), 0, pair(o["dilation"]), o["groups"])
    ty.backward(torch.tensor(dy).double().permute(0, 3, 1, 2))
    as_ours = lambda t: t.detach().permute(0, 2, 3, 1).numpy()  # noqa: E731
    return as_ours(ty), as_ours(tx.grad), tw.grad.permute(2, 3, 1, 0).numpy()


@pytest.mark.parametrize("name", ROWS)
def test_every_algorithm_is_within_2e_5_of_the_largest_result_on_the_suites_shapes(name):
    workload = ROWS[name]
    o = workload.layers[0].options
    rng = np.random.default_rng(0)
    x = rng.standard_normal((min(workload.batch, 2), *workload.input_shape)).astype(np.float32)
    w = rng.standard_normal((*pair(o["kernel"]), x.shape[3] // o["groups"], o["filters"])).astype(np.float32)
    options = {
        "strides": pair(o["strides"]),
        "padding": padding_of(x.shape[1:3], o),
        "dilation": pair(o["dilation"]),
        "groups": o["groups"],
    }
    dy = rng.standard_normal(ops.conv2d(x, w, **options).shape).astype(np.float32)
    exact = _exact(x, w, dy, o)
    try:
        for algorithm in ALGORITHMS:
            cnnfast.config.set_conv2d_algorithm(algorithm)
            got = (ops.conv2d(x, w, **options), *ops.conv2d_backward(dy, x, w, **options)[:2])
            for result, mine, true in zip(("y", "dx", "dw"), got, exact, strict=True):
                error = np.abs(mine - true).max() / np.abs(true).max()
                assert error <= 2e-5, f"{result} by {algorithm}: {error:.1e}"
    finally:
        cnnfast.config.set_conv2d_algorithm("auto")
