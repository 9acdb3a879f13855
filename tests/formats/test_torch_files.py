"""PyTorch's files are read without running anything: what is not a state dict is refused by name."""

import os
import pickle
import struct
import sys
import zipfile

import numpy as np
import pytest

from cnnfast.formats.foreign import read_foreign
from tests.formats import pickles as p


def read(tmp_path, data, name="a.pth"):
    path = tmp_path / name
    path.write_bytes(data)
    return read_foreign(path)


def refused(tmp_path, data, match):
    with pytest.raises(ValueError, match=match) as caught:
        read(tmp_path, data)
    assert "a.pth" in str(caught.value) and len(str(caught.value)) < 1500
    return str(caught.value)


def in_zip(value, **storages):
    return p.zipped(p.program(value), storages or {"0": b"\0" * 16})


@pytest.mark.parametrize("data", [p.good_zip(), p.good_legacy()], ids=["zip", "legacy"])
def test_a_state_dict_comes_back_bit_for_bit(tmp_path, data):
    weights = read(tmp_path, data)
    assert weights.kind == "torch" and list(weights.arrays) == list(p.ARRAYS)
    for name, array in weights.arrays.items():
        assert np.array_equal(array, p.ARRAYS[name]) and array.flags.owndata and array.flags.writeable


def test_numbers_in_the_other_order_of_bytes_are_turned(tmp_path):
    array = np.array([1.5, -2.0], np.float32)
    data = {"0": array.astype(">f4").tobytes()}
    whole = p.zipped(p.state_dict({"w": array}), data, byteorder=b"big")
    assert read(tmp_path, whole).arrays["w"].tolist() == [1.5, -2.0]
    refused(tmp_path, p.zipped(p.state_dict({"w": array}), data, byteorder=b"middle"), "order of bytes")


# Code


class Runs:
    """Pickled, it makes the file `sentinel` when it is loaded by pickle."""

    def __init__(self, how):
        self.how = how

    def __reduce__(self):
        return self.how


def attacks(sentinel):
    """Ways of making the sentinel, by a pattern for the name that a pickle of any protocol gives them."""
    command = f"open({str(sentinel)!r}, 'w').close()"
    return {
        r"(builtins|__builtin__)\.exec": (exec, (command,)),
        r"(builtins|__builtin__)\.eval": (eval, (command,)),
        r"posix\.system": (os.system, (f"touch {sentinel}",)),
        r"_?io\.open": (open, (str(sentinel), "w")),
    }


@pytest.mark.skipif(sys.platform == "win32", reason="the commands are those of POSIX")
@pytest.mark.parametrize("protocol", [2, 4, 5])
@pytest.mark.parametrize("container", ["zip", "legacy", "first"])
def test_nothing_that_a_pickle_names_is_called(tmp_path, protocol, container):
    sentinel = tmp_path / "sentinel"
    for name, how in attacks(sentinel).items():
        hostile = pickle.dumps({"weight": Runs(how)}, protocol)
        data = hostile if container == "first" else p.zipped(hostile, {})
        data = p.legacy(hostile, {}) if container == "legacy" else data
        refused(tmp_path, data, rf"a\.pth: .*names '{name}'.*Nothing was run")
    assert not sentinel.exists()


def test_the_attacks_above_are_attacks(tmp_path):
    """The standard library's pickle runs them."""
    sentinel = tmp_path / "sentinel"
    pickle.loads(pickle.dumps(Runs(next(iter(attacks(sentinel).values())))))
    assert sentinel.exists()


@pytest.mark.parametrize(("module", "attribute"), [
    ("os", "system"), ("posix", "system"), ("nt", "system"), ("subprocess", "Popen"), ("builtins", "eval"),
    ("__builtin__", "eval"), ("torch", "load"), ("torch.storage", "_load_from_bytes"), ("torch.hub", "load"),
    ("torch._utils", "_rebuild_tensor_v2.__globals__"), ("collections", "OrderedDict.update"), ("torch", "nn.Module"),
    ("torch._utils._rebuild_tensor_v2", "__call__"), ("numpy.core.multiarray", "scalar"), ("", ""), ("os\0", "system"),
    ("torch.FloatStorage", "__init__"), ("copyreg", "_reconstructor"), ("argparse", "Namespace"),
    ("runpy", "_run_code"),
])  # fmt: skip
def test_every_name_out_of_the_table_is_refused(tmp_path, module, attribute):
    call = p.called(p.name(module, attribute), p.text("touch sentinel"))
    refused(tmp_path, in_zip(p.dictionary({"w": call})), "which is not among what a state dict needs")
    stacked = p.text(module) + p.text(attribute) + b"\x93"
    refused(tmp_path, in_zip(p.dictionary({"w": stacked + b")" + p.REDUCE})), "not among")


