"""CIFAR-10, 60,000 colour pictures of ten kinds of things (Krizhevsky 2009, "Learning Multiple Layers of
Features from Tiny Images").

Keras downloads the "python version", which is pickled; this module reads the "binary version", which cannot
carry code: records of one label byte and 3072 pixel bytes, the red plane first, then green, then blue.
"""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from cnnfast.datasets._idx_set import Split
from cnnfast.datasets._store import check_sha256, download, local_folders, store

CLASS_NAMES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)

_ARCHIVE = "cifar-10-binary.tar.gz"
_URL = f"https://www.cs.toronto.edu/~kriz/{_ARCHIVE}"
_ARCHIVE_SHA256 = "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"
_FOLDER = "cifar-10-batches-bin"
_SHA256 = {
    "data_batch_1.bin": "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
    "data_batch_2.bin": "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
    "data_batch_3.bin": "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
    "data_batch_4.bin": "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
    "data_batch_5.bin": "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
    "test_batch.bin": "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
}
_RECORD = 1 + 3 * 32 * 32


def load_data() -> tuple[Split, Split]:
    """Load CIFAR-10, as ``keras.datasets.cifar10.load_data``.

    Looks for ``cifar-10-binary.tar.gz`` or the ``.bin`` files unpacked from it in the folder that the
    environment variable ``CNNFAST_DATA`` names and in ``cifar-10`` and ``cifar-10-batches-bin`` below it;
    without the variable below cnnfast's folder in the user's cache. What is not there is downloaded once
    (162 MB). The content is always checked against its known SHA-256.

    Returns:
        ``(x_train, y_train), (x_test, y_test)``: uint8 RGB images (50000, 32, 32, 3) and (10000, 32, 32, 3),
        uint8 labels (50000, 1) and (10000, 1) whose names are in `CLASS_NAMES`.

    Raises:
        DownloadError: not on this computer and not to be had from the network; the message says what to do.
        ValueError: a local file is damaged or is not CIFAR-10's.

    Example:
        >>> from cnnfast.datasets import cifar10
        >>> cifar10.CLASS_NAMES[6]
        'frog'
        >>> (x_train, y_train), (x_test, y_test) = cifar10.load_data()    # doctest: +SKIP
    """
    folders = [*local_folders("cifar-10", _FOLDER), store()]
    for folder in folders:
        if all((folder / name).is_file() for name in _SHA256):
            return _read_batches(_reader(folder), folder)
        if (folder / _ARCHIVE).is_file():
            return _read_archive(folder / _ARCHIVE)
    [archive] = download("cifar10", {_URL: f"sha256:{_ARCHIVE_SHA256}"}, folders[0], folders)
    return _read_archive(archive)


def _reader(folder: Path) -> Callable[[str], bytes]:
    return lambda name: (folder / name).read_bytes()


def _read_archive(path: Path) -> tuple[Split, Split]:
    """Read the batches out of the published archive; nothing is unpacked to disk, no path in it is used."""
    with open(path, "rb") as file:
        digest = hashlib.sha256()
        while chunk := file.read(1 << 20):
            digest.update(chunk)
        check_sha256(path, digest.hexdigest(), _ARCHIVE_SHA256)
        file.seek(0)
        with tarfile.open(fileobj=file, mode="r:gz") as archive:
            batches = {
                Path(member.name).name: stream.read()
                for member in archive
                if member.isreg() and (stream := archive.extractfile(member)) is not None
            }
    return _read_batches(batches.__getitem__, path)


def _read_batches(read: Callable[[str], bytes], source: Path) -> tuple[Split, Split]:
    batches = []
    for name, expected in _SHA256.items():
        content = read(name)
        check_sha256(source / name, hashlib.sha256(content).hexdigest(), expected)
        batches.append(np.frombuffer(content, np.uint8).reshape(-1, _RECORD))
    return _split(np.concatenate(batches[:-1])), _split(batches[-1])


def _split(records: np.ndarray) -> Split:
    planes = records[:, 1:].reshape(-1, 3, 32, 32)
    return np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), records[:, :1].copy()
