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
    _options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    return {"onnxruntime": ort.__version__}


def prepare(workload: Workload, data: Data) -> OnnxRuntimeSession:
    return OnnxRuntimeSession(workload, data)


class OnnxRuntimeSession:
    def __init__(self, workload: Workload, data: Data):
        self._session = ort.InferenceSession(onnx_model(workload, data), _options, ["CPUExecutionProvider"])
        self._feeds = {"input": images_first(data.x)}

    def step(self) -> float:
        self._session.run(None, self._feeds)
        return 0.0

    def answer(self) -> dict[str, np.ndarray]:
        return {"y": images_last(self._session.run(None, self._feeds)[0])}
