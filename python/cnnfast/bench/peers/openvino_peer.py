"""OpenVINO on the CPU, in float32."""

from __future__ import annotations

import numpy as np
import openvino as ov

from cnnfast.bench.data import Data
from cnnfast.bench.peers.channels_first import images_first, images_last
from cnnfast.bench.peers.onnx_graph import onnx_model
from cnnfast.bench.spec import Workload

_config: dict[str, object] = {}


def start(threads: int) -> dict[str, str]:
    _config.update(
        INFERENCE_NUM_THREADS=threads,
        PERFORMANCE_HINT="LATENCY",
        INFERENCE_PRECISION_HINT="f32",  # some CPUs would get bfloat16
    )
    return {"openvino": ov.__version__}


def prepare(workload: Workload, data: Data) -> OpenVinoSession:
    return OpenVinoSession(workload, data)


class OpenVinoSession:
    def __init__(self, workload: Workload, data: Data):
        core = ov.Core()
        compiled = core.compile_model(core.read_model(onnx_model(workload, data)), "CPU", _config)
        self._request = compiled.create_infer_request()
        self._request.set_input_tensor(ov.Tensor(images_first(data.x)))

    def step(self) -> float:
        self._request.infer(share_outputs=True)
        return 0.0

    def answer(self) -> dict[str, np.ndarray]:
        self._request.infer()
        return {"y": images_last(np.array(self._request.get_output_tensor().data))}
