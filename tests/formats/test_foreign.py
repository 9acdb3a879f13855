"""Files of weights of any kind: told apart by name and contents, damaged ones refused, fitted or not at all."""

import importlib.util
import io
import random
import zipfile

import numpy as np
import pytest

from cnnfast import Input, Model, Sequential, layers
from cnnfast.formats.foreign import read_foreign
from tests.formats import pickles
from tests.formats.hdf5_files import BIAS, KERNEL, keras2, keras3


def npz(path, packed=False, **arrays):
    (np.savez_compressed if packed else np.savez)(path, **{k.replace("__", "/"): a for k, a in arrays.items()})
    return path


def safetensors(path, arrays, metadata=None):
    from safetensors.numpy import save_file

    save_file(arrays, path, metadata)
    return path


def refused(path, match):
    with pytest.raises(ValueError, match=match) as caught:
        read_foreign(path)
    assert str(path) in str(caught.value) and len(str(caught.value)) < 1000


# Which format


@pytest.mark.parametrize("ending", [".h5", ".hdf5", ".weights.h5", ".keras", ".pth", ".pt", ".pth.tar", ".bin", ".npz"])
@pytest.mark.parametrize(("contents", "what"), [
    (b"these are no weights at all\n", "a text file"),
    (b"", "an empty file"),
    (b"\x93NUMPY\x01\x00 and so on", "NumPy array"),
    (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
    (b"<!DOCTYPE html>", "a web page"),
    (b"\x1f\x8b\x08\0\0\0\0\0", "a gzip file"),
    (b"\xff\xfe\xfd\xfc\xfb\xfa\xf9\xf8", "something else"),
])  # fmt: skip
def test_contents_other_than_the_name_says_are_refused(tmp_path, ending, contents, what):
    path = tmp_path / f"a{ending}"
    path.write_bytes(contents)
    refused(path, rf"expected .*, got .*{what}")


def test_formats_are_not_taken_for_each_other(tmp_path):
    contents = {".npz": npz(tmp_path / "w.npz", a=BIAS).read_bytes(), ".pth": pickles.good_zip()}
    for ending, data, match in (
        (".keras", contents[".npz"], "not one that Keras saved"),
        (".pth", contents[".npz"], "not one that torch.save wrote"),
        (".h5", contents[".npz"], "got a zip file"),
        (".npz", contents[".pth"], "is not an array"),
        (".safetensors", contents[".pth"], "not a whole safetensors file"),
        (".safetensors", b"text", "not a safetensors file"),
    ):
        path = tmp_path / f"a{ending}"
        path.write_bytes(data)
        refused(path, match)


def test_other_endings_folders_and_missing_files_are_refused(tmp_path):
    (tmp_path / "a.txt").write_text("x")
    refused(tmp_path / "a.txt", r"files that end in \.h5")
    (tmp_path / "folder.h5").mkdir()
    refused(tmp_path / "folder.h5", "got a folder")
    with pytest.raises(FileNotFoundError, match=r"missing\.h5"):
        read_foreign(tmp_path / "missing.h5")
    with pytest.raises(TypeError, match="path of a file"):
        read_foreign(3)


# Damage


def examples(folder):
    """A small file of each format."""
    folder.mkdir()
    files = {
        "zip.pth": pickles.good_zip(),
        "legacy.pth": pickles.good_legacy(),
        "a.npz": npz(folder / "a.npz", conv__kernel=KERNEL, conv__bias=BIAS).read_bytes(),
        "packed.npz": npz(folder / "packed.npz", packed=True, conv__kernel=KERNEL, conv__bias=BIAS).read_bytes(),
        "a.safetensors": safetensors(folder / "a.safetensors", {"conv.weight": KERNEL, "b": BIAS}).read_bytes(),
    }
    if importlib.util.find_spec("h5py") is None:
        return files
    files["a.h5"] = keras2(folder / "a.h5").read_bytes()
    files["b.h5"] = keras2(folder / "b.h5", fixed=False).read_bytes()
    files["a.weights.h5"] = keras3(folder / "a.weights.h5").read_bytes()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as f:
        f.writestr("model.weights.h5", files["a.weights.h5"])
    files["a.keras"] = buffer.getvalue()
    return files


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return examples(tmp_path_factory.mktemp("examples") / "files")


def attempt(path, data):
    """Reads damaged contents: arrays, or an error that names the file."""
    path.write_bytes(data)
    try:
        return read_foreign(path)
    except (ValueError, OSError) as error:
        assert str(path) in str(error), error
        return None


def test_cut_files_are_refused(files, tmp_path):
    for name, data in files.items():
        for i in range(16):
            assert attempt(tmp_path / name, data[: len(data) * i // 16]) is None, (name, i)
        assert attempt(tmp_path / name, data) is not None


def test_damaged_files_give_arrays_or_a_clear_error(files, tmp_path):
    """Whichever bits are wrong: no crash, no other kind of error, no more numbers than the file allows."""
    rng = random.Random(20260101)
    for name, data in files.items():
        for _ in range(50):
            damaged = bytearray(data)
            for _ in range(rng.choice((1, 1, 2, 8))):
                at = rng.randrange(len(data))
                damaged[at] = rng.choice((damaged[at] ^ (1 << rng.randrange(8)), rng.randrange(256)))
            weights = attempt(tmp_path / name, bytes(damaged))
            if weights is not None:
                assert sum(a.nbytes for a in weights.arrays.values()) <= 128 * len(data)
        assert sorted(p.name for p in tmp_path.iterdir()) == sorted(n for n in files if (tmp_path / n).exists())


# .npz and safetensors


def test_npz_is_read_in_its_order_whatever_its_numbers(tmp_path):
    path = npz(tmp_path / "a.npz", b__kernel=np.asfortranarray(KERNEL), a__bias=BIAS.astype(">f8"), c=np.float16(2.5))
    weights = read_foreign(path)
    assert list(weights.arrays) == ["b/kernel", "a/bias", "c"] and weights.kind == "npz"
    for array in weights.arrays.values():
        assert array.dtype == np.float32 and array.flags.c_contiguous and array.flags.writeable
    assert np.array_equal(weights.arrays["b/kernel"], KERNEL) and weights.arrays["c"].shape == ()


def test_objects_and_other_than_numbers_are_refused(tmp_path):
    for array in (np.array([{"a": 1}]), np.array([1, 2]), np.array(["text"]), np.array([1j]), np.zeros(1, "V8")):
        refused(npz(tmp_path / "a.npz", w=array), "'w.npy' must hold floating-point numbers")


@pytest.mark.parametrize("header", [
    "{'descr': '<f4', 'fortran_order': False, 'shape': (1099511627776,), }",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (-4,), }",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (True, 4), }",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (" + "1," * 100 + "), }",
    "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }",
    "{'descr': '<f4', 'fortran_order': False, 'shape': __import__('os').listdir(), }",
    "{'descr': '<f4', 'fortran_order': False}",
    "(" * 5000,
])  # fmt: skip
def test_headers_that_do_not_fit_are_refused(tmp_path, header):
    text = header.encode() + b"\n"
    array = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + BIAS.tobytes()
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as f:
        f.writestr("w.npy", array)
    refused(tmp_path / "a.npz", "needs .* bytes|impossible shape|floating-point|damaged")


def test_an_npz_that_grows_beyond_measure_is_refused(tmp_path):
    refused(npz(tmp_path / "a.npz", packed=True, w=np.zeros(2**22, np.float32)), "would unpack to")


def test_safetensors_of_others_are_read(tmp_path):
    path = tmp_path / "a.safetensors"
    arrays = {"a.weight": KERNEL.astype(np.float16), "b.bias": BIAS.astype(np.float64), "count": np.array([3])}
    weights = read_foreign(safetensors(path, arrays, {"format": "pt"}))
    assert weights.kind == "safetensors" and set(weights.arrays) == {"a.weight", "b.bias"}
    assert np.array_equal(weights.arrays["a.weight"], KERNEL)


def test_bfloat16_is_read(tmp_path):
    header = b'{"w":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]}}'
    data = len(header).to_bytes(8, "little") + header + np.array([0x3FC0, 0xC000], "<u2").tobytes()
    (tmp_path / "a.safetensors").write_bytes(data)
    assert read_foreign(tmp_path / "a.safetensors").arrays["w"].tolist() == [1.5, -2.0]


# Into a model


def small(names=("conv", "top")):
    conv, top = names
    return Sequential([Input((3, 3, 2)), layers.Conv2D(4, 3, name=conv), layers.Flatten(), layers.Dense(3, name=top)])


TOP = {"top__kernel": np.ones((4, 3), np.float32), "top__bias": np.zeros(3, np.float32)}


def unchanged(model, path, match, **arguments):
    before = model.get_weights()
    with pytest.raises(ValueError, match=match) as caught:
        model.load_weights(path, **arguments)
    assert str(path) in str(caught.value) and "Nothing has changed" in str(caught.value)
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), before, strict=True))


