"""Every peer of the benchmark suite that is installed computes what cnnfast computes."""

from __future__ import annotations

import dataclasses

import pytest

from cnnfast.bench import workloads
from cnnfast.bench.peers import PEERS
from cnnfast.bench.runner import Runner, Settings
from cnnfast.bench.spec import Workload
from tests.bench_rows import branched_training, small_prediction, small_training


@pytest.mark.peers
@pytest.mark.parametrize("name", [n for n, peer in PEERS.items() if n != "cnnfast" and "cpu" in peer.devices])
@pytest.mark.parametrize(
    "row",
    [
        small_training(0.3), branched_training(), small_prediction(),
        dataclasses.replace(branched_training(), mode="infer"),
        *workloads.select("kernel/depthwise-mobilenetv2-3x3-28-192-s2"), *workloads.select("kernel/batch-norm"),
        *workloads.select("kernel/max-pool/"), *workloads.select("kernel/conv-deepbench-5x10-*"),
    ],
    ids=lambda w: f"{w.name}-{w.mode}",
)  # fmt: skip
def test_peer_agrees_with_cnnfast(name: str, row: Workload) -> None:
    peer = PEERS[name]
    if peer.missing() or row.mode not in peer.modes:
        pytest.skip(f"{name} is not installed or cannot do {row.mode}")
    with Runner([peer], Settings(1, 1, 0.0)) as runner:
        result = runner.run(row)
    for m in result.measurements.values():
        assert (m.error, m.disagreement) == ("", "")
    assert result.ratio(name) is not None
