"""The benchmark suite: its workloads, its check of answers, its statistics and what it writes."""

from __future__ import annotations

import argparse
import dataclasses
import io
import json
import sys
from math import prod

import numpy as np
import pytest

from cnnfast.bench import cli, convolutions, networks, peers, report, statistics, workloads
from cnnfast.bench.data import make_data
from cnnfast.bench.peers import PEERS, Peer
from cnnfast.bench.process import WorkerError, WorkerProcess, ask_python
from cnnfast.bench.runner import Runner, Settings
from cnnfast.bench.spec import Workload, gradient_targets
from cnnfast.bench.worker import WARM_UP_STEPS, Worker, serve
from tests.bench_rows import PEAK, small_prediction, small_training

# Workloads


def learned(layers: tuple, input_shape: tuple[int, ...]) -> int:
    shapes = Workload("n", "infer", input_shape, 1, layers).weight_shapes()
    return sum(prod(s) for name, s in shapes.items() if "moving" not in name)


def test_networks_have_as_many_weights_as_published() -> None:
    assert learned(networks.mnist_convnet(), (28, 28, 1)) == 93_322
    assert learned(networks.cats_dogs_convnet(), (150, 150, 3)) == 3_453_121
    assert learned(networks.vgg16_features(), (150, 150, 3)) == 14_714_688
    assert learned(networks.resnet50(), (224, 224, 3)) == 25_557_032
    assert learned(networks.mobilenet_v2(), (224, 224, 3)) == 3_504_872
    assert learned(networks.resnet18_cifar(), (32, 32, 3)) == 11_173_962
    assert learned(networks.googlenet(), (224, 224, 3)) == 6_998_552


@pytest.mark.parametrize("row", [w for w in workloads.select() if w.mode == "forward"], ids=lambda w: w.name)
def test_kernel_rows_have_the_output_shapes_that_the_engine_computes(row: Workload) -> None:
    import cnnfast
    from cnnfast.bench.peers.keras_style import build_model

    layer = row.layers[0]
    assert build_model(cnnfast, row, {}).output_shape[1:] == row.shapes()[layer.name]


def test_workload_survives_a_trip_through_json() -> None:
    for row in workloads.workloads().values():
        assert Workload.from_json(json.loads(json.dumps(row.to_json()))).weight_shapes() == row.weight_shapes()


def test_data_is_the_same_every_time_and_for_every_mode() -> None:
    train, infer = make_data(small_training()), make_data(dataclasses.replace(small_training(), mode="infer"))
    np.testing.assert_array_equal(train.x, infer.x)
    for name, w in train.weights.items():
        np.testing.assert_array_equal(w, infer.weights[name])


def test_without_dropout_changes_nothing_else() -> None:
    plain = small_training(0.5).without_dropout()
    assert plain == small_training(0.0)


def test_select_takes_parts_of_names_and_shell_patterns() -> None:
    assert [w.name for w in workloads.select("train/mnist")] == ["train/mnist-64"]
    assert {w.mode for w in workloads.select("kernel/conv-*/dw")} == {"dw"}
    with pytest.raises(ValueError, match="no workload matches 'nonsense'"):
        workloads.select("nonsense")


def test_first_layers_have_no_row_for_dx() -> None:
    names = workloads.workloads()
    assert "kernel/conv-mnist-1/dw" in names
    assert "kernel/conv-mnist-1/dx" not in names


def test_convolutions_of_networks_are_found_by_family() -> None:
    names = [w.name for w in workloads.select("kernel/conv-resnet50-*/dx")]
    assert len(names) == 22
    assert "kernel/conv-resnet50-3x3-56-128-128-s2/dx" in names
    for family in convolutions.families():
        modes = [w.mode for w in workloads.select(f"-{family}-")]
        assert modes.count("forward") == modes.count("dw") >= modes.count("dx") > 0
    assert {w.layers[0].kind for w in workloads.select("mobilenetv2")} == {"conv2d", "depthwise"}