def test_names_of_the_model_are_taken_by_name_in_any_order(tmp_path):
    arrays = {**TOP, "conv__bias": BIAS, "conv__kernel": KERNEL}
    for path in (
        npz(tmp_path / "a.npz", **arrays),
        safetensors(tmp_path / "a.safetensors", {k.replace("__", "."): a for k, a in arrays.items()}),
    ):
        model = small()
        model.load_weights(path)
        for weight, array in zip(model.get_weights(), (KERNEL, BIAS, *TOP.values()), strict=True):
            assert np.array_equal(weight, array)


def test_other_names_are_taken_in_the_order_of_the_file(tmp_path):
    model = small(("c1", "d1"))
    path = npz(tmp_path / "a.npz", conv__kernel=KERNEL, conv__bias=BIAS, **TOP)
    model.load_weights(path)
    assert np.array_equal(model.get_weights()[1], BIAS)
    unchanged(
        small(("c1", "d1")), npz(tmp_path / "b.npz", conv__kernel=KERNEL, conv__bias=BIAS), "2 layers with weights"
    )


@pytest.mark.parametrize(
    "names", [("gamma", "beta", "moving_mean", "moving_variance"), ("scale", "bias", "mean", "var"),
              ("scale", "offset", "moving_mean", "variance")],
)  # fmt: skip
@pytest.mark.parametrize("backwards", [False, True])
def test_vectors_of_one_shape_are_told_apart_by_any_usual_name(tmp_path, names, backwards):
    arrays = {f"bn__{name}": np.full(4, i + 1, np.float32) for i, name in enumerate(names)}
    arrays = dict(sorted(arrays.items(), reverse=backwards))
    for path in (
        npz(tmp_path / "a.npz", **arrays),
        safetensors(tmp_path / "a.safetensors", {k.replace("__", "/"): a for k, a in arrays.items()}),
    ):
        model = Sequential([Input((3, 3, 4)), layers.BatchNormalization(name="bn")])
        model.load_weights(path)
        assert [w[0] for w in model.get_weights()] == [1, 2, 3, 4]


