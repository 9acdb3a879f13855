"""The benchmark on a GPU, without one: options, rows, floors, kernels on the CPU, a runner of fake processes."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cnnfast
from cnnfast.bench import cli, peers, target, worker
from cnnfast.bench.data import make_data
from cnnfast.bench.device import command, floor, kernels, report, rows
from cnnfast.bench.device.floor import Chip
from cnnfast.bench.device.kernels import KernelResult, KernelRow
from cnnfast.bench.device.report import Where
from cnnfast.bench.device.runner import DeviceRunner, difference
from cnnfast.bench.floor import work
from cnnfast.bench.peers import PEERS, Peer, cnnfast_peer
from cnnfast.bench.process import WorkerError, WorkerProcess
from cnnfast.bench.runner import Result, Settings
from cnnfast.bench.spec import Net, Workload
from cnnfast.bench.target import Target
from cnnfast.graph.fuse import fuse
from cnnfast.graph.mixed import use_bfloat16
from cnnfast.graph.values import Graph
from tests.bench_rows import branched_training, measured, small_prediction, small_training

DEVICE = {
    "cnnfast": "1.0", "device": "cuda:0", "description": "NVIDIA H200", "memory_bytes": str(140 << 30),
    "policy": "mixed_bfloat16",
}  # fmt: skip
HOST = {"cnnfast": "1.0", "cpu": "a CPU", "load_average": 0.0, "threads_allowed": 8, "peers": {"t": {"torch": "2.0"}}}
WHERE = Where(DEVICE, HOST, Settings(4, 3))
MIXED = Target("cuda", "mixed_bfloat16")


def parse(*options: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    cli.add_arguments(parser)
    return parser.parse_args(options)


def network(name: str) -> Workload:
    found = rows.rows()[name]
    assert isinstance(found, Workload)
    return found


# Options and peers


def test_the_policy_follows_from_the_device_unless_it_is_given() -> None:
    assert target.resolve("cpu", None) == Target("cpu", "float32")
    assert target.resolve("cuda", None) == MIXED
    assert target.resolve("cuda", "tensorfloat32").policy == "tensorfloat32"
    with pytest.raises(ValueError, match="--policy mixed_bfloat16 needs --device cuda"):
        target.resolve("cpu", "mixed_bfloat16")


@pytest.mark.parametrize("options", [("--device", "tpu"), ("--policy", "float16")])
def test_unknown_devices_and_policies_are_refused(options: tuple[str, str], capsys) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(SystemExit):
        parse(*options)
    assert "invalid choice" in capsys.readouterr().err


@pytest.mark.parametrize("option", [("--scaling",), ("--startup",), ("--plot", "x.png")])
def test_what_is_for_the_cpu_is_refused_on_a_gpu(option: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=f"{option[0]} is for runs on the CPU"):
        cli.main(parse("--device", "cuda", *option))


@pytest.mark.parametrize("option", ["--limit", "--budget"])
def test_what_is_for_a_gpu_is_refused_on_the_cpu(option: str) -> None:
    with pytest.raises(ValueError, match=f"{option} is for runs on a GPU"):
        cli.main(parse(option, "5"))


def test_peers_of_the_cpu_are_refused_on_a_gpu_and_the_other_way_round(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    for name in ("torch-eager", "torch-compile"):
        monkeypatch.setitem(peers.PEERS, name, dataclasses.replace(PEERS[name], requires={}))
    for name in ("torch", "all"):
        assert [p.name for p in peers.resolve(name, "cuda")] == ["torch-eager", "torch-compile"]
    message = "keras is measured on the CPU only; with --device cuda there are torch, all, torch-eager, torch-compile"
    with pytest.raises(ValueError, match=message):
        cli.main(parse("--device", "cuda", "--peers", "torch,keras"))
    with pytest.raises(ValueError, match="torch-compile is measured on a GPU only; with --device cpu there are torch,"):
        cli.main(parse("--peers", "torch-compile"))
    with pytest.raises(ValueError, match="unknown peer 'caffe'"):
        peers.resolve("caffe", "cuda")
    assert not {"torch-eager", "torch-compile", "cnnfast"} & set(peers.GROUPS["cpu"]["all"])


def test_a_device_that_is_not_there_is_an_error_of_one_line(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    def set_device(name: str) -> None:
        raise ValueError(f"set_device: there is no {name}")

    def start(peer: Peer, threads: int) -> WorkerProcess:
        try:
            cnnfast_peer.start(threads, "cuda", "float32")
        except ValueError as error:
            raise WorkerError(f"cnnfast: {error}") from error
        raise AssertionError

    monkeypatch.setattr(cnnfast, "set_device", set_device, raising=False)
    with pytest.raises(ValueError, match="bench: --device cuda: cnnfast: set_device: there is no cuda"):
        command.measure(parse(), [small_prediction()], [], Settings(1), MIXED, start, print)


# The process of a peer


def test_a_worker_gets_the_device_and_the_policy() -> None:
    assert MIXED.arguments == ["cuda", "mixed_bfloat16"] and target.CPU.arguments == []
    assert MIXED.environment == {"CNNFAST_DEVICE": "cuda", "CNNFAST_POLICY": "mixed_bfloat16"}
    script = "import json, os; print(json.dumps({'versions': dict(os.environ)}))"
    with WorkerProcess(PEERS["torch-eager"], 3, [sys.executable, "-c", script], target=MIXED) as process:
        assert process.versions["CNNFAST_DEVICE"] == "cuda"
        assert process.versions["CNNFAST_POLICY"] == "mixed_bfloat16"
        assert process.versions["CNNFAST_NUM_THREADS"] == "3"


def test_a_worker_starts_its_peer_on_the_device(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    asked: list[dict[str, Any]] = []

    class Module:
        @staticmethod
        def start(threads: int, **options: str) -> dict[str, str]:
            asked.append({"threads": threads, **options})
            return {"torch": "2.0"}

    monkeypatch.setattr(worker.importlib, "import_module", lambda _: Module)
    assert worker.start(PEERS["torch-compile"], 2, "cuda", "float32") == (Module, {"torch": "2.0"})
    worker.start(PEERS["torch"], 2, "cpu", "float32")
    assert asked == [
        {"threads": 2, "compiled": "yes", "device": "cuda", "policy": "float32"},
        {"threads": 2, "layout": "contiguous"},
    ]


def test_a_peer_that_gives_no_answer_in_time_is_ended() -> None:
    script = "import time; print('{\"versions\": {}}', flush=True); input(); time.sleep(60)"
    with (
        WorkerProcess(PEERS["torch-eager"], 1, [sys.executable, "-c", script], limit=1.0) as process,
        pytest.raises(WorkerError, match="torch-eager: gave no answer within 1 s"),
    ):
        process.memory()


class Session:
    warm_up_steps = 5

    def __init__(self) -> None:
        self.steps = 0

    def step(self) -> float:
        self.steps += 1
        return 0.5

    def answer(self) -> dict[str, np.ndarray]:
        return {}


def test_a_worker_warms_up_as_long_as_the_session_wants_and_unloads() -> None:
    session, released = Session(), list[bool]()
    made = worker.Worker(lambda workload, data: session, lambda: released.append(True))
    made.handle({"command": "load", "workload": small_prediction().to_json()})
    assert made.handle({"command": "losses", "steps": 2}) == {"losses": [0.5, 0.5]}
    made.handle({"command": "warm_up", "seconds": 0.0})
    assert session.steps == 2 + 5 + 1
    assert made.handle({"command": "unload"}) == {} and released == [True]
    with pytest.raises(ValueError, match="no workload is loaded"):
        made.handle({"command": "losses", "steps": 1})


# Rows


def test_rows_are_named_by_network_and_batch() -> None:
    names = list(rows.rows())
    assert [n for n in names if n.startswith("train/")] == [
        "train/resnet50-256", "train/vgg16-block5-16", "train/vgg16-block5-64", "train/mnist-64", "train/cats-dogs-32",
        "train/resnet18-cifar-64", "train/resnet18-cifar-256",
    ]  # fmt: skip
    assert [n for n in names if n.startswith("infer/")] == [
        "infer/resnet50-1", "infer/resnet50-64", "infer/vgg16-base-1", "infer/vgg16-base-64", "infer/mobilenet-v2-1",
        "infer/mobilenet-v2-64", "infer/mnist-1",
    ]  # fmt: skip
    assert "kernel/batch-norm-relu-56x56x256/float32" in names and "kernel/adam-update-25557032/float32" in names


def test_rows_of_both_suites_that_share_a_name_are_the_same_network() -> None:
    from cnnfast.bench.workloads import workloads

    for name, row in workloads().items():
        if name in rows.rows():
            mine = network(name)
            assert (mine.layers, mine.batch, mine.optimizer) == (row.layers, row.batch, row.optimizer)


def test_select_adds_the_copy_that_kernels_are_measured_against() -> None:
    assert [r.name for r in rows.select("train/mnist")] == ["train/mnist-64"]
    assert next(r.name for r in rows.select("dropout")) == kernels.COPY
    assert len(rows.select()) == len(rows.rows())
    with pytest.raises(ValueError, match="no workload matches 'nonsense'; `cnnfast bench --device cuda --list` shows"):
        rows.select("nonsense")


def test_list_names_every_row_of_the_device(capsys) -> None:  # type: ignore[no-untyped-def]
    assert cli.main(parse("--device", "cuda", "--list")) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in rows.rows()) and "infer/resnet50-8" not in out


# Floors


def test_floor_counts_what_lies_between_layers_only_where_it_is_larger_than_the_cache() -> None:
    # conv (5, 4, 4, 3) -> pooling -> flatten -> dense: what the dense layer makes leaves the network
    between = 2 * 5 * 48
    whole = work(small_training()).bytes
    assert floor.device_work(small_training(), "mixed_bfloat16", between).bytes == whole
    assert floor.device_work(small_training(), "mixed_bfloat16", between - 1).bytes == whole + 5 * between
    assert floor.device_work(small_training(), "float32", 0).bytes == whole + 2 * 5 * between
    assert floor.device_work(small_prediction(), "float32", 0).bytes == work(small_prediction()).bytes + 4 * between


def test_what_lies_between_frozen_layers_is_written_and_read_once() -> None:
    net = Net()
    net.add("conv2d", filters=3, kernel=1, trainable=False)
    net.add("conv2d", filters=3, kernel=1)
    net.add("flatten")
    net.add("dense", units=1, activation="sigmoid")
    row = Workload("frozen", "train", (4, 4, 2), 5, net.built(), "binary_crossentropy", "sgd")
    assert floor.device_work(row, "float32", 0).bytes == work(row).bytes + (2 + 5) * 4 * 5 * 48


def test_weights_that_no_step_changes_are_read_in_the_type_that_is_multiplied() -> None:
    weights = 54 + 3 + 48 + 4
    found = floor.device_work(small_prediction(), "mixed_bfloat16", 1 << 30)
    assert found.bytes == work(small_prediction()).bytes - 2 * weights
    layers = tuple(dataclasses.replace(layer, trainable=layer.kind == "dense") for layer in small_training().layers)
    frozen = dataclasses.replace(small_training(), layers=layers)
    assert floor.device_work(frozen, "mixed_bfloat16", 1 << 30).bytes == work(frozen).bytes - 2 * 57


def test_floor_is_the_longer_of_computing_and_moving() -> None:
    row, todo = small_training(), floor.device_work(small_training(), "float32", 1 << 30)
    slow = Chip("x", {"float32": 1.0}, 1e30, 1 << 30)
    assert floor.floor(row, "float32", slow) == todo.operations
    assert floor.floor(row, "float32", dataclasses.replace(slow, operations={"float32": 1e30}, bandwidth=1.0)) == (
        todo.bytes
    )


@pytest.mark.parametrize(
    "description, terabytes", [("NVIDIA H200", 4.8), ("NVIDIA H100 80GB HBM3", 3.35), ("NVIDIA H100 PCIe", 2.0)]
)
def test_chips_are_found_by_their_description(description: str, terabytes: float) -> None:
    chip = floor.chip_of(description)
    assert chip is not None and chip.bandwidth == terabytes * 1e12
    assert chip.operations["mixed_bfloat16"] > chip.operations["tensorfloat32"] > chip.operations["float32"]


def test_a_device_that_nobody_knows_has_no_floor() -> None:
    assert floor.chip_of("a new GPU") is None


def test_host_copies_are_images_labels_and_what_comes_back() -> None:
    assert floor.host_copies(small_training()) == 4 * 5 * 72 + 4 * 5 + 4
    assert floor.host_copies(small_prediction()) == 4 * 5 * 72 + 4 * 5 * 4
    assert floor.host_copies(network("train/cats-dogs-32")) == 4 * 32 * 150 * 150 * 3 + 4 * 32 + 4


# Kernels, on the CPU and at a small size


@pytest.fixture
def policies(monkeypatch) -> list[str]:  # type: ignore[no-untyped-def]
    """What was set in turn; nothing is really set."""
    found = ["float32"]
    monkeypatch.setattr(cnnfast.config, "policy", lambda: "float32", raising=False)
    monkeypatch.setattr(cnnfast.config, "set_policy", found.append, raising=False)
    return found


N, C, M = 2 * 6 * 6 * 8, 8, 2 * 3 * 3 * 8  # numbers of x, channels, numbers of what its pooling makes


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "float32"])
@pytest.mark.parametrize(
    "kind, nbytes",
    [
        ("copy", 8 * N),
        ("batch-norm-relu", 4 * (2 * N + 4 * C)),
        ("batch-norm-add-relu", 4 * (3 * N + 4 * C)),
        ("batch-norm-relu-backward", 4 * (3 * N + 6 * C)),
        ("batch-norm-add-relu-backward", 4 * (5 * N + 5 * C)),
        ("relu-backward-bias", 4 * (3 * N + C)),
        ("max-pool", 4 * N + 5 * M),
        ("max-pool-backward", 4 * N + 5 * M),
        ("softmax", 8 * N),
        ("softmax-loss", 8 * N + 4 * N // C + 4),
        ("adam-update", 4 * (7 * N + 8)),
        ("dropout", 8 * N),
    ],
)
def test_a_kernel_counts_what_it_reads_and_writes_once(
    kind: str, nbytes: int, policy: str, policies: list[str]
) -> None:
    found = kernels.measure(KernelRow("k", kind, (2, 6, 6, 8), policy), 3)
    assert found["bytes"] == nbytes
    assert found["types"] == "float32"
    assert len(found["seconds"]) == 3 and all(s > 0 for s in found["seconds"])
    assert policies == ["float32", policy, "float32"]


@pytest.mark.parametrize("kind", sorted(set(kernels._BUILDERS) - kernels._FLOAT32_ONLY - {"copy"}))
def test_kernels_read_bfloat16_under_the_mixed_policy(kind: str) -> None:
    graph = Graph(training=True)
    feeds = kernels._Feeds(graph, np.random.default_rng(1), "mixed_bfloat16")
    case = kernels._BUILDERS[kind](graph, feeds, (2, 6, 6, 8))
    fuse(graph, case.fetches)
    use_bfloat16(graph, case.fetches)
    inside = [n for n in graph.nodes if n.op.name in case.ops]
    assert kernels._types(kernels._Kernel(inside, [])) == "bfloat16"
    assert len(inside) == (2 if kind == "batch-norm-add-relu-backward" else 1)


def test_every_kind_of_kernel_has_rows_of_the_policies_that_change_it() -> None:
    found = list(kernels.rows())
    assert {row.kind for row in found} == set(kernels._BUILDERS)
    assert {row.policy for row in found if row.kind == "dropout"} == {"mixed_bfloat16", "float32"}
    assert {row.policy for row in found if row.kind == "adam-update"} == {"float32"}
    assert [row.name for row in found].count(kernels.COPY) == 1


def test_a_worker_measures_kernels_by_name(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(kernels, "measure", lambda row, runs: {"row": row.kind, "runs": runs})
    made = worker.Worker(lambda workload, data: Session())
    assert made.handle({"command": "kernel", "row": kernels.COPY, "runs": 4}) == {"row": "copy", "runs": 4}


# Runner


class FakeWorker:
    """A worker that notes what it is asked, and fails or errs where it is told."""

    log: list[tuple[str, str]] = []

    def __init__(self, peer: Peer, fault: str = ""):
        self.name, self._fault, self._row = peer.name, fault, small_prediction()
        self.versions = DEVICE if peer.name == "cnnfast" else {"torch": "2.0"}
        FakeWorker.log.append(("start", self.name))

    def _note(self, what: str) -> None:
        FakeWorker.log.append((what, self.name))
        if self._fault == what:
            raise WorkerError(f"{self.name}: cannot")

    def load(self, workload: Workload) -> None:
        self._note(f"load {workload.mode}")
        self._row = workload

    def losses(self, steps: int) -> list[float]:
        self._note("losses")
        return [9.0 if self._fault == "wrong" else 1.0] * steps

    def answer(self, steps: int) -> tuple[list[float], dict[str, np.ndarray]]:
        self._note("answer")
        return [], {"y": np.full(3, 2.0 if self._fault == "wrong" else 1.0)}

    def warm_up(self, seconds: float) -> int:
        self._note("warm_up")
        return 7

    def round(self, steps: int) -> dict[str, float]:
        self._note("round")
        seconds = {"cnnfast": 1.0, "torch-eager": 3.0, "torch-compile": 2.0}[self.name]
        return {"seconds": seconds, "page_faults": 0.0, "loss": float("nan") if self._fault == "loss" else 1.0}

    def unload(self) -> None:
        self._note("unload")

    def kernel(self, row: str, runs: int) -> dict[str, Any]:
        self._note(f"kernel {row}")
        return {"seconds": [0.5] * runs, "bytes": 1_000_000_000, "types": "bfloat16"}

    def close(self) -> None:
        FakeWorker.log.append(("close", self.name))


BOTH = [PEERS["torch-eager"], PEERS["torch-compile"]]


def start_fake(fault: str = "", of: str = "torch-eager") -> Any:
    FakeWorker.log = []
    return lambda peer, threads: FakeWorker(peer, fault if peer.name == of else "")


def run_fake(workload: Workload, fault: str = "") -> Result:
    with DeviceRunner(BOTH, Settings(2, 3), start=start_fake(fault), policy="mixed_bfloat16") as runner:
        return runner.run(workload)


def test_peers_load_once_take_turns_and_make_room() -> None:
    result = run_fake(small_training())
    asked = [what for what, name in FakeWorker.log if name == "torch-eager"]
    assert asked == ["start", "load train", "losses", "warm_up", "round", "round", "round", "unload", "close"]
    names = ["cnnfast", "torch-eager", "torch-compile"]
    assert [n for what, n in FakeWorker.log if what == "round"] == names * 3
    assert (result.fastest_peer(), result.reference) == ("torch-compile", "cnnfast")
    ratio = result.fastest_ratio()
    assert ratio is not None and ratio.median == 2.0


def test_processes_are_kept_from_row_to_row() -> None:
    with DeviceRunner(BOTH, Settings(2, 1), start=start_fake(), policy="float32") as runner:
        assert runner.describe() == DEVICE
        runner.run(small_training())
        runner.run(small_prediction())
    assert [what for what, _ in FakeWorker.log].count("start") == 3


def test_networks_with_dropout_are_compared_without_it_except_by_compiled_peers() -> None:
    result = run_fake(small_training(0.5), "wrong")
    assert "prediction differs" in result.measurements["torch-eager"].disagreement
    assert result.measurements["torch-compile"].disagreement == ""
    assert ("load infer", "torch-eager") in FakeWorker.log and ("load infer", "torch-compile") not in FakeWorker.log


def test_a_wrong_loss_is_timed_but_gets_no_ratio() -> None:
    result = run_fake(small_training(), "wrong")
    assert "loss of the first step differs by 8.0e+00" in result.measurements["torch-eager"].disagreement
    assert result.measurements["torch-eager"].seconds == [3.0] * 3
    assert result.ratio("torch-eager") is None


@pytest.mark.parametrize("fault, message", [("warm_up", "cannot"), ("unload", "cannot"), ("loss", "became nan")])
def test_a_peer_that_fails_is_reported_and_leaves_nothing_on_the_device(fault: str, message: str) -> None:
    result = run_fake(small_training(), fault)
    assert message in result.measurements["torch-eager"].error
    assert result.fastest_peer() == "torch-compile"
    assert {what for what, name in FakeWorker.log if name == "torch-eager"} & {"unload", "close"}


@pytest.mark.parametrize(
    "mode, policy, got, differs",
    [
        ("train", "float32", [1.002], True), ("train", "tensorfloat32", [1.002], False),
        ("infer", "mixed_bfloat16", [1.1], False), ("infer", "mixed_bfloat16", [1.2], True),
        ("infer", "mixed_bfloat16", [float("nan")], True), ("train", "mixed_bfloat16", [1.0, 1.0], True),
    ],
)  # fmt: skip
def test_answers_may_differ_by_what_the_policy_rounds(mode: str, policy: str, got: list[float], differs: bool) -> None:
    assert bool(difference(mode, policy, np.ones(1), np.array(got))) == differs


def test_a_kernel_that_fails_is_reported_and_the_next_gets_a_new_process() -> None:
    first, second = (r for r in list(kernels.rows())[:2])
    with DeviceRunner([], Settings(2, 3), start=start_fake(f"kernel {first.name}", "cnnfast"), policy="x") as runner:
        assert "cannot" in runner.kernel(first).error
        found = runner.kernel(second)
    assert found.bandwidth == 2e9 and len(found.seconds) == 7
    assert [what for what, _ in FakeWorker.log].count("start") == 2


# Report


def compared() -> Result:
    return measured(small_training(), cnnfast=[1.0, 1.0, 1.0], **{"torch-eager": [3.0] * 3, "torch-compile": [2.0] * 3})


def kernel_results() -> list[KernelResult]:
    copy, other, bad = list(kernels.rows())[:3]
    return [
        KernelResult(copy, [1.0, 1.0, 1.0], 2_000_000_000, "float32"),
        KernelResult(other, [1.0, 2.0, 3.0], 2_000_000_000, "bfloat16"),
        KernelResult(bad, error="no memory"),
    ]


def test_heading_names_device_policy_and_host() -> None:
    text = report.heading(WHERE)
    assert "NVIDIA H200 (140 GiB, cuda:0), mixed_bfloat16; host a CPU, 4 threads" in text
    assert "989.5 TFLOP/s and 4800 GB/s" in report.peak_line(WHERE)


def test_table_shows_rates_host_copies_and_the_fastest_peer() -> None:
    lines = report.rows(compared(), 12, WHERE).splitlines()
    assert lines[0].split()[:4] == ["small", "cnnfast", "1", "s"] and "0.00146 MB" in lines[0]
    assert lines[1].endswith("3.00x (3.00 - 3.00)") and lines[2].endswith("2.00x (2.00 - 2.00) (fastest peer)")


def test_table_has_no_floor_for_an_unknown_device() -> None:
    other = dataclasses.replace(WHERE, device={**DEVICE, "description": "a new GPU"})
    assert "no floors" in report.peak_line(other) and "%" not in report.rows(compared(), 12, other)
    assert report.to_json([compared()], [], other)["results"][0]["floor_seconds"] is None
    assert "| small | - | 1 s | - |" in report.markdown([compared()], [], other)


def test_kernels_are_shown_as_a_part_of_the_copy() -> None:
    copy = report.copy_bandwidth(kernel_results())
    lines = [report.kernel_row(k, 20, copy) for k in kernel_results()]
    assert lines[0].endswith("100 %") and lines[1].endswith("50 %") and "bfloat16" in lines[1]
    assert lines[2].endswith("failed: no memory")
    assert report.kernel_row(kernel_results()[1], 20, None).endswith("-")


def test_json_holds_device_policy_and_every_round() -> None:
    data = json.loads(json.dumps(report.to_json([compared()], kernel_results(), WHERE)))
    assert (data["device"]["description"], data["policy"]) == ("NVIDIA H200", "mixed_bfloat16")
    (row,) = data["results"]
    assert row["peers"]["torch-compile"]["ratio_median"] == 2.0 and row["fastest_peer"] == "torch-compile"
    assert row["floor_seconds"] > 0 and row["host_copies"] == floor.host_copies(small_training())
    assert data["copy_bytes_per_second"] == 2e9 and data["kernels"][2]["error"] == "no memory"
    assert data["stated"]["operations"] == 989.5e12


def test_markdown_has_tables_of_networks_and_kernels() -> None:
    failed = measured(small_prediction(), cnnfast=[1.0])
    failed.measurements["cnnfast"].error = "cnnfast: a|b"
    text = report.markdown([compared(), failed], kernel_results(), WHERE)
    assert "## Training" in text and "## Inference" in text and "## Kernels that wait for memory" in text
    assert "torch 2.0" in text and "| torch-compile | 2 s | 2.00 (2.00 - 2.00) |" in text
    assert "failed: cnnfast: a/b" in text and "failed or disagreed: small-infer" in text
    for table in text.split("## ")[1:]:
        assert len({line.count("|") for line in table.splitlines() if line.startswith("|")}) == 1


def measure_fake(*options: str, fault: str = "") -> int:
    chosen = [small_training(), *list(kernels.rows())[:2]]
    return command.measure(parse(*options), chosen, BOTH, Settings(2, 3), MIXED, start_fake(fault), lambda _: None)


def test_command_prints_each_row_and_writes_figures(tmp_path: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    file, tables = tmp_path / "run.json", tmp_path / "run.md"
    assert measure_fake("--json", str(file), "--markdown", str(tables)) == 0
    out = capsys.readouterr().out
    assert out.count("times as long as cnnfast") == out.count("of copy") == 1
    assert "training: 2.00 times as fast as the fastest peer (geometric mean of 1 row); lowest: 2.00, small" in out
    data = json.loads(file.read_text())
    assert len(data["results"]) == 1 and len(data["kernels"]) == 2
    assert data["machine"]["peers"]["torch-compile"] == {"torch": "2.0"}
    assert "| small |" in tables.read_text()


def test_command_tells_what_there_was_no_time_for(capsys) -> None:  # type: ignore[no-untyped-def]
    assert measure_fake("--budget", "1e-9") == 1
    assert "not measured within 1e-09 s: small, kernel/copy" in capsys.readouterr().out


def test_command_fails_if_a_peer_failed() -> None:
    assert measure_fake(fault="warm_up") == 1


# The peer itself, on the CPU


@pytest.mark.peers
@pytest.mark.parametrize("policy, tolerance", [("float32", 1e-5), ("mixed_bfloat16", 0.05)])
@pytest.mark.parametrize(
    "row", [small_training(), branched_training(), dataclasses.replace(branched_training(), mode="infer")]
)
def test_pytorch_computes_the_same_from_arrays_on_the_host(row: Workload, policy: str, tolerance: float) -> None:
    pytest.importorskip("torch")
    from cnnfast.bench.peers import torch_device_peer, torch_peer

    torch_device_peer.start(1, "cpu", policy)
    data = make_data(row)
    ours, expected = torch_device_peer.prepare(row, data), torch_peer.prepare(row, data)
    for _ in range(3):
        assert ours.step() == pytest.approx(expected.step(), rel=tolerance)
    for name, a in expected.answer().items():
        np.testing.assert_allclose(ours.answer()[name], a, atol=tolerance * np.abs(a).max())
    torch_device_peer.release()


@pytest.mark.peers
def test_pytorch_without_a_gpu_says_so() -> None:
    torch = pytest.importorskip("torch")
    from cnnfast.bench.peers import torch_device_peer

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(RuntimeError, match="finds no GPU"):
        torch_device_peer.start(1, "cuda", "float32")
