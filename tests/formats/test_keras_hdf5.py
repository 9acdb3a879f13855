"""Keras' HDF5 files: what is in the file is read, whatever points out of it or pretends to be more is refused."""

import os
import sys
import zipfile
import zlib

import numpy as np
import pytest

from cnnfast import Input, Model, Sequential, layers
from cnnfast.formats import foreign, hdf5_access
from cnnfast.formats.foreign import read_foreign
from tests.formats.hdf5_files import BIAS, KERNEL, keras2, keras3

h5py = pytest.importorskip("h5py", reason="h5py is not installed")


def refused(path, match):
    with pytest.raises(ValueError, match=match) as caught:
        read_foreign(path)
    assert str(path) in str(caught.value) and len(str(caught.value)) < 1000


# What is read


@pytest.mark.parametrize("fixed", [True, False])
def test_layers_and_weights_come_in_the_order_of_their_lists(tmp_path, fixed):
    weights = read_foreign(keras2(tmp_path / "a.h5", fixed=fixed))
    assert weights.kind == "keras_h5"
    assert list(weights.arrays) == ["conv/kernel", "conv/bias", "top/kernel"]
    assert np.array_equal(weights.arrays["conv/kernel"], KERNEL)


def test_a_list_in_parts_is_joined(tmp_path):
    def split(f):
        names = f.attrs["layer_names"]
        del f.attrs["layer_names"]
        f.attrs["layer_names0"], f.attrs["layer_names1"] = names[:1], names[1:]

    assert list(read_foreign(keras2(tmp_path / "a.h5", split)).arrays) == ["conv/kernel", "conv/bias", "top/kernel"]


def test_a_whole_model_has_its_weights_in_a_group(tmp_path):
    keras2(tmp_path / "w.h5")
    with h5py.File(tmp_path / "w.h5") as f, h5py.File(tmp_path / "a.h5", "w") as g:
        f.copy(f["/"], g, "model_weights")
        g.attrs["model_config"] = '{"class_name": "Lambda", "config": "never read"}'
    assert len(read_foreign(tmp_path / "a.h5").arrays) == 3


@pytest.mark.parametrize(("layer", "weight", "name"), [
    ("conv", "kernel:0", "conv/kernel"),
    ("conv", "conv/kernel", "conv/kernel"),
    ("conv", "model/conv/kernel:0", "conv/kernel"),
    ("fire2/squeeze", "fire2/squeeze/kernel:0", "fire2/squeeze/kernel"),
    ("fire2/squeeze", "fire2/kernel:0", "fire2/squeeze/kernel"),
    ("vgg16", "block1_conv1/kernel:0", "vgg16/block1_conv1/kernel"),
    ("vgg16", "vgg16/block1_conv1/kernel", "vgg16/block1_conv1/kernel"),
])  # fmt: skip
def test_weights_are_named_after_their_layer(tmp_path, layer, weight, name):
    assert list(read_foreign(keras2(tmp_path / "a.h5", names={layer: [weight]})).arrays) == [name]


def test_keras_3_counts_layers_and_weights_and_may_know_their_names(tmp_path):
    weights = read_foreign(keras3(tmp_path / "a.weights.h5"))
    assert weights.kind == "keras3"
    assert list(weights.arrays) == ["stem/0", "stem/1", "conv2d_2/0", "conv2d_10/0", "functional/dense/0"]
    assert weights.structure["stem/1"] == "conv2d/1"


def test_the_older_form_of_keras_3_is_read(tmp_path):
    def rename(f):
        f.move("layers", "_layer_checkpoint_dependencies")

    assert len(read_foreign(keras3(tmp_path / "a.weights.h5", rename)).arrays) == 5


def test_two_layers_of_one_given_name_keep_the_names_of_the_structure(tmp_path):
    def same(f):
        f["layers/conv2d_2/vars"].attrs["name"] = "stem"

    assert "conv2d_2/0" in read_foreign(keras3(tmp_path / "a.weights.h5", same)).arrays


def test_a_keras_file_is_a_zip_file_around_it(tmp_path):
    keras3(tmp_path / "w.h5")
    with zipfile.ZipFile(tmp_path / "a.keras", "w") as f:
        f.writestr("config.json", '{"module": "os", "class_name": "system"}')
        f.write(tmp_path / "w.h5", "model.weights.h5")
    assert len(read_foreign(tmp_path / "a.keras").arrays) == 5
    with zipfile.ZipFile(tmp_path / "b.keras", "w") as f:
        f.writestr("config.json", "{}")
    refused(tmp_path / "b.keras", "has no model.weights.h5")