def test_vectors_of_one_shape_without_known_names_are_not_taken_by_place(tmp_path):
    model = Sequential([Input((3, 3, 4)), layers.BatchNormalization(name="bn")])
    path = npz(tmp_path / "a.npz", **{f"bn__{name}": np.ones(4) for name in "abcd"})
    unchanged(model, path, r"which is which of the weights .*'gamma'.* of layer 'bn'\? 'bn' has 'a', 'b', 'c', 'd'")


def test_layouts_of_torch_are_known_by_their_names(tmp_path):
    model = small()
    path = npz(
        tmp_path / "a.npz",
        conv__weight=KERNEL.transpose(3, 2, 0, 1), conv__bias=BIAS, top__weight=np.eye(3, 4), top__bias=BIAS[:3],
    )  # fmt: skip
    model.load_weights(path)
    assert np.array_equal(model.get_weights()[0], KERNEL) and np.array_equal(model.get_weights()[2], np.eye(4, 3))


@pytest.mark.parametrize(("change", "match"), [
    ({"conv__bias": None}, r"layer 'conv' has 2 weights .* has 1"),
    ({"top__kernel": None, "top__bias": None}, "missing in the file: 'top'"),
    ({"more__kernel": BIAS}, "not in the model: 'more'"),
    ({"conv__kernel": KERNEL[:2]}, r"conv/kernel expects shape \(3, 3, 2, 4\), 'conv' .* \(2, 3, 2, 4\)"),
    ({"conv__bias": BIAS[:1]}, r"conv/bias expects shape \(4,\), .* \(1,\)"),
])  # fmt: skip
def test_what_does_not_fit_is_named_and_nothing_changes(tmp_path, change, match):
    arrays = {"conv__kernel": KERNEL, "conv__bias": BIAS, **TOP} | change
    path = npz(tmp_path / "a.npz", **{k: a for k, a in arrays.items() if a is not None})
    unchanged(small(), path, match)
    model = small()
    with pytest.warns(UserWarning, match=match):
        model.load_weights(path, skip_mismatch=True)
    fits = "top" if "conv" in match else "conv"
    sources = {"conv": BIAS, "top": TOP["top__bias"]}
    assert np.array_equal(model.get_layer(fits).get_weights()[1], sources[fits])


