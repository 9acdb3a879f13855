"""Small helpers with Keras' names: one-hot labels, seeds, normalisation, splits, `PyDataset`, and image files."""

from __future__ import annotations

import importlib
import random as python_random
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from cnnfast import random
from cnnfast.checks import classes

if TYPE_CHECKING:
    from cnnfast.image.decode import array_to_img, img_to_array, load_img, save_img
    from cnnfast.image.loading import image_dataset_from_directory

#: what Keras has here too, loaded when it is first used
_IMAGE_NAMES = {
    "array_to_img": "decode",
    "image_dataset_from_directory": "loading",
    "img_to_array": "decode",
    "load_img": "decode",
    "save_img": "decode",
}

__all__ = [
    "PyDataset",
    "Sequence",
    "array_to_img",
    "image_dataset_from_directory",
    "img_to_array",
    "load_img",
    "normalize",
    "save_img",
    "set_random_seed",
    "split_dataset",
    "to_categorical",
]

Data = TypeVar("Data", np.ndarray, tuple, list)


def __getattr__(name: str) -> Any:
    if name in _IMAGE_NAMES:
        return getattr(importlib.import_module(f"cnnfast.image.{_IMAGE_NAMES[name]}"), name)
    raise AttributeError(f"module 'cnnfast.utils' has no attribute {name!r}")


def to_categorical(x: ArrayLike, num_classes: int | None = None) -> np.ndarray:
    """One-hot rows for class numbers.

    Args:
        x: whole numbers from 0, any shape; a last axis of length 1 is dropped.
        num_classes: length of the rows; default one more than the largest number.

    Returns:
        float64 array of the shape of `x` with a last axis of `num_classes`.

    Raises:
        ValueError: a number is negative, not whole, or not below `num_classes`; or `x` is empty.
        TypeError: `x` holds no numbers.

    Example:
        >>> from cnnfast.utils import to_categorical
        >>> to_categorical([0, 2])
        array([[1., 0., 0.],
               [0., 0., 1.]])
    """
    if num_classes is not None and num_classes < 1:
        raise ValueError(f"to_categorical: num_classes must be at least 1, came {num_classes}")
    labels = classes("to_categorical", "x", x, num_classes)
    if labels.ndim > 1 and labels.shape[-1] == 1:
        labels = labels[..., 0]
    rows = np.zeros((*labels.shape, num_classes or labels.max() + 1))
    np.put_along_axis(rows, labels[..., None], 1.0, axis=-1)
    return rows


def set_random_seed(seed: int) -> None:
    """Seed Python's `random`, NumPy's legacy generator and cnnfast's own: the same program, the same bits.

    Args:
        seed: 0 to 2**32 - 1.

    Raises:
        TypeError: `seed` is no whole number. ValueError: it is out of range. Nothing is seeded then.

    Example:
        >>> import cnnfast
        >>> cnnfast.utils.set_random_seed(42)
    """
    number = random.check_seed("set_random_seed", seed, limit=2**32)
    python_random.seed(number)
    np.random.seed(number)  # noqa: NPY002 - for the user's own calls of numpy.random
    random.set_seed(number)


def normalize(x: ArrayLike, axis: int = -1, order: int | float = 2) -> np.ndarray:
    """`x` divided by its norms of order `order` along `axis`; where the norm is 0, `x` stays.

    Example:
        >>> from cnnfast.utils import normalize
        >>> normalize([[3.0, 4.0], [0.0, 0.0]])
        array([[0.6, 0.8],
               [0. , 0. ]])
    """
    array = np.asarray(x)
    norm = np.linalg.norm(array, order, axis, keepdims=True)
    return array / np.where(norm == 0, 1, norm)


def split_dataset(
    dataset: Data,
    left_size: int | float | None = None,
    right_size: int | float | None = None,
    shuffle: bool = False,
    seed: int | None = None,
) -> tuple[Data, Data]:
    """Split an array, or a tuple or list of arrays of one length, into two parts along the first axis.

    Args:
        dataset: what to split.
        left_size: number of samples of the left part, or its share as a float in (0, 1); default: the rest.
        right_size: the same of the right part, which is taken from the end.
        shuffle: shuffle the samples first, all arrays alike.
        seed: for `shuffle`; None draws from cnnfast's generator.

    Returns:
        Left and right part, of the type of `dataset`. Without `shuffle` they are views.

    Raises:
        TypeError: no arrays, or sizes of another type. ValueError: different lengths, no size given, sizes
            out of range, too large together, or an empty part.

    Example:
        >>> import numpy as np
        >>> from cnnfast.utils import split_dataset
        >>> (x, y), (x_val, y_val) = split_dataset((np.zeros((10, 3)), np.arange(10)), right_size=0.2)
        >>> len(x), y_val
        (8, array([8, 9]))
    """
    arrays = [dataset] if isinstance(dataset, np.ndarray) else list(dataset)
    if not arrays or not all(isinstance(array, np.ndarray) and array.ndim for array in arrays):
        kinds = ", ".join(type(array).__name__ for array in arrays) or "nothing"
        raise TypeError(f"split_dataset: expected an array or a tuple or list of arrays, came {kinds}")
    lengths = {len(array) for array in arrays}
    if len(lengths) > 1:
        raise ValueError(f"split_dataset: the arrays must have one length, came {sorted(lengths)}")
    left, right = _split_sizes(lengths.pop(), left_size, right_size)
    if shuffle:
        generator = random.get_generator() if seed is None else np.random.default_rng(seed)
        order = generator.permutation(len(arrays[0]))
        arrays = [array[order] for array in arrays]
    parts = [array[:left] for array in arrays], [array[-right:] for array in arrays]
    if isinstance(dataset, np.ndarray):
        return parts[0][0], parts[1][0]
    return type(dataset)(parts[0]), type(dataset)(parts[1])