@pytest.mark.parametrize("dtype", ["<f2", ">f4", ">f8", "<f8"])
def test_other_numbers_become_float32(tmp_path, dtype):
    def other(f):
        del f["conv/conv/bias:0"]
        f["conv"].create_dataset("conv/bias:0", data=BIAS.astype(dtype), chunks=(2,), compression="gzip", shuffle=True)

    array = read_foreign(keras2(tmp_path / "a.h5", other)).arrays["conv/bias"]
    assert array.dtype == np.float32 and np.array_equal(array, BIAS) and array.flags.writeable


def test_numbers_too_large_for_float32_are_refused(tmp_path):
    def large(f):
        del f["conv/conv/bias:0"]
        f["conv/conv/bias:0"] = np.array([1e300])

    refused(keras2(tmp_path / "a.h5", large), "'conv/bias' holds numbers too large")


# What is refused


def replaced(value):
    def change(f):
        del f["conv/conv/bias:0"]
        value(f["conv/conv"], "bias:0")

    return change


def secret(path):
    """Numbers in another file, which must not be read."""
    with h5py.File(path, "w") as f:
        f["secret"] = BIAS
    return path


@pytest.mark.parametrize("link", ["external", "to nowhere", "soft", "dangling"])
@pytest.mark.parametrize("make", [keras2, keras3])
def test_links_are_not_followed(tmp_path, link, make):
    other = secret(tmp_path / "other.h5")

    def change(f):
        group, name = (f["conv/conv"], "bias:0") if make is keras2 else (f["layers/conv2d/vars"], "0")
        f["real"] = BIAS
        del group[name]
        group[name] = {
            "external": h5py.ExternalLink(str(other), "/secret"),
            "to nowhere": h5py.ExternalLink(str(tmp_path / "missing.h5"), "/secret"),
            "soft": h5py.SoftLink("/real"),
            "dangling": h5py.SoftLink("/nowhere"),
        }[link]

    refused(make(tmp_path / "a.h5", change), r"link \((External|Soft)Link\)")


@pytest.mark.parametrize("place", ["conv", "layers", "layers/conv2d", "layers/conv2d/vars"])
def test_groups_behind_links_are_not_entered(tmp_path, place):
    other = secret(tmp_path / "other.h5")

    def change(f):
        del f[place]
        f[place] = h5py.ExternalLink(str(other), "/")

    make = keras2 if place == "conv" else keras3
    refused(make(tmp_path / "a.h5", change), "ExternalLink")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_no_other_file_is_opened(tmp_path):
    """A pipe without a writer would block whoever opens it."""
    os.mkfifo(tmp_path / "pipe")

    def change(f):
        del f["conv/conv/bias:0"], f["top"]
        f["conv/conv/bias:0"] = f["top"] = h5py.ExternalLink(str(tmp_path / "pipe"), "/secret")

    refused(keras2(tmp_path / "a.h5", change), "ExternalLink")


def test_storage_in_other_files_is_not_read(tmp_path):
    """CVE-2026-1669: the numbers would be the bytes of any file of this computer."""
    (tmp_path / "private").write_bytes(b"private keys, 32 bytes of them..")

    def external(group, name):
        group.create_dataset(name, (4,), "f4", external=[(str(tmp_path / "private"), 0, 16)])

    refused(keras2(tmp_path / "a.h5", replaced(external)), "in another file")


def test_virtual_datasets_are_not_read(tmp_path):
    other = secret(tmp_path / "other.h5")

    def virtual(group, name):
        layout = h5py.VirtualLayout((4,), "f4")
        layout[:] = h5py.VirtualSource(str(other), "secret", (4,))
        group.create_virtual_dataset(name, layout)

    refused(keras2(tmp_path / "a.h5", replaced(virtual)), "virtual dataset")


@pytest.mark.parametrize("value", [
    np.arange(4), np.array([True]), np.array([b"text"]), np.array([1 + 2j]), np.zeros(2, [("a", "f4")]),
    h5py.Empty("f4"),
], ids=str)  # fmt: skip
def test_what_is_no_number_is_refused(tmp_path, value):
    def change(group, name):
        group[name] = value

    refused(keras2(tmp_path / "a.h5", replaced(change)), "must hold floating-point numbers|has no shape")


def test_objects_and_references_are_refused(tmp_path):
    def texts(group, name):
        group.create_dataset(name, (1,), h5py.string_dtype())

    def references(group, name):
        group.create_dataset(name, (1,), h5py.ref_dtype)

    def ragged(group, name):
        group.create_dataset(name, (1,), h5py.vlen_dtype(np.float32))

    def opaque(group, name):
        group[name] = np.zeros(4, "V2")
        group[name].attrs["dtype"] = "float16"

    for change in (texts, references, ragged, opaque):
        refused(keras2(tmp_path / "a.h5", replaced(change)), "must hold floating-point numbers")


