"""Runs the rows on a GPU: each peer keeps its process from row to row, for starting one takes seconds."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from cnnfast.bench.device.kernels import KernelResult, KernelRow
from cnnfast.bench.peers import PEERS, Peer
from cnnfast.bench.process import WorkerError, WorkerProcess
from cnnfast.bench.runner import Measurement, Result, Runner
from cnnfast.bench.spec import Workload

#: What peers may differ by, by policy: predictions in the Euclidean norm, the first step's loss. bfloat16 has 8 bits:
#: PyTorch's own predictions in it, on a CPU, are up to 10 % from those in float32 (ResNet-50 with random weights, in
#: training), its losses up to 1.7 %.
PREDICTION_TOLERANCE = {"float32": 1e-3, "tensorfloat32": 0.02, "mixed_bfloat16": 0.15}
LOSS_TOLERANCE = {"float32": 1e-3, "tensorfloat32": 0.01, "mixed_bfloat16": 0.05}

#: A kernel is run at least so often: a run is short, what comes before it is not.
KERNEL_RUNS = 7


class DeviceRunner(Runner):
    """Measures workloads and kernels on a device; arguments as `Runner`, and the policy.

    Answers are compared in fewer ways than on the CPU, where all rules of training are: predictions, or the loss of the
    first training step. Where dropout makes losses chance, the predictions of the network without it are compared,
    except with a compiled peer: it computes what the other one does.
    """

    def __init__(self, *arguments: object, policy: str, **options: object):
        super().__init__(*arguments, **options)  # type: ignore[arg-type]
        self._policy = policy

    def __enter__(self) -> DeviceRunner:
        return self

    def describe(self) -> dict[str, str]:
        """What cnnfast's process says of itself and its device.

        Raises:
            WorkerError: it did not start: there is no such device, or this cnnfast cannot use it.
        """
        self._worker(PEERS["cnnfast"])
        return self.versions["cnnfast"]

    def run(self, workload: Workload) -> Result:
        """Compares, then times. A peer that fails is in the result with its error."""
        taking_part = [p for p in self._peers if workload.mode in p.modes]
        result = Result(workload, {p.name: Measurement(p.name) for p in taking_part})
        if len(taking_part) > 1 and _drops(workload):
            twin = dataclasses.replace(workload.without_dropout(), mode="infer")
            self._compare_on_device(twin, [p for p in taking_part if "compiled" not in p.options], result)
        self._compare_on_device(workload, taking_part, result)
        self._warm_up_all(workload, taking_part, result, loaded=True)
        self._rounds(workload, taking_part, result)
        for peer in taking_part:
            self._unload(peer, result.measurements[peer.name])
        return result

    def kernel(self, row: KernelRow) -> KernelResult:
        """Measures a kernel of cnnfast's."""
        result = KernelResult(row)
        self._log(row.name)
        try:
            found = self._worker(PEERS["cnnfast"]).kernel(row.name, max(KERNEL_RUNS, self._settings.rounds))
            result.seconds, result.bytes, result.types = found["seconds"], found["bytes"], found["types"]
        except WorkerError as error:
            result.error = str(error)
            self._close("cnnfast")
        return result

    def _unload(self, peer: Peer, m: Measurement) -> None:
        """Makes room on the device, also where the peer's figures are of no use."""
        worker = self._workers.get(peer.name)
        if worker is None:
            return
        try:
            worker.unload()
        except WorkerError as error:
            m.error = m.error or str(error)
            self._close(peer.name)

    def _compare_on_device(self, workload: Workload, peers: Sequence[Peer], result: Result) -> None:
        """Loads a workload everywhere, where it stays, and compares with the first peer that has an answer."""
        expected: np.ndarray | None = None
        for peer in peers:
            m = result.measurements[peer.name]
            self._log(f"{workload.name}: first step of {peer.name}")
            found = self._attempt(peer, m, lambda w: _first_answer(w, workload))
            if found is None or _drops(workload):
                continue
            if expected is None:
                expected, result.reference = found, peer.name
            elif not m.disagreement:
                m.disagreement = difference(workload.mode, self._policy, expected, found)


def _drops(workload: Workload) -> bool:
    return workload.mode == "train" and any(o.kind == "dropout" and o.options["rate"] > 0 for o in workload.layers)


def _first_answer(worker: WorkerProcess, workload: Workload) -> np.ndarray:
    """The loss of the first training step, or the predictions."""
    worker.load(workload)
    if workload.mode == "train":
        return np.asarray(worker.losses(1))
    return worker.answer(0)[1]["y"]


def difference(mode: str, policy: str, expected: np.ndarray, got: np.ndarray) -> str:
    """How two answers differ by more than the policy lets them, or ""."""
    what = "loss of the first step" if mode == "train" else "prediction"
    allowed = (LOSS_TOLERANCE if mode == "train" else PREDICTION_TOLERANCE)[policy]
    if expected.shape != got.shape:
        return f"{what} has shapes {expected.shape} and {got.shape}"
    error = float(np.linalg.norm(got - expected)) / max(float(np.linalg.norm(expected)), np.finfo(np.float32).tiny)
    return "" if error <= allowed else f"{what} differs by {error:.1e}, allowed is {allowed:g}"  # NaN differs