def test_each_convolution_of_a_network_has_one_row_for_each_mode() -> None:
    shapes = Workload("n", "infer", (224, 224, 3), 1, networks.resnet50()).weight_shapes()
    kernels = {s for name, s in shapes.items() if name.endswith("kernel") and len(s) == 4}
    rows = workloads.select("kernel/conv-resnet50-*/forward")
    assert {s for w in rows for s in w.weight_shapes().values()} == kernels
    assert len({(w.input_shape, *w.weight_shapes().values(), w.layers[0].options["strides"]) for w in rows}) == len(
        rows
    )


def test_convolutions_of_networks_are_small_enough_for_a_quick_row() -> None:
    for row in workloads.workloads().values():
        if not any(f"-{family}-" in row.name for family in convolutions.families()):
            continue
        (kernel, *_), y = row.weight_shapes().values(), row.shapes()[row.layers[0].name]
        assert 2 * row.batch * prod(y[:2]) * prod(kernel) <= convolutions.MOST_OPERATIONS, row.name
        assert 4 * row.batch * (prod(y) + prod(row.input_shape)) <= convolutions.MOST_BYTES, row.name


def test_convolutions_of_networks_run_only_when_they_are_named() -> None:
    assert len(workloads.select()) < 60
    assert len(workloads.select("kernel/*")) > 500


def test_gradient_targets_leave_out_running_statistics() -> None:
    assert gradient_targets(workloads.select("kernel/batch-norm/both")[0]) == ["x", "gamma", "beta"]
    assert gradient_targets(workloads.select("kernel/dense-576-64/dw")[0]) == ["kernel"]


# Runner


class FakeWorker:
    """A worker whose rounds take the seconds it is told."""

    log: list[tuple[str, str]] = []

    def __init__(self, peer: Peer, seconds: list[float], fault: str = ""):
        self.name, self._seconds, self._fault = peer.name, list(seconds), fault
        self.versions = {peer.name: "1.0"}
        self._workload: Workload | None = None
        FakeWorker.log.append(("start", self.name))

    def load(self, workload: Workload) -> None:
        FakeWorker.log.append(("load", self.name))
        if self._fault == "load":
            raise WorkerError(f"{self.name}: cannot")
        self._workload = workload

    def answer(self, steps: int) -> tuple[list[float], dict[str, np.ndarray]]:
        return [1.0] * steps, {"y": np.full(3, 2.0 if self._fault == "answer" else 1.0)}

    def warm_up(self, seconds: float) -> int:
        return 7

    def round(self, steps: int) -> dict[str, float]:
        FakeWorker.log.append(("round", self.name))
        assert steps == 7
        return {
            "seconds": self._seconds.pop(0), "page_faults": 2.0,
            "loss": float("nan") if self._fault == "loss" else 1.0,
        }  # fmt: skip

    def memory(self) -> dict[str, int]:
        return {"bytes": 3 << 20, "loaded_bytes": 1 << 20}

    def close(self) -> None:
        FakeWorker.log.append(("close", self.name))


def run_fake(workload: Workload | None = None, fault: str = "", peers: tuple[str, ...] = ("torch",)):  # type: ignore[no-untyped-def]
    FakeWorker.log = []
    seconds = {"cnnfast": [1.0, 2.0, 4.0], "torch": [2.0, 6.0, 8.0], "keras": [5.0, 5.0, 5.0]}

    def start(peer: Peer, threads: int) -> FakeWorker:
        assert threads == 2
        return FakeWorker(peer, seconds[peer.name], fault if peer.name == "torch" else "")

    with Runner([PEERS[p] for p in peers], Settings(2, 3), start=start) as runner:  # type: ignore[arg-type]
        return runner.run(workload or small_prediction())


def test_peers_take_turns() -> None:
    run_fake(peers=("torch", "keras"))
    assert [n for what, n in FakeWorker.log if what == "round"] == ["cnnfast", "torch", "keras"] * 3


def test_ratio_is_the_median_of_rounds_that_followed_each_other() -> None:
    result = run_fake()
    assert result.measurements["torch"].spread == statistics.Spread(6.0, 4.0, 7.0)
    assert result.ratio("torch") == statistics.Spread(2.0, 2.0, 2.5)  # of 2, 3, 2: not 6 / 2
    assert result.fastest_peer() == "torch"
    assert result.reference == "cnnfast"


