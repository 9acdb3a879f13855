"""Data sets: `digits` comes with the package; `mnist`, `fashion_mnist`, `cifar10` are fetched on first use.

All give ``(x_train, y_train), (x_test, y_test)`` as uint8 arrays, images as (N, H, W) or (N, H, W, C). The
environment variable ``CNNFAST_DATA`` names a folder with local copies, which is also where downloads go.
"""

from cnnfast.datasets import cifar10, fashion_mnist, mnist
from cnnfast.datasets._digits import digits
from cnnfast.datasets._store import DownloadError
from cnnfast.datasets.idx import read_idx

__all__ = ["DownloadError", "cifar10", "digits", "fashion_mnist", "mnist", "read_idx"]