def test_few_bytes_cannot_become_many_numbers(tmp_path):
    def never_written(group, name):
        group.create_dataset(name, (2**40,), "f4")

    def sparse(group, name):
        group.create_dataset(name, (2**40,), "f4", chunks=(2**10,))[:2] = 1

    def packed(group, name):
        group.create_dataset(name, (2**22,), "f4", chunks=(2**22,), compression="gzip")[:] = 0

    def scale_offset(group, name):
        group.create_dataset(name, (2**20,), "f4", chunks=(2**20,), scaleoffset=2)[:] = 0

    for change, match in (
        (never_written, "has 0 for it"),
        (sparse, "for it"),
        (packed, "for it"),
        (scale_offset, "filter other than deflate"),
    ):
        refused(keras2(tmp_path / "a.h5", replaced(change)), match)


def test_one_dataset_under_many_names_is_counted_each_time(tmp_path):
    names = {"a": [f"w{i}" for i in range(1000)]}

    def many(f):
        f.attrs["layer_names"] = np.array(["a"], "S")
        f.create_group("a").attrs["weight_names"] = np.array(names["a"], "S")
        f["a/w0"] = np.zeros(100_000, np.float32)
        for name in names["a"][1:]:
            f[f"a/{name}"] = f["a/w0"]

    with h5py.File(tmp_path / "a.h5", "w") as f:
        many(f)
    refused(tmp_path / "a.h5", "and describes")


def test_one_long_text_many_times_is_refused(tmp_path, monkeypatch):
    """HDF5 would copy it for each place in the list."""
    with h5py.File(tmp_path / "a.h5", "w") as f:
        f.attrs["layer_names"] = ["x" * 1_000_000, "y"]
    monkeypatch.setattr(hdf5_access, "_MAX_TEXTS", 1_500_000)
    refused(tmp_path / "a.h5", "may hold .* bytes of text")


