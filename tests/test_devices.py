"""Which devices there are, what is refused, and what is left alone then."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
import threading

import numpy as np
import pytest

import cnnfast
from cnnfast import config
from cnnfast.graph.values import Variable
from cnnfast.ops import engine, target

without_cuda = pytest.mark.skipif(engine.has_cuda(), reason="this build has CUDA")


@pytest.fixture(autouse=True)
def as_before():
    before = target.current()
    yield
    target.choose_device(before.device)
    target.choose_policy(before.policy)


def test_the_cpu_is_the_first_device():
    first = cnnfast.devices()[0]
    assert (first.name, first.memory_bytes, first.capability) == ("cpu", 0, (0, 0))
    assert first.description


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:x", "cuda:-1", "cpu:0", "CUDA", "", 0, None, "cuda:٣"])
def test_other_names_are_refused_and_change_nothing(name):
    before = target.current()
    with pytest.raises(ValueError, match=r"set_device: expected 'cpu', 'cuda' or 'cuda:0'"):
        cnnfast.set_device(name)
    assert target.current() == before


@without_cuda
@pytest.mark.parametrize("name", ["cuda", "cuda:1"])
def test_a_build_without_cuda_says_how_to_get_one(name):
    with pytest.raises(cnnfast.DeviceError, match=r"no CUDA\. Install it from its sources with CNNFAST_CUDA=1"):
        cnnfast.set_device(name)
    assert cnnfast.device() == target.current().device


def test_cuda_without_a_gpu_says_what_is_missing():
    if not engine.has_cuda():
        pytest.skip("this build has no CUDA")
    done = _in_another_process("import cnnfast; cnnfast.set_device('cuda')", CUDA_VISIBLE_DEVICES="")
    last = done.stderr.splitlines()[-1]
    assert "DeviceError: set_device: cuda: there is no" in last
    assert "GPU" in last or "driver" in last


@without_cuda
def test_a_build_without_cuda_has_the_cpu_alone():
    assert [d.name for d in cnnfast.devices()] == ["cpu"]


@pytest.mark.parametrize("name", ["bfloat16", "mixed_float16", "FLOAT32", "", None, 32])
def test_other_policies_are_refused_and_change_nothing(name):
    before = config.policy()
    with pytest.raises(ValueError, match="set_policy: expected 'float32', 'tensorfloat32', 'mixed_bfloat16'"):
        config.set_policy(name)
    assert config.policy() == before


def test_compile_refuses_an_unknown_policy():
    model = cnnfast.Sequential([cnnfast.layers.Dense(2, input_shape=(3,))])
    with pytest.raises(ValueError, match="compile: policy: expected 'float32'"):
        model.compile("sgd", "mse", policy="half")
    assert not model.compiled


def test_on_the_cpu_everything_is_float32_whatever_the_policy():
    if not target.current().is_cpu:
        pytest.skip("the tests run on a GPU")
    x = np.random.default_rng(0).standard_normal((3, 8, 8, 2)).astype(np.float32)
    model = cnnfast.Sequential([cnnfast.layers.Conv2D(4, 3, input_shape=(8, 8, 2))])
    plain = model.predict(x, verbose=0)
    config.set_policy("mixed_bfloat16")
    assert model.predict(x, verbose=0).tobytes() == plain.tobytes()


def _in_another_process(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )


_USE = "import cnnfast; print(cnnfast.device(), cnnfast.config.policy())"


def test_the_environment_chooses_at_the_start():
    done = _in_another_process(_USE, CNNFAST_DEVICE="cpu", CNNFAST_POLICY="tensorfloat32")
    assert done.stdout.split() == ["cpu", "tensorfloat32"]


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("CNNFAST_DEVICE", "tpu", "CNNFAST_DEVICE: expected 'cpu', 'cuda'"),
        ("CNNFAST_POLICY", "half", "CNNFAST_POLICY: expected 'float32'"),
    ],
)
def test_the_environment_is_checked(variable, value, message):
    done = _in_another_process(_USE, **{variable: value})
    assert done.returncode != 0
    assert message in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("variable", ["CNNFAST_DEVICE", "CNNFAST_POLICY"])
def test_a_bad_environment_can_be_put_right_from_python(variable):
    code = "import cnnfast; cnnfast.set_device('cpu'); cnnfast.config.set_policy('float32'); print(cnnfast.device())"
    assert _in_another_process(code, **{variable: "nonsense"}).stdout.strip() == "cpu"


def test_a_policy_is_that_of_the_thread_that_builds():
    seen = []
    with target.using_policy("mixed_bfloat16"):
        thread = threading.Thread(target=lambda: seen.append(target.current().policy))
        thread.start()
        thread.join()
        seen.append(target.current().policy)
    assert seen == [config.policy(), "mixed_bfloat16"]


def test_importing_loads_nothing_of_cuda():
    code = "import cnnfast, cnnfast.ops; print([l.split()[-1] for l in open('/proc/self/maps') if 'libcuda' in l])"
    if not sys.platform.startswith("linux"):
        pytest.skip("needs /proc")
    assert _in_another_process(code, CNNFAST_DEVICE="cpu").stdout.strip() == "[]"


class _Memory:
    """Stands for a device's memory."""

    def __init__(self, nbytes):
        self.array = np.zeros(nbytes // 4, np.float32)
        self.copies = 0

    def upload(self, array):
        self.array[...] = array.ravel()
        self.copies += 1

    def download(self, array):
        array[...] = self.array.reshape(array.shape)
        self.copies += 1


def test_a_variable_is_copied_only_when_its_value_is_elsewhere():
    v = Variable(np.arange(3.0))
    memory = v.array_on("gpu", _Memory)
    assert v.array_on("gpu", _Memory) is memory
    v.bring_to("gpu")
    v.bring_to("gpu")
    assert memory.copies == 1
    memory.array += 1  # what a step there does
    v.changed_on("gpu")
    assert v.numpy().tolist() == [1, 2, 3] == v.value.tolist()
    assert memory.copies == 2
    v.bring_to("gpu")
    assert memory.copies == 2
    v.assign([7, 8, 9])
    assert memory.array.tolist() == [1, 2, 3]
    v.bring_to("gpu")
    assert memory.array.tolist() == [7, 8, 9]


def test_a_value_that_changes_while_it_is_copied_is_copied_again():
    v = Variable(np.zeros(2))
    memory = v.array_on("gpu", _Memory)
    memory.array += 1
    v.changed_on("gpu")

    def download(array):
        array[...] = memory.array
        memory.array += 1  # a step that ends meanwhile
        v.changed_on("gpu")

    memory.download, plain = download, memory.download
    assert v.numpy().tolist() == [1, 1]
    memory.download = plain
    assert v.numpy().tolist() == [2, 2]


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda v: pickle.loads(pickle.dumps(v))])
def test_a_copied_variable_has_the_value_that_was_on_a_device(duplicate):
    v = Variable(np.zeros(2), name="w", trainable=False)
    v.array_on("gpu", _Memory).array += 5
    v.changed_on("gpu")
    twin = duplicate(v)
    assert (twin.value.tolist(), twin.name, twin.trainable, twin.changes) == ([5, 5], "w", False, 1)
    twin.assign([1, 1])
    assert v.value.tolist() == [5, 5]