def test_modules_called_as_the_layers_are_taken_by_name_whatever_their_order(tmp_path):
    arrays = {f"{name}.{w}": np.full((2, 3) if w == "weight" else 2, value, np.float32)
              for name, value in (("b", 1), ("a", 2)) for w in ("weight", "bias")}  # fmt: skip
    data = {key: array.tobytes() for key, array in pickles.storages(arrays).items()}
    (tmp_path / "two.pth").write_bytes(pickles.zipped(pickles.state_dict(arrays), data))
    image = Input((3,))
    model = Model(image, [layers.Dense(2, name="a")(image), layers.Dense(2, name="b")(image)])
    model.load_weights(tmp_path / "two.pth")
    assert [w.flat[0] for w in model.get_weights()] == [2, 2, 1, 1]


def test_names_that_contradict_the_order_of_a_state_dict_are_refused(tmp_path):
    arrays = {f"{name}.{w}": np.full((3, 3) if w == "weight" else 3, value, np.float32)
              for name, value in (("b", 1), ("other", 2)) for w in ("weight", "bias")}  # fmt: skip
    data = {key: array.tobytes() for key, array in pickles.storages(arrays).items()}
    (tmp_path / "two.pth").write_bytes(pickles.zipped(pickles.state_dict(arrays), data))
    stack = [Input((3,)), layers.Dense(3, name="a"), layers.Dense(3, name="b")]
    unchanged(
        Sequential(stack), tmp_path / "two.pth", "layer a would take the module b, but names .* say otherwise: 'b'"
    )
    model = Sequential([Input((3,)), layers.Dense(3, name="b"), layers.Dense(3, name="c")])
    model.load_weights(tmp_path / "two.pth")
    assert [w.flat[0] for w in model.get_weights()] == [1, 1, 2, 2]


def test_by_name_leaves_other_layers_alone_but_needs_one(tmp_path):
    model = small(("conv", "other"))
    before = model.get_weights()
    path = npz(tmp_path / "a.npz", conv__kernel=KERNEL, conv__bias=BIAS, **TOP)
    model.load_weights(path, by_name=True)
    assert np.array_equal(model.get_weights()[0], KERNEL) and np.array_equal(model.get_weights()[2], before[2])
    unchanged(small(("x", "y")), path, "no layer of the model has a name", by_name=True)


