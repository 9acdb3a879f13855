"""Benchmark rows of explanations: what is compared, what must be caught, how much work they are."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from cnnfast.bench.agreement import Answer, checks, disagreement
from cnnfast.bench.data import make_data
from cnnfast.bench.explanations import last_maps
from cnnfast.bench.floor import work
from cnnfast.bench.peers import PEERS, cnnfast_peer
from cnnfast.bench.runner import Runner, Settings
from cnnfast.bench.spec import EXPLANATIONS, Net, Workload
from cnnfast.bench.workloads import select


def small(mode: str) -> Workload:
    """x (3,9,8,2) -> convolution (9,8,5) -> norm, relu -> pool (4,4,5) -> convolution (4,4,6) -> means -> 4 classes."""
    net = Net()
    net.add("conv2d", filters=5, kernel=3, padding="same", bias=False)
    net.add("batch_norm")
    net.add("relu")
    net.add("max_pool", kernel=2, strides=2)
    net.add("conv2d", filters=6, kernel=3, padding="same", activation="relu")
    net.add("global_average_pool")
    net.add("dense", units=4, activation="softmax")
    return Workload(f"small-{mode}", mode, (9, 8, 2), 3, net.built())


FORWARD = 3 * (2 * 72 * 5 * 18 + 2 * 72 * 5 + 72 * 5 + 4 * 80 + 2 * 16 * 6 * 45 + 96 + 2 * 6 * 4)
ABOVE = 3 * (96 + 2 * 6 * 4)
WEIGHTS = 90 + 4 * 5 + 270 + 6 + 24 + 4


def answer(workload: Workload) -> Answer:
    return Answer([], {k: a.copy() for k, a in cnnfast_peer.prepare(workload, make_data(workload)).answer().items()})


def test_the_rows_are_a_group_of_their_own_with_their_goals() -> None:
    rows = {row.name: row for row in select("explain/")}
    assert {name: row.goal for name, row in rows.items()} == {
        "explain/gradcam-resnet50-16": 4.0, "explain/saliency-resnet50-16": 2.0,
    }  # fmt: skip
    assert {(row.group, row.batch, row.input_shape) for row in rows.values()} == {("explain", 16, (224, 224, 3))}


def test_gradcam_looks_at_the_last_maps() -> None:
    row = small("gradcam")
    assert last_maps(row).kind == "conv2d" and last_maps(row).options["filters"] == 6
    resnet = select("explain/gradcam-resnet50-16")[0]
    assert resnet.shapes()[last_maps(resnet).name] == (7, 7, 2048) and last_maps(resnet).kind == "relu"
    dense = dataclasses.replace(row.layers[-1], inputs=("input",))
    with pytest.raises(ValueError, match="no layer with maps"):
        last_maps(dataclasses.replace(row, layers=(dense,), input_shape=(6,)))


def test_work_is_the_forward_pass_and_the_dx_that_is_needed() -> None:
    assert work(small("gradcam")).operations == FORWARD + ABOVE
    assert work(small("saliency")).operations == 2 * FORWARD
    assert work(small("gradcam")).bytes == 4 * (3 * (144 + 72) + WEIGHTS)
    assert work(small("saliency")).bytes == 4 * (3 * (144 + 144) + WEIGHTS)


def test_each_image_has_a_class_to_explain() -> None:
    y = make_data(dataclasses.replace(small("gradcam"), batch=64)).y
    assert y.shape == (64,) and y.dtype == np.int32 and set(y) == {0, 1, 2, 3}


def test_the_saliency_that_is_timed_is_the_slope_of_the_score() -> None:
    row = small("saliency")
    data = make_data(row)
    found = answer(row).arrays["y"]
    assert found.shape == data.x.shape and (found >= 0).all()
    last = dataclasses.replace(row.layers[-1], options={**row.layers[-1].options, "activation": ""})
    logits = dataclasses.replace(row, mode="infer", layers=(*row.layers[:-1], last))
    step, at = 1e-2, (1, 4, 3, 1)

    def score(change: float) -> float:
        x = data.x.copy()
        x[at] += change
        session = cnnfast_peer.prepare(logits, dataclasses.replace(data, x=x))
        return float(session.answer()["y"][1, data.y[1]])

    assert found[at] == pytest.approx(abs(score(step) - score(-step)) / (2 * step), rel=1e-2)


@pytest.mark.parametrize("mode", EXPLANATIONS)
def test_another_class_and_another_network_are_caught(mode: str) -> None:
    row = small(mode)
    todo, good = list(checks(row)), answer(row)
    assert disagreement(todo, [good], [answer(row)]) == ""
    data = make_data(row)
    other_class = dataclasses.replace(data, y=(data.y + 1) % 4)
    weights = {k: 1.2 * w if k.endswith("/gamma") else w for k, w in data.weights.items()}
    other_network = dataclasses.replace(data, weights=weights)
    for wrong in (other_class, other_network):
        got = Answer([], cnnfast_peer.prepare(row, wrong).answer())
        assert "y differs by" in disagreement(todo, [good], [got])


@pytest.mark.parametrize("mode", EXPLANATIONS)
def test_only_peers_that_explain_take_part(mode: str) -> None:
    assert [p.name for p in PEERS.values() if mode in p.modes] == ["cnnfast", "torch", "torch-channels-last"]


@pytest.mark.peers
@pytest.mark.parametrize("mode", EXPLANATIONS)
@pytest.mark.parametrize("name", ["torch", "torch-channels-last"])
def test_pytorchs_libraries_agree_with_cnnfast(name: str, mode: str) -> None:
    pytest.importorskip({"gradcam": "cv2", "saliency": "captum"}[mode])
    if PEERS[name].missing():
        pytest.skip(f"{name} is not installed")
    with Runner([PEERS[name]], Settings(1, 1, 0.0)) as runner:
        result = runner.run(small(mode))
    for m in result.measurements.values():
        assert (m.error, m.disagreement) == ("", "")
    assert result.ratio(name) is not None