def test_each_row_but_kernels_gets_fresh_processes() -> None:
    run_fake()
    assert [n for what, n in FakeWorker.log if what == "start"] == ["cnnfast", "torch"] * 2
    run_fake(workloads.select("kernel/softmax/forward")[0])
    assert [n for what, n in FakeWorker.log if what == "start"] == ["cnnfast", "torch"]
    assert FakeWorker.log[-2:] == [("close", "cnnfast"), ("close", "torch")]  # when the runner ends


def test_kernel_rows_share_one_process_and_load_once() -> None:
    FakeWorker.log = []
    with Runner([PEERS["torch"]], Settings(1, 2), start=lambda peer, _: FakeWorker(peer, [1.0] * 6)) as runner:  # type: ignore[arg-type, return-value]
        for row in workloads.select("kernel/conv-mnist-2"):
            runner.run(row)
        assert FakeWorker.log.count(("start", "torch")) == FakeWorker.log.count(("start", "cnnfast")) == 1
        assert FakeWorker.log.count(("load", "torch")) == 3


def test_a_wrong_answer_is_timed_but_gets_no_ratio() -> None:
    result = run_fake(fault="answer")
    assert "y differs" in result.measurements["torch"].disagreement
    assert result.measurements["torch"].seconds == [2.0, 6.0, 8.0]
    assert result.ratio("torch") is None
    assert result.fastest_peer() is None
    assert "y differs" in report.rows(result, 20, PEAK)


@pytest.mark.parametrize("fault, message", [("load", "torch: cannot"), ("loss", "the loss became nan in round 1")])
def test_a_peer_that_fails_is_reported_and_the_others_go_on(fault: str, message: str) -> None:
    result = run_fake(fault=fault, peers=("torch", "keras"))
    assert message in result.measurements["torch"].error
    assert message in report.rows(result, 20, PEAK)
    assert result.fastest_peer() == "keras"
    assert result.ratio("keras").median == 2.5


def test_peers_that_cannot_do_a_workload_are_left_out() -> None:
    train = dataclasses.replace(small_training(), loss="sparse_categorical_crossentropy")
    result = run_fake(train, peers=())
    assert list(result.measurements) == ["cnnfast"]
    assert "train" not in PEERS["onnxruntime"].modes


def test_geometric_mean() -> None:
    assert statistics.geometric_mean([1.0, 4.0]) == pytest.approx(2.0)


# Worker


class CountingSession:
    def __init__(self) -> None:
        self.steps = 0

    def step(self) -> float:
        self.steps += 1
        return 0.5

    def answer(self) -> dict[str, np.ndarray]:
        return {"a/b": np.arange(3.0)}


def test_worker_counts_its_steps_and_times_them(tmp_path) -> None:  # type: ignore[no-untyped-def]
    session = CountingSession()
    worker = Worker(lambda workload, data: session)
    worker.handle({"command": "load", "workload": small_prediction().to_json()})
    assert worker.handle({"command": "warm_up", "seconds": 0.0}) == {"steps": 1}
    assert session.steps == WARM_UP_STEPS + 1
    answer = worker.handle({"command": "round", "steps": 10})
    assert session.steps == WARM_UP_STEPS + 1 + 11
    assert answer["seconds"] > 0 and answer["loss"] == 0.5
    file = tmp_path / "a.npz"
    assert worker.handle({"command": "answer", "steps": 2, "file": str(file)}) == {"losses": [0.5, 0.5]}
    with np.load(file, allow_pickle=False) as arrays:
        np.testing.assert_array_equal(arrays["a/b"], [0, 1, 2])


def test_worker_answers_a_bad_command_with_an_error_and_goes_on(capsys) -> None:  # type: ignore[no-untyped-def]
    requests = io.StringIO('{"command": "dance"}\nnot json\n{"command": "round", "steps": 1}\n{"command": "memory"}\n')
    answers = io.StringIO()
    serve(Worker(lambda workload, data: CountingSession()), requests, answers)
    lines = [json.loads(line) for line in answers.getvalue().splitlines()]
    assert "unknown command 'dance'" in lines[0]["error"]
    assert "JSONDecodeError" in lines[1]["error"]
    assert "no workload is loaded" in lines[2]["error"]
    assert lines[3]["bytes"] > 0
    assert "Traceback" in capsys.readouterr().err