def test_names_within_a_base_have_the_bases_name_before_them(tmp_path):
    base = Sequential([Input((3, 3, 2)), layers.Conv2D(4, 3, name="conv")], name="base")
    model = Sequential([base, layers.Flatten(), layers.Dense(3, name="top")])
    model.load_weights(npz(tmp_path / "a.npz", base__conv__kernel=KERNEL, base__conv__bias=BIAS), by_name=True)
    assert np.array_equal(base.get_weights()[0], KERNEL)
    base.load_weights(npz(tmp_path / "b.npz", conv__kernel=KERNEL + 1, conv__bias=BIAS))
    assert np.array_equal(base.get_weights()[0], KERNEL + 1)


def test_files_of_ours_are_told_apart_and_skip_what_does_not_fit(tmp_path):
    small().save_weights(tmp_path / "a.safetensors")
    other = Sequential([Input((3, 3, 2)), layers.Conv2D(4, 3), layers.Flatten(), layers.Dense(5)])
    with pytest.raises(ValueError, match="do not fit"):
        other.load_weights(tmp_path / "a.safetensors")
    with pytest.warns(UserWarning, match="skipped.*dense/kernel"):
        other.load_weights(tmp_path / "a.safetensors", skip_mismatch=True)
    with pytest.raises(ValueError, match="by_name"):
        other.load_weights(tmp_path / "a.safetensors", by_name=True)


def test_a_model_without_weights_yet_is_refused(tmp_path):
    model = Sequential([layers.Dense(2)])
    with pytest.raises(ValueError, match="no weights yet"):
        model.load_weights(npz(tmp_path / "a.npz", a__kernel=BIAS))


# PyTorch's order behind Flatten


def test_dense_layers_behind_flatten_read_the_same_pixels(tmp_path):
    """Against the definition: a linear layer over (C,H,W), applied to the image with its channels moved."""
    rng = np.random.default_rng(0)
    w, x = rng.standard_normal((5, 3 * 2 * 4)), rng.standard_normal((6, 2, 4, 3)).astype(np.float32)
    exact = x.transpose(0, 3, 1, 2).reshape(6, -1) @ w.T
    image = Input((2, 4, 3))
    for flat in (layers.Flatten(), layers.Reshape((-1,))):
        y = layers.Dense(5, use_bias=False)(layers.Dropout(0.5)(flat(image)))
        model = Model(image, y)
        model.load_weights(npz(tmp_path / "a.npz", top__weight=w))
        assert np.allclose(model.predict(x, verbose=0), exact, atol=24 * 2e-7 * np.abs(exact).max())


def test_features_that_become_images_again_are_refused(tmp_path):
    model = Sequential([Input((4,)), layers.Dense(8), layers.Reshape((2, 2, 2)), layers.Conv2D(1, 1)])
    path = npz(tmp_path / "a.npz", a__weight=np.ones((8, 4)), b__weight=np.ones((1, 2, 1, 1)))
    unchanged(model, path, "features become images")


@pytest.mark.parametrize("form", [(8, 3), (4, 2, 3)])
def test_images_of_another_form_before_they_are_flattened_are_refused(tmp_path, form):
    """Which of PyTorch's features a dense layer then reads depends on what the Reshape is there."""
    image = Input((2, 4, 3))
    x = layers.ReLU()(layers.Reshape(form)(image))
    model = Model(image, layers.Dense(5)(layers.Flatten()(x)))
    path = npz(tmp_path / "a.npz", a__weight=np.ones((5, 24)), a__bias=np.ones(5))
    unchanged(model, path, "images get another form in a Reshape")
    pooled = Model(image, layers.Dense(5)(layers.Flatten()(layers.Reshape((1, 1, -1))(layers.Reshape((1, 1, 24))(
        layers.Flatten()(image))))))  # fmt: skip
    pooled.load_weights(path)


def test_a_model_with_a_call_of_its_own_does_not_take_torch_layouts(tmp_path):
    class Mine(Model):
        def __init__(self):
            super().__init__()
            self.flat, self.top = layers.Flatten(), layers.Dense(2)

        def call(self, x):
            return self.top(self.flat(x))

    model = Mine()
    model(np.ones((1, 2, 2, 3), np.float32))
    unchanged(model, npz(tmp_path / "a.npz", top__weight=np.ones((2, 12))), "a call of its own")