INST = b"(" + p.text("touch sentinel") + b"ios\nsystem\n"
OBJ = b"(" + p.name("torch", "Size") + b"o"
TABLE = p.name("torch._utils", "_rebuild_tensor_v2")


@pytest.mark.parametrize(("value", "match"), [
    (INST, "INST"),
    (OBJ, "OBJ"),
    (p.name("torch", "Size") + b")\x81", "NEWOBJ"),
    (b"\x82\x01", "EXT1"),
    (b"Ptouch\n", "PERSID"),
    (b"S'a'\n", "instruction 0x53"),
    (b"0", "instruction 0x30"),
    (p.text("os.system") + p.tuple_of(p.text("ls")) + p.REDUCE, "calls something that is no function"),
    (p.called(p.name("torch", "FloatStorage"), p.number(3)), "calls something that is no function"),
    (p.name("collections", "OrderedDict") + p.text("ls") + p.REDUCE, "calls something that is no function"),
    (TABLE + b"}" + p.BUILD, "adds to something that is no dict"),
    (p.tuple_of() + b"}" + p.BUILD, "adds to something that is no dict"),
    (b"}" + p.tuple_of(b"}", b"}") + p.BUILD, "sets the state of an object"),
    (p.called(TABLE, p.text("a")), "with 1 arguments"),
    (p.called(TABLE, *[p.text("a")] * 6), "other than a storage"),
    (p.called(p.name("torch._utils", "_rebuild_parameter"), b"}", b"N", b"N"), "other than a tensor"),
    (p.called(p.name("collections", "OrderedDict"), p.tuple_of(p.number(1))), "unusual way"),
    (p.called(p.name("torch", "Size"), b"]"), "other than a tuple"),
    (p.text("storage") + b"Q", "no storage of numbers"),
    (p.tuple_of(p.text("module"), TABLE, p.text("0"), p.text("cpu"), p.number(3)) + b"Q", "no storage of numbers"),
    (p.tuple_of(p.text("storage"), TABLE, p.text("0"), p.text("cpu"), p.number(3)) + b"Q", "without a type"),
    (p.storage("0", -1), "without a type, a key or a length"),
    (p.tuple_of(p.text("storage"), p.name("torch", "FloatStorage"), p.number(0), p.text("cpu"), p.number(4)) + b"Q",
     "without a type, a key"),
    (b"}" + b"]" + b"N" + b"s", "neither text nor number"),
    (b"h\x07", "never stored"),
    (b"\x86", "not there"),
    (b"t", "no mark"),
    (b"]" + b"(" + b"a", "not there"),
    (b"}(NNNu", "without a value"),
    (b"X\xff\xff\xff\x7f", "a text of"),
    (b"X\x04\0\0\0ab", "."),
    (b"c" + b"a" * 2000, "endless name"),
    (b"\x8a\xff", "cut off"),
    (b"\x80\x09", "protocol 9"),
    (b"(", "other than one value"),
    (b"NN", "other than one value"),
    (b"N", "expected a state dict"),
    (p.text("x"), "expected a state dict"),
    (b"}", "no tensors"),
    (p.dictionary({"model": p.dictionary({"a": p.number(1)})}), "no tensors"),
], ids=range(40))  # fmt: skip
def test_programs_that_state_dicts_do_not_need_are_refused(tmp_path, value, match):
    refused(tmp_path, in_zip(value), match)
    assert os.listdir(tmp_path) == ["a.pth"]


def test_containers_that_hold_themselves_are_no_trap(tmp_path):
    """A list within itself, and a dictionary that is its own state dict."""
    loop = b"]q\x01h\x01a"
    good = p.plain("0", np.zeros(4, np.float32))
    assert list(read(tmp_path, in_zip(p.dictionary({"x": loop, "w": good}))).arrays) == ["w"]
    refused(tmp_path, in_zip(b"}q\x01" + p.text("state_dict") + b"h\x01s"), "no tensors")


# Tensors

HUGE = 2**62


