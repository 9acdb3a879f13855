"""ONNX Runtime on its CPU provider."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort

from cnnfast.bench.data import Data
from cnnfast.bench.peers.channels_first import images_first, images_last
from cnnfast.bench.peers.onnx_graph import onnx_model
from cnnfast.bench.spec import Workload

_options = ort.SessionOptions()


def start(threads: int) -> dict[str, str]:
    _options.intra_op_num_threads = threads
    _options.inter_op_num_threads = 1
    _options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    _options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    return {"onnxruntime": ort.__version__}


def prepare(workload: Workload, data: Data) -> OnnxRuntimeSession:
    return OnnxRuntimeSession(workload, data)


class OnnxRuntimeSession:
    """Input and output are bound once: nothing is copied or allocated at a step."""

    def __init__(self, workload: Workload, data: Data):
        self._session = ort.InferenceSession(onnx_model(workload, data), _options, ["CPUExecutionProvider"])
        output = self._session.get_outputs()[0]
        self._x, self._y = images_first(data.x), np.empty(output.shape, np.float32)
        self._binding = self._session.io_binding()
        self._binding.bind_cpu_input("input", self._x)
        self._binding.bind_output(output.name, "cpu", 0, np.float32, output.shape, self._y.ctypes.data)

    def step(self) -> float:
        self._session.run_with_iobinding(self._binding)
        return 0.0

    def answer(self) -> dict[str, np.ndarray]:
        self.step()
        return {"y": images_last(self._y)}