@pytest.mark.parametrize("size", [0, 8, 2**20, 2**64 - 1])
def test_damaged_heaps_are_refused(tmp_path, size):
    """HDF5 itself would walk on for ever where the size of free space is 0."""
    data = bytearray(keras2(tmp_path / "a.h5", fixed=False).read_bytes())
    heap = data.index(b"GCOL\x01")
    at = heap + 16
    while (number := int.from_bytes(data[at : at + 2], "little")) != 0:
        assert number < 100
        at += 16 + -(-int.from_bytes(data[at + 8 : at + 16], "little") // 8) * 8
    data[at + 8 : at + 16] = size.to_bytes(8, "little")
    (tmp_path / "b.h5").write_bytes(data)
    refused(tmp_path / "b.h5", "the heap at byte")


def test_groups_in_a_circle_end(tmp_path):
    def circle(f):
        f["layers/conv2d/again"] = f["layers"]

    refused(keras3(tmp_path / "a.weights.h5", circle), "more than 32 deep")


def test_a_thousand_objects_too_many_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(hdf5_access, "MAX_OBJECTS", 10)
    refused(keras3(tmp_path / "a.weights.h5"), "more than 10 objects")


@pytest.mark.parametrize("name", ["../a", "/conv", "a//b", ".", "", "conv/../conv", "missing", "conv/conv/bias:0/x"])
def test_lists_name_only_what_is_there(tmp_path, name):
    def change(f):
        f.attrs["layer_names"] = np.array([name.encode() or b"\0", b"conv"], "S")

    refused(keras2(tmp_path / "a.h5", change), "is not in the file|leads through|should be a group|damaged")


@pytest.mark.parametrize("value", [3, [1, 2], "conv", [[b"conv"]], np.array([b"\xff\xfe"])], ids=str)
def test_lists_must_be_lists_of_texts(tmp_path, value):
    def change(f):
        f.attrs["layer_names"] = value

    refused(keras2(tmp_path / "a.h5", change), "must be a list of texts|damaged")


def test_one_name_for_two_weights_is_refused(tmp_path):
    path = keras2(tmp_path / "a.h5", names={"conv": ["conv/kernel:0", "model/conv/kernel:0"]})
    refused(path, "two arrays are named 'conv/kernel'")


def test_other_hdf5_files_are_refused(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as f:
        f["data"] = BIAS
    refused(tmp_path / "a.h5", "not one with weights of Keras")
    with h5py.File(tmp_path / "b.h5", "w") as f:
        f.attrs["layer_names"] = np.array([], "S1")
    refused(tmp_path / "b.h5", "holds no weights")


def test_a_bomb_within_a_keras_file_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.keras", "w", zipfile.ZIP_DEFLATED) as f:
        f.writestr("model.weights.h5", b"\0" * 2**24)
    refused(tmp_path / "a.keras", "would unpack to")


def test_packing_within_packing_does_not_multiply(tmp_path):
    """A .h5 file packed 30-fold in a .keras file that packs that again."""
    import h5py

    chunk = zlib.compress(np.zeros(2**16, np.float32).tobytes(), 9) + bytes(2**13)  # 30-fold, and packs well itself
    with h5py.File(tmp_path / "a.h5", "w") as f:
        numbers = f.create_dataset("layers/dense/vars/0", (40 * 2**16,), "f4", chunks=(2**16,), compression="gzip")
        for i in range(40):
            numbers.id.write_direct_chunk((i * 2**16,), chunk)
    assert read_foreign(tmp_path / "a.h5").arrays["dense/0"].nbytes == 40 * 2**18
    with zipfile.ZipFile(tmp_path / "a.keras", "w", zipfile.ZIP_DEFLATED) as f:
        f.write(tmp_path / "a.h5", "model.weights.h5")
        f.writestr("padding", np.random.default_rng(0).bytes(10_000))
    refused(tmp_path / "a.keras", "bytes and describes .* and more")


def test_the_message_without_h5py_says_what_to_install(tmp_path, monkeypatch):
    path = keras2(tmp_path / "a.h5")
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ImportError, match=r'a\.h5.*pip install "cnnfast\[hdf5\]"'):
        read_foreign(path)


def test_h5py_is_not_needed_for_other_files(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    np.savez(tmp_path / "a.npz", **{"a/kernel": KERNEL})
    assert foreign.read_foreign(tmp_path / "a.npz").kind == "npz"


def test_a_model_takes_them(tmp_path):
    model = Sequential([Input((5, 5, 2)), layers.Conv2D(4, 3, name="c")])
    model.load_weights(keras2(tmp_path / "a.h5", names={"conv": ["conv/kernel:0", "conv/bias:0"]}))
    assert np.array_equal(model.get_weights()[0], KERNEL) and np.array_equal(model.get_weights()[1], BIAS)


def test_what_is_written_for_keras_comes_back(tmp_path):
    def made():
        base = Sequential([Input((5, 5, 2)), layers.Conv2D(4, 3), layers.BatchNormalization()])
        return Sequential([base, layers.Flatten(), layers.Dense(3), layers.Dense(2)])

    model, other = made(), made()
    model.save_weights(tmp_path / "a.weights.h5")
    other.load_weights(tmp_path / "a.weights.h5")
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), other.get_weights(), strict=True))
    before = (tmp_path / "a.weights.h5").read_bytes()
    model.save_weights(tmp_path / "a.weights.h5")
    assert (tmp_path / "a.weights.h5").read_bytes() == before and len(list(tmp_path.iterdir())) == 1


def test_what_no_file_of_keras_can_hold_is_not_written(tmp_path):
    class Mine(Model):
        def __init__(self):
            super().__init__()
            self.top = layers.Dense(2)

        def call(self, x):
            return self.top(x)

    model = Mine()
    with pytest.raises(ValueError, match="no weights yet"):
        model.save_weights(tmp_path / "a.weights.h5")
    model(np.ones((1, 3), np.float32))
    with pytest.raises(ValueError, match=r"a\.weights\.h5.*a call of its own"):
        model.save_weights(tmp_path / "a.weights.h5")
    assert not list(tmp_path.iterdir())


def test_layers_of_a_nested_model_are_known_by_given_names_though_automatic_ones_differ(tmp_path):
    """In the file what was trained comes first; one layer's name is one that Keras made."""
    inner = ["base/second/bias", "conv2d_7/bias", "base/first/bias"]
    path = keras2(tmp_path / "a.h5", lambda f: [f["base"][n].write_direct(BIAS * i) for i, n in enumerate(inner)],
                  names={"base": inner})  # fmt: skip

    class Offset(layers.Layer):
        def build(self, shape):
            self.offset = self.add_weight((4,), "zeros", name="bias")

        def call(self, x):
            return x

    base = Sequential([Input((4,)), Offset(name="first"), Offset(), Offset(name="second")], name="base")
    Sequential([base]).load_weights(path)
    assert [w[0] for w in base.get_weights()] == [2, 1, 0]
