"""The 6,000 handwritten digits that come with the package."""

from __future__ import annotations

import hashlib
import io
from importlib import resources

import numpy as np

from cnnfast.datasets._idx_set import Split
from cnnfast.datasets._store import check_sha256

_FILE = "digits.npz"  # made by tools/make_digits.py; origin and licence are in DIGITS.md beside it
_SHA256 = "87f09e66a52b52feb9a3c3194b344cb71815177e4eeb02bab9e4ca549892762b"


def digits() -> tuple[Split, Split]:
    """5,000 training and 1,000 test digits of MNIST, 500 and 100 of each class, without any download.

    Returns:
        ``(x_train, y_train), (x_test, y_test)``: uint8 images (5000, 28, 28) and (1000, 28, 28), ink 255 on
        background 0, uint8 labels (5000,) and (1000,), in an order shuffled once. New arrays at every call.

    Raises:
        ValueError: the installed file is damaged.

    Example:
        >>> from cnnfast import datasets
        >>> (x_train, y_train), (x_test, y_test) = datasets.digits()
        >>> x_train.shape, y_train.shape, x_train.dtype
        ((5000, 28, 28), (5000,), dtype('uint8'))
    """
    content = resources.files(__package__).joinpath(_FILE).read_bytes()
    check_sha256(_FILE, hashlib.sha256(content).hexdigest(), _SHA256)
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return (arrays["x_train"], arrays["y_train"]), (arrays["x_test"], arrays["y_test"])