def test_a_process_that_dies_is_an_error_with_its_last_words() -> None:
    script = "import sys; print('{\"versions\": {}}', flush=True); input(); sys.exit('out of memory')"
    message = "torch: the process ended with status 1: out of memory"
    with (
        WorkerProcess(PEERS["torch"], 1, [sys.executable, "-c", script]) as process,
        pytest.raises(WorkerError, match=message),
    ):
        process.memory()


def test_cnnfast_runs_and_answers_in_a_process_of_its_own() -> None:
    with WorkerProcess(PEERS["cnnfast"], 1) as process:
        assert "isa" in process.versions
        process.load(small_training())
        losses, weights = process.answer(2)
        assert len(losses) == 2
        assert {k: w.shape for k, w in weights.items()} == small_training().weight_shapes()
        assert process.round(process.warm_up(0.01))["seconds"] > 0


# Command


def parse(*options: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    cli.add_arguments(parser)
    return parser.parse_args(options)


def test_list_names_every_workload(capsys) -> None:  # type: ignore[no-untyped-def]
    assert cli.main(parse("--list")) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in workloads.workloads())


def test_unknown_workloads_peers_and_folders_are_refused_before_anything_runs(tmp_path) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match="no workload matches"):
        cli.main(parse("--only", "nonsense"))
    with pytest.raises(ValueError, match="unknown peer 'caffe'; known are torch"):
        cli.main(parse("--peers", "caffe"))
    with pytest.raises(ValueError, match="there is no folder"):
        cli.main(parse("--json", str(tmp_path / "none" / "x.json")))


@pytest.mark.parametrize("text", ["0", "-1", "two"])
def test_counts_must_be_positive(text: str, capsys) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(SystemExit):
        parse("--threads", text)
    assert "at least 1" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "short"])
def test_seconds_must_be_positive(text: str, capsys) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(SystemExit):
        parse("--seconds", text)
    assert "above 0" in capsys.readouterr().err


def test_a_missing_peer_is_named_with_its_pip_command(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    absent = dataclasses.replace(PEERS["torch"], requires={"no_such_module": "no-such-package"})
    monkeypatch.setitem(peers.PEERS, "torch", absent)
    with pytest.raises(ModuleNotFoundError, match="pip install no-such-package"):
        peers.resolve("torch")


def test_names_stand_for_several_peers_and_none_is_run_twice(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    for name in ("torch", "torch-channels-last"):
        monkeypatch.setitem(peers.PEERS, name, dataclasses.replace(PEERS[name], requires={}))
    found = [p.name for p in peers.resolve("torch-channels-last, torch,torch")]
    assert sorted(found) == ["torch", "torch-channels-last"]


def test_a_fresh_process_that_fails_is_an_error_with_its_last_words() -> None:
    with pytest.raises(WorkerError, match=r"a fresh process ended with status 1: .*'many'"):
        ask_python("-m", "cnnfast.bench.peak", "many", threads=1)


def test_bench_measures_cnnfast_alone_and_writes_figures(tmp_path, capsys) -> None:  # type: ignore[no-untyped-def]
    file, plot = tmp_path / "bench.json", tmp_path / "bench.png"
    tables = tmp_path / "bench.md"
    args = parse(
        "--quick", "--only", "kernel/dense-576-64", "--threads", "1", "--json", str(file), "--plot", str(plot),
        "--markdown", str(tables),
    )  # fmt: skip
    assert cli.main(args) == 0
    out = capsys.readouterr().out
    assert "kernel/dense-576-64/forward" in out and "1 thread" in out
    data = json.loads(file.read_text())
    assert data["machine"]["cpu"] and data["machine"]["peers"]["cnnfast"]["cnnfast"]
    row = data["results"][0]["peers"]["cnnfast"]
    assert len(row["seconds"]) == data["settings"]["rounds"] == 3
    assert row["seconds_median"] == sorted(row["seconds"])[1]
    assert data["peak"]["operations"] > 1e9 and data["peak"]["threads"] == 1
    assert data["results"][0]["floor_seconds"] > 0 and row["part_of_floor"] > 0
    assert plot.read_bytes().startswith(b"\x89PNG")
    assert "| kernel/dense-576-64/dw |" in tables.read_text()
