"""Operations, bytes and floors of workloads, against figures computed by hand; and the machine's peaks."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from cnnfast.bench.floor import Work, work
from cnnfast.bench.peak import Peak, measure
from cnnfast.bench.spec import Net, Workload
from cnnfast.bench.workloads import select, workloads
from cnnfast.ops import engine
from tests.bench_rows import PEAK, small_training


def one_layer(mode: str, kind: str, shape: tuple[int, ...], **options: object) -> Work:
    net = Net()
    net.add(kind, **options)
    return work(Workload("one", mode, shape[1:], shape[0], net.built()))


CONV = {"filters": 5, "kernel": (3, 2), "bias": False}  # x (2,8,7,4) -> y (2,6,6,5)
CONV_OPERATIONS = 2 * (2 * 6 * 6 * 5) * (3 * 2 * 4)
X, W, Y = 2 * 8 * 7 * 4, 3 * 2 * 4 * 5, 2 * 6 * 6 * 5


@pytest.mark.parametrize("mode, numbers", [("forward", X + W + Y), ("dx", Y + W + X), ("dw", X + Y + W)])
def test_a_convolution_and_its_gradients(mode: str, numbers: int) -> None:
    assert one_layer(mode, "conv2d", (2, 8, 7, 4), **CONV) == Work(CONV_OPERATIONS, 4 * numbers)


def test_groups_and_depthwise_multiply_less() -> None:
    assert one_layer("forward", "conv2d", (2, 8, 7, 4), **{**CONV, "filters": 6, "groups": 2}).operations == 2 * (
        2 * 6 * 6 * 6
    ) * (3 * 2 * 2)
    assert one_layer("forward", "depthwise", (1, 5, 5, 3), kernel=3).operations == 2 * 3 * 3 * 3 * 9


def test_stride_counts_outputs_and_padding_counts_as_read() -> None:
    found = one_layer("forward", "conv2d", (1, 5, 5, 1), filters=1, kernel=3, strides=2, padding="same", bias=False)
    assert found == Work(2 * 9 * 9, 4 * (25 + 9 + 9))


@pytest.mark.parametrize(
    "kind, shape, options, operations",
    [
        ("dense", (3, 10), {"units": 4}, 2 * 3 * 10 * 4),
        ("max_pool", (1, 4, 4, 3), {"kernel": 2, "strides": 2}, 4 * 12),
        ("average_pool", (1, 4, 4, 3), {"kernel": 3, "strides": 1}, 9 * 12),
        ("global_average_pool", (2, 4, 4, 3), {}, 96),
        ("batch_norm", (2, 4, 4, 3), {}, 2 * 96),
        ("softmax", (2, 7), {}, 5 * 14),
        ("relu", (2, 7), {}, 14),
    ],
)
def test_operations_of_other_layers(kind: str, shape: tuple[int, ...], options: dict, operations: int) -> None:
    assert one_layer("forward", kind, shape, **options).operations == operations


def test_forward_and_all_gradients_of_a_pooling() -> None:
    found = one_layer("both", "max_pool", (1, 4, 4, 3), kernel=2, strides=2)
    assert found == Work(2 * 48, 4 * (48 + 12 + 12 + 48))


def test_training_counts_three_passes_and_no_dx_of_the_first_layer() -> None:
    # x (5,6,6,2) -> conv 3x3x2x3 -> pool -> 2x2x3 -> dense 12x4; 5 samples
    conv, pool, dense = 5 * 2 * 48 * 18, 5 * 12 * 4, 5 * 2 * 48
    weights = 54 + 3 + 48 + 4
    adam = work(small_training())
    assert adam.operations == 2 * conv + 2 * pool + 3 * dense
    assert adam.bytes == 4 * (5 * 72 + 5 + 2 * weights + 4 * weights)
    assert work(dataclasses.replace(small_training(), optimizer="sgd")).bytes == 4 * (5 * 72 + 5 + 2 * weights)


def test_frozen_layers_below_cost_their_forward_pass_only() -> None:
    layers = [dataclasses.replace(layer, trainable=layer.kind == "dense") for layer in small_training().layers]
    frozen = dataclasses.replace(small_training(), layers=tuple(layers), optimizer="sgd")
    assert work(frozen).operations == 5 * 2 * 48 * 18 + 5 * 12 * 4 + 2 * (5 * 2 * 48)
    assert work(frozen).bytes == 4 * (5 * 72 + 5 + 109 + 52)


def test_networks_have_as_many_multiply_adds_as_published() -> None:
    assert work(select("infer/resnet50-1")[0]).operations / 2 == pytest.approx(4.1e9, rel=0.01)
    assert work(select("infer/mobilenet-v2-1")[0]).operations / 2 == pytest.approx(0.31e9, rel=0.02)


def test_every_row_has_work_to_do() -> None:
    for row in workloads().values():
        found = work(row)
        assert found.bytes > 0 and found.operations > 0, row.name


def test_floor_is_the_longer_of_computing_and_moving() -> None:
    assert Work(operations=2_000_000_000, bytes=1_000).floor(PEAK) == 2.0
    assert Work(operations=1_000, bytes=3_000_000).floor(PEAK) == 3.0


def test_best_takes_each_figure_from_the_better_measurement() -> None:
    other = Peak("avx2", 2, operations=5e8, read=2e6, write=1e5, triad=3e6)
    assert PEAK.best(other) == Peak("avx2", 2, operations=1e9, read=2e6, write=5e5, triad=3e6)
    assert PEAK.best(other).bandwidth == 3e6


# The kernels behind the peaks


@pytest.mark.parametrize("n", [0, 1, 31, (1 << 18) - 1, (1 << 18) + 17, 700_000])
def test_passes_over_memory_touch_every_number(isa: str, n: int) -> None:
    a, b = np.arange(n, dtype=np.float32) % 7, np.full(n, 2.0, np.float32)
    y = np.zeros(n + 8, np.float32)[4 : n + 4]
    assert engine.peak_read(a) == a.astype(np.float64).sum()
    engine.peak_triad(a, b, y)
    np.testing.assert_array_equal(y, a + 1)
    engine.peak_write(y)
    np.testing.assert_array_equal(y, 1)
    assert not y.base[:4].any() and not y.base[n + 4 :].any()


def test_wrong_arrays_for_passes_over_memory_are_refused() -> None:
    a, b = np.zeros(4, np.float32), np.zeros(5, np.float32)
    with pytest.raises(ValueError, match="expected arrays of one size, got 4, 5 and 4"):
        engine.peak_triad(a, b, a)
    with pytest.raises(TypeError):
        engine.peak_read(a.astype(np.float64))
    a.flags.writeable = False
    with pytest.raises(ValueError):
        engine.peak_write(a)


def test_multiply_adds_are_counted_and_take_time(isa: str) -> None:
    few, many = engine.peak_multiply_add(1), engine.peak_multiply_add(50_000)
    assert few > 0 and many >= 50_000 / 4096 * few


def test_peaks_are_plausible_and_wider_vectors_are_not_slower() -> None:
    before = engine.isa(), engine.num_threads()
    try:
        best, scalar = measure("auto", 1, 1 << 20), measure("scalar", 1, 1 << 20)
    finally:
        engine.set_isa(before[0])
        engine.set_num_threads(before[1])
    assert 1e9 < scalar.operations <= 1.2 * best.operations < 1e12
    assert all(1e8 < v < 1e12 for v in (best.read, best.write, best.triad))
    assert best.isa == engine.available_isas()[0]