def _split_sizes(total: int, left: int | float | None, right: int | float | None) -> tuple[int, int]:
    if left is None and right is None:
        raise ValueError("split_dataset: left_size or right_size is needed, came neither")
    left_count, right_count = _count("left_size", left, total), _count("right_size", right, total)
    if left_count is None:
        left_count = total - (right_count or 0)
    if right_count is None:
        right_count = total - left_count
    if left_count + right_count > total or min(left_count, right_count) < 1:
        raise ValueError(
            f"split_dataset: left_size={left} and right_size={right} give parts of {left_count} and "
            f"{right_count} of {total} samples"
        )
    return left_count, right_count


def _count(name: str, size: int | float | None, total: int) -> int | None:
    if size is None:
        return None
    if isinstance(size, bool) or not isinstance(size, (int, float, np.integer, np.floating)):
        raise TypeError(f"split_dataset: {name} must be a number of samples or a share, came {size!r}")
    if isinstance(size, (int, np.integer)):
        count = int(size)
    elif 0 < size < 1:
        count = round(float(size) * total)
    else:
        raise ValueError(f"split_dataset: {name} as a share must lie between 0 and 1, came {size}")
    if not 0 < count < total:
        raise ValueError(f"split_dataset: {name}={size} means {count} of {total} samples; 1 to {total - 1} fit")
    return count


class PyDataset:
    """Base class of data sets that make one batch at a time. `Sequence` is its older name.

    A subclass has ``__len__``, the number of batches, and ``__getitem__``, which gives batch `index` as
    ``(x, y)`` or ``(x, y, sample_weight)``; it may have `on_epoch_begin` and `on_epoch_end`, say to shuffle.

    Args:
        workers: threads that may call ``__getitem__`` at once, at least 1.
        use_multiprocessing: taken for Keras' sake; batches come from threads, never from pickled copies.
        max_queue_size: batches that may be kept ready ahead, at least 1.

    Example:
        >>> import numpy as np
        >>> from cnnfast.utils import PyDataset
        >>> class Squares(PyDataset):
        ...     def __len__(self):
        ...         return 3
        ...     def __getitem__(self, index):
        ...         x = np.arange(2) + 2 * index
        ...         return x, x**2
        >>> [y.tolist() for _, y in Squares()]
        [[0, 1], [4, 9], [16, 25]]
    """

    # here too, so that a subclass may forget super().__init__()
    workers: int = 1
    use_multiprocessing: bool = False
    max_queue_size: int = 10

    def __init__(self, workers: int = 1, use_multiprocessing: bool = False, max_queue_size: int = 10):
        if workers < 1 or max_queue_size < 1:
            raise ValueError(
                f"{type(self).__name__}: workers and max_queue_size must be at least 1, "
                f"came {workers} and {max_queue_size}"
            )
        self.workers = workers
        self.use_multiprocessing = use_multiprocessing
        self.max_queue_size = max_queue_size

    def __len__(self) -> int:
        raise NotImplementedError(f"{type(self).__name__} needs __len__, its number of batches")

    def __getitem__(self, index: int) -> Any:
        raise NotImplementedError(f"{type(self).__name__} needs __getitem__, which gives batch {index}")

    def __iter__(self) -> Iterator[Any]:
        """All batches, once."""
        for index in range(self.num_batches):
            yield self[index]

    @property
    def num_batches(self) -> int:
        """Number of batches; Keras' newer name of ``len``."""
        return len(self)

    @property
    def makes_ahead(self) -> bool:
        """Whether threads make batches while the model computes: if there are several workers."""
        return self.workers > 1

    @property
    def keeps_order(self) -> bool:
        """Whether `fit` leaves the order of batches alone, because the data set itself puts its samples in order."""
        return False

    def samples_of(self, index: int) -> np.ndarray | None:
        """The numbers of the samples in batch `index`, from 0, so that predictions find their samples.

        None, as here, if samples have no numbers.
        """
        return None

    def for_inference(self) -> PyDataset:
        """What `predict`, `evaluate` and validation read instead: this data set, unless training changes its
        order or its samples.
        """
        return self

    def get_state(self) -> dict[str, Any]:
        """What changes from epoch to epoch, as JSON can hold it; asked for before `on_epoch_begin`."""
        return {}

    def set_state(self, state: dict[str, Any]) -> None:
        """Goes back to where `get_state` was called, so that interrupted training goes on bit for bit."""

    def next_pass(self, after: Any = None) -> PyDataset:
        """Begins the next epoch and gives what its batches are read from: this data set after `on_epoch_begin`.

        A data set that may be iterated while another iteration of it goes on gives a copy that stays in its epoch.

        Args:
            after: what this gave for the epoch before, so that a series of epochs goes on whatever else was read.
        """
        self.on_epoch_begin()
        return self

    def on_epoch_begin(self) -> None:
        """Called before the first batch of every epoch."""

    def on_epoch_end(self) -> None:
        """Called after the last batch of every epoch."""


Sequence = PyDataset
