"""Files are hostile until checked: every broken rule is a ValueError that names the file."""

import json
import os
import random
import subprocess
import sys

import numpy as np
import pytest

from cnnfast.formats import safetensors_io

ARRAYS = {
    "conv2d/kernel": np.arange(2 * 3 * 4, dtype=np.float32).reshape(2, 3, 4),
    "scalar": np.float32(2.5),
    "empty": np.zeros((0, 3), np.float32),
    "bytes": np.arange(5, dtype=np.uint8),
    "iterations": np.array(7, np.int64),
}
DOCUMENT = {"version": 1, "name": "ä, naïve", "numbers": [0.1, None, True]}


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "a.safetensors"
    safetensors_io.write(path, ARRAYS, DOCUMENT)
    return path


def as_file(header, data=b"", size=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if size is None else size).to_bytes(8, "little") + text + data


def tensor(dtype="F32", shape=(2,), offsets=(0, 8)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


def test_arrays_and_document_come_back_bit_for_bit(path):
    arrays, document = safetensors_io.read(path)
    assert document == DOCUMENT
    assert arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert arrays[name].dtype == array.dtype
        assert np.array_equal(arrays[name], array)


def test_equal_contents_give_equal_files(path, tmp_path):
    again = tmp_path / "b.safetensors"
    safetensors_io.write(again, dict(reversed(ARRAYS.items())), DOCUMENT)
    assert again.read_bytes() == path.read_bytes()


def test_arrays_that_are_not_contiguous_are_written_in_their_own_order(tmp_path):
    x = np.arange(24, dtype=np.float32).reshape(4, 6)
    safetensors_io.write(tmp_path / "t.safetensors", {"t": x.T, "s": x[::2, ::-1]}, {})
    arrays, _ = safetensors_io.read(tmp_path / "t.safetensors")
    assert np.array_equal(arrays["t"], x.T)
    assert np.array_equal(arrays["s"], x[::2, ::-1])


@pytest.mark.parametrize("name", ["model.keras", "model.h5", "model", "model.safetensors.zip"])
def test_other_endings_are_refused(tmp_path, name):
    with pytest.raises(ValueError, match=r"\.safetensors"):
        safetensors_io.write(tmp_path / name, ARRAYS, DOCUMENT)
    with pytest.raises(ValueError, match=r"\.safetensors"):
        safetensors_io.read(tmp_path / name)
    assert not os.listdir(tmp_path)


def test_what_is_no_path_no_file_or_not_there_is_refused(tmp_path):
    with pytest.raises(TypeError, match="path"):
        safetensors_io.read(3)
    with pytest.raises(FileNotFoundError):
        safetensors_io.read(tmp_path / "missing.safetensors")
    (tmp_path / "folder.safetensors").mkdir()
    with pytest.raises(ValueError, match="folder"):
        safetensors_io.read(tmp_path / "folder.safetensors")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_pipe_is_refused_instead_of_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.safetensors")
    with pytest.raises(ValueError, match="pipe"):
        safetensors_io.read(tmp_path / "pipe.safetensors")


def test_document_that_json_cannot_hold_is_refused_and_nothing_is_written(tmp_path):
    for bad in ({"loss": float("nan")}, {"loss": float("inf")}, {"f": print}):
        with pytest.raises(ValueError, match="JSON"):
            safetensors_io.write(tmp_path / "a.safetensors", ARRAYS, bad)
    assert not os.listdir(tmp_path)


FILLS_THE_DISK = """
import resource, signal, sys
import numpy as np
from cnnfast.formats import safetensors_io

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    safetensors_io.write(sys.argv[1], {"x": np.zeros(1_000_000, np.float32)}, {})
except OSError as error:
    print("refused:", error)
"""


@pytest.mark.skipif(os.name != "posix", reason="limits of POSIX")
def test_full_disk_is_an_error_that_leaves_the_old_file(path):
    before = path.read_bytes()
    done = subprocess.run([sys.executable, "-c", FILLS_THE_DISK, path], capture_output=True, text=True, timeout=60)
    assert done.stdout.startswith("refused:"), done.stderr
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


NESTED = b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
BROKEN = {
    "empty file": (b"", "few"),
    "seven bytes": (b"1234567", "few"),
    "huge header length": (as_file({}, size=2**64 - 1), "header should have"),
    "header above 100 MB": (as_file({}, size=100_000_001), "header should have"),
    "header longer than the file": (as_file({}, size=3), "header should have"),
    "header of nothing": (as_file(b"", b"xx"), "begins with"),
    "space before the header": (as_file(b" {}"), "begins with"),
    "list": (as_file(b"[]"), "begins with"),
    "not UTF-8": (as_file(b'{"\xff": 1}'), "UTF-8"),
    "not JSON": (as_file(b"{'a': 1}"), "JSON"),
    "JSON and more": (as_file(b"{} {}"), "JSON"),
    "NaN": (as_file(b'{"a": NaN}'), "NaN"),
    "infinite number": (as_file(b'{"a": 1e999}'), "too large"),
    "endless number": (as_file(b'{"a": ' + b"9" * 100_000 + b"}"), "too long"),
    "nested deeply": (as_file(NESTED), "deep"),
    "name twice": (as_file(b'{"a": 1, "a": 2}'), "twice"),
    "metadata no object": (as_file({"__metadata__": ["a"]}), "metadata"),
    "metadata no strings": (as_file({"__metadata__": {"a": 1}}), "metadata"),
    "tensor no object": (as_file({"w": 3}), "object"),
    "tensor without shape": (as_file({"w": {"dtype": "F32", "data_offsets": [0, 0]}}), "shape"),
    "tensor with another key": (as_file({"w": {**tensor(), "path": "/etc/passwd"}}, bytes(8)), "path"),
    "unknown type": (as_file({"w": tensor("F31")}, bytes(8)), "F31"),
    "type no string": (as_file({"w": tensor(32)}, bytes(8)), "dtype"),
    "negative size": (as_file({"w": tensor(shape=(-2,))}, bytes(8)), "shape"),
    "size no integer": (as_file({"w": tensor(shape=(2.0,))}, bytes(8)), "shape"),
    "size a boolean": (as_file({"w": tensor(shape=(True,), offsets=(0, 4))}, bytes(4)), "shape"),
    "too many dimensions": (as_file({"w": tensor(shape=(1,) * 40, offsets=(0, 4))}, bytes(4)), "shape"),
    "absurd size behind a zero": (as_file({"w": tensor(shape=(0, 10**30), offsets=(0, 0))}), "shape"),
    "product beyond 64 bits": (as_file({"w": tensor(shape=(2**32, 2**32), offsets=(0, 0))}), "shape"),
    "three offsets": (as_file({"w": tensor(offsets=(0, 4, 8))}, bytes(8)), "data_offsets"),
    "negative offset": (as_file({"w": tensor(offsets=(-8, 0))}, bytes(8)), "data_offsets"),
    "offsets turned round": (as_file({"w": tensor(offsets=(8, 0))}, bytes(8)), "offsets"),
    "shape larger than the range": (as_file({"w": tensor(shape=(3,))}, bytes(8)), "12 bytes"),
    "beyond the end": (as_file({"w": tensor()}, bytes(4)), "whole"),
    "more than the tensors": (as_file({"w": tensor()}, bytes(9)), "whole"),
    "gap at the beginning": (as_file({"w": tensor(offsets=(4, 12))}, bytes(12)), "begin at byte 0"),
    "gap": (as_file({"v": tensor(), "w": tensor(offsets=(12, 20))}, bytes(20)), "begin at byte 8"),
    "overlap": (as_file({"v": tensor(), "w": tensor(offsets=(4, 12))}, bytes(12)), "begin at byte 8"),
    "same range twice": (as_file({"v": tensor(), "w": tensor()}, bytes(8)), "begin at byte 8"),
    "no document": (as_file({"w": tensor()}, bytes(8)), "cnnfast"),
    "document no object": (as_file({"__metadata__": {"cnnfast": "[]"}}), "object"),
    "document no JSON": (as_file({"__metadata__": {"cnnfast": "import os"}}), "JSON"),
    "key twice in the document": (as_file({"__metadata__": {"cnnfast": '{"a":1,"a":2}'}}), "twice"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_broken_file_is_refused_by_name(tmp_path, what):
    data, message = BROKEN[what]
    path = tmp_path / "broken.safetensors"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=message) as caught:
        safetensors_io.read(path)
    assert "broken.safetensors" in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_every_truncation_is_refused(path):
    whole = path.read_bytes()
    for size in range(len(whole)):
        with pytest.raises(ValueError, match=r"a\.safetensors"):
            safetensors_io.check(whole[:size], "a.safetensors")


def test_files_that_pass_the_check_are_accepted_by_the_package(path):
    """Random damage of the header: the check and the package never disagree in the dangerous direction."""
    from safetensors.numpy import load

    rng = random.Random(0)
    whole = bytearray(path.read_bytes())
    header_end = 8 + int.from_bytes(whole[:8], "little")
    accepted = 0
    for _ in range(3000):
        damaged = bytearray(whole)
        for _ in range(rng.choice((1, 1, 2, 5))):
            at = rng.randrange(header_end)
            flipped = damaged[at] ^ (1 << rng.randrange(8))
            damaged[at] = rng.choice((flipped, rng.randrange(256), rng.choice(b'0123456789[]{}",:')))
        try:
            safetensors_io.check(bytes(damaged), "a.safetensors")
        except ValueError:
            continue
        accepted += 1
        arrays = load(bytes(damaged))
        assert sum(a.nbytes for a in arrays.values()) == len(whole) - header_end
    assert accepted > 0