@pytest.mark.parametrize(("offset", "shape", "strides"), [
    (1, (4,), (1,)), (0, (5,), (1,)), (0, (2, 2), (3, 1)), (-1, (2,), (1,)), (0, (-1,), (1,)), (0, (2,), (-1,)),
    (0, (HUGE,), (1,)), (0, (HUGE, HUGE), (0, 0)), (0, (5,), (0,)), (0, (2, HUGE), (1, 0)), (HUGE, (1,), (1,)),
    (0, (2,), (HUGE,)), (0, (2, 2), (1,)), (0, (1,) * 33, (1,) * 33),
])  # fmt: skip
def test_tensors_beyond_their_storage_are_refused(tmp_path, offset, shape, strides):
    value = p.tensor(p.storage("0", 4), offset, shape, strides)
    refused(tmp_path, in_zip(p.dictionary({"w": value})), "tensor 'w'")
    hollow = p.tensor(p.storage("0", 4), 0, (2,), (1,)).replace(p.number(2), b"N", 1)
    refused(tmp_path, in_zip(p.dictionary({"w": hollow})), "impossible sizes")


def test_storages_of_another_size_than_the_file_has_are_refused(tmp_path):
    value = p.dictionary({"w": p.plain("0", np.zeros(4, np.float32))})
    for data in (b"", b"\0" * 15, b"\0" * 17):
        refused(tmp_path, p.zipped(p.program(value), {"0": data}), "storage '0' needs 16 bytes|at most 16 are allowed")
    refused(tmp_path, p.zipped(p.program(value), {"1": b"\0" * 16}), "no entry 'archive/data/0'")
    for count in (0, 3, 5, 2**40):
        whole = p.legacy(p.program(value), {"0": np.zeros(4, np.float32)})
        at = len(whole) - 24
        refused(tmp_path, whole[:at] + struct.pack("<q", count) + whole[at + 8 :], "is not whole")


def test_few_bytes_cannot_become_many_numbers(tmp_path):
    """One storage for a thousand tensors; tied weights need two."""
    array = np.zeros(1000, np.float32)
    for count, allowed in ((2, True), (3, False), (1000, False)):
        value = p.program(p.dictionary({str(i): p.plain("0", array) for i in range(count)}))
        data = p.zipped(value, {"0": array.tobytes()})
        if allowed:
            assert len(read(tmp_path, data).arrays) == count
        else:
            refused(tmp_path, data, "times the bytes of their storages")


@pytest.mark.parametrize("program", [p.MARK + b"}" * 2**20 + b"t", b")" + b"\x85" * 2**20])
@pytest.mark.parametrize("container", [lambda program: p.zipped(program, {}), lambda program: p.legacy(program, {})])
def test_endless_rows_of_short_instructions_are_refused(tmp_path, program, container):
    """A byte each, a dictionary or a tuple of a hundred bytes each."""
    refused(tmp_path, container(p.program(program)), "more than 1048576 instructions")


# The zip file around it


def test_zip_bombs_are_refused(tmp_path):
    array = np.zeros(2**22, np.float32)
    data = p.zipped(p.state_dict({"w": array}), {"0": array.tobytes()}, zipfile.ZIP_DEFLATED)
    assert len(data) < 2**17
    refused(tmp_path, data, "would unpack to")


def test_a_program_packed_beyond_measure_is_refused(tmp_path):
    value = p.program(p.dictionary({"w": p.plain("0", np.zeros(1000, np.float32)), "x": p.MARK + b"}" * 20_000 + b"t"}))
    data = p.zipped(value, {"0": np.random.default_rng(0).bytes(4000)}, zipfile.ZIP_DEFLATED)
    refused(tmp_path, data, "data.pkl is packed more than 16-fold")
    data = p.zipped(value, {"0": np.random.default_rng(0).bytes(4000)})
    assert len(read(tmp_path, data).arrays) == 1


def test_zip_files_of_others_are_refused(tmp_path):
    refused(tmp_path, p.zipped(b"", {}, **{"constants.pkl": b""}), "TorchScript")
    refused(tmp_path, p.zipped(b"", {}, **{"code/a.py": b""}), "TorchScript")
    (tmp_path / "b.zip").write_bytes(b"")
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as f:
        f.writestr("readme", "x")
    refused(tmp_path, (tmp_path / "b.zip").read_bytes(), "no data.pkl")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_entries_of_one_name_are_refused(tmp_path):
    """Readers differ on which of them counts."""
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as f:
        f.writestr("a/data.pkl", p.state_dict())
        f.writestr("a/data.pkl", p.state_dict())
    refused(tmp_path, (tmp_path / "b.zip").read_bytes(), "two entries of one name")
