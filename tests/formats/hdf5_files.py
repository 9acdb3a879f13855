"""HDF5 files as Keras writes them, put together by hand, so that hostile ones can be made as well."""

import numpy as np

KERNEL = np.arange(3 * 3 * 2 * 4, dtype=np.float32).reshape(3, 3, 2, 4)
BIAS = np.array([1, 2, 3, 4], np.float32)


def keras2(path, change=lambda f: None, names=None, fixed=True):
    """A .h5 file as Keras 2 wrote it, after `change`."""
    import h5py

    with h5py.File(path, "w") as f:
        names = names or {"conv": ["conv/kernel:0", "conv/bias:0"], "flat": [], "top": ["top/kernel:0"]}
        arrays = {"kernel": KERNEL, "bias": BIAS, "gamma": BIAS}
        f.attrs["layer_names"] = np.array(list(names), "S") if fixed else list(names)
        for layer, weights in names.items():
            group = f.create_group(layer)
            group.attrs["weight_names"] = np.array(weights, "S") if weights else []
            for weight in weights:
                group[weight] = arrays[weight.split("/")[-1].split(":")[0]]
        change(f)
    return path


def keras3(path, change=lambda f: None):
    """A .weights.h5 file as Keras 3 writes it, with what else may stand in it."""
    import h5py

    with h5py.File(path, "w") as f:
        for key, arrays in {
            "layers/conv2d/vars": [KERNEL, BIAS],
            "layers/conv2d_2/vars": [BIAS],
            "layers/conv2d_10/vars": [BIAS],
            "layers/functional/layers/dense/vars": [BIAS],
            "layers/dropout/seed_generator/vars": [np.array([1, 2], np.uint32)],
            "optimizer/vars": [np.array(3, np.int64)],
        }.items():
            group = f.create_group(key)
            for i, array in enumerate(arrays):
                group[str(i)] = array
        f["layers/conv2d/vars"].attrs["name"] = "stem"
        change(f)
    return path
