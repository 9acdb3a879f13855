"""Fashion-MNIST, 70,000 pictures of clothes (Xiao, Rasul and Vollgraf, arXiv:1708.07747; MIT licence)."""

from __future__ import annotations

from pathlib import Path

from cnnfast.datasets._idx_set import Split, find_idx_files, read_idx_files
from cnnfast.datasets._store import download, local_folders

CLASS_NAMES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)

_DEBIAN = Path("/usr/share/datasets/fashion-mnist")  # Debian's package dataset-fashion-mnist
_ADVICE = " On Debian and Ubuntu, `apt install dataset-fashion-mnist` is enough."
_BASE = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com"  # no https there; the digests protect
_URLS = {
    f"{_BASE}/train-images-idx3-ubyte.gz": "md5:8d4fb7e6c68d591d4c3dfef9ec88bf0d",
    f"{_BASE}/train-labels-idx1-ubyte.gz": "md5:25c81989df183df01b3e8a0aad5dffbe",
    f"{_BASE}/t10k-images-idx3-ubyte.gz": "md5:bef4ecab320f06d8554ea6380940ec79",
    f"{_BASE}/t10k-labels-idx1-ubyte.gz": "md5:bb300cfdad3c16e7a12a480ee83cd310",
}
_SHA256 = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}


def load_data() -> tuple[Split, Split]:
    """Load Fashion-MNIST, as ``keras.datasets.fashion_mnist.load_data``.

    Looks for the four idx files (with or without ``.gz``) in ``fashion-mnist``, ``fashion_mnist`` and
    ``FashionMNIST/raw`` below the folder that the environment variable ``CNNFAST_DATA`` names (or in that
    folder itself if it is called so), without the variable below cnnfast's folder in the user's cache, then
    in ``/usr/share/datasets/fashion-mnist``. What is not there is downloaded once. The files bear the names
    of MNIST's, so the content is always checked against Fashion-MNIST's known SHA-256.

    Returns:
        ``(x_train, y_train), (x_test, y_test)``: uint8 images (60000, 28, 28) and (10000, 28, 28), uint8
        labels (60000,) and (10000,) whose names are in `CLASS_NAMES`.

    Raises:
        DownloadError: not on this computer and not to be had from the network; the message says what to do.
        ValueError: a local file is damaged or is not Fashion-MNIST's.

    Example:
        >>> from cnnfast.datasets import fashion_mnist
        >>> fashion_mnist.CLASS_NAMES[9]
        'Ankle boot'
        >>> (x_train, y_train), (x_test, y_test) = fashion_mnist.load_data()    # doctest: +SKIP
    """
    folders = [*local_folders("fashion-mnist", "fashion_mnist", "FashionMNIST/raw"), _DEBIAN]
    for folder in folders:
        files = find_idx_files(folder)
        if files:
            return read_idx_files(files, _SHA256)
    return read_idx_files(download("fashion_mnist", _URLS, folders[0], folders, _ADVICE), _SHA256)
