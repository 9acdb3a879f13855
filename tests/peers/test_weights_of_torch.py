"""State dicts that PyTorch saved: the same outputs here."""

from __future__ import annotations

import collections
import os
from pathlib import Path

import numpy as np
import pytest

from cnnfast import Input, Model, Sequential, layers
from cnnfast.formats.foreign import read_foreign

pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore")]
torch = pytest.importorskip("torch", reason="PyTorch is not installed")
nn = torch.nn

IMAGE = (9, 8, 4)


def their_stack():
    return nn.Sequential(
        nn.Conv2d(4, 6, 3, padding=1),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Conv2d(6, 8, 3, groups=2, bias=False),
        nn.BatchNorm2d(8, affine=False),
        nn.Conv2d(8, 16, 3, groups=8),
        nn.Conv2d(16, 16, 3, groups=16, bias=False, padding=1),
        nn.Conv2d(16, 5, 1),
        nn.ConvTranspose2d(5, 6, 3, stride=2),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.BatchNorm1d(6 * 5 * 4),
        nn.Dropout(),
        nn.Linear(6 * 5 * 4, 7),
        nn.ReLU(),
        nn.Linear(7, 3),
    ).eval()


def our_stack(name=lambda i: None):
    norm = {"epsilon": 1e-5}
    return Sequential(
        [
            Input(IMAGE),
            layers.Conv2D(6, 3, padding="same", name=name(0)),
            layers.BatchNormalization(**norm, name=name(1)),
            layers.ReLU(),
            layers.Conv2D(8, 3, groups=2, use_bias=False, name=name(3)),
            layers.BatchNormalization(**norm, center=False, scale=False, name=name(4)),
            layers.DepthwiseConv2D(3, depth_multiplier=2, name=name(5)),
            layers.SeparableConv2D(5, 3, padding="same"),
            layers.Conv2DTranspose(6, 3, strides=2, name=name(8)),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.BatchNormalization(**norm, name=name(11)),
            layers.Dropout(0.5),
            layers.Dense(7, activation="relu", name=name(13)),
            layers.Dense(3, name=name(15)),
        ]
    )


class Joined(nn.Module):
    """Two images flattened and joined with plain features before a linear layer."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(4, 3, 3), nn.Conv2d(4, 2, 5)
        self.c, self.top = nn.Linear(4, 5), nn.Linear(3 * 7 * 6 + 2 * 5 * 4 + 5, 2)

    def forward(self, x):
        parts = [self.a(x).flatten(1), self.c(x.mean((2, 3))), self.b(x).flatten(1)]
        return self.top(torch.cat(parts, 1))


def our_joined():
    """The same, with the middle in a model of its own."""
    x = Input(IMAGE)
    a, b = layers.Conv2D(3, 3, name="a")(x), layers.Conv2D(2, 5, name="b")(x)
    c = layers.Dense(5, name="c")(layers.GlobalAveragePooling2D()(x))
    u, v, w = Input(a.shape[1:]), Input((5,)), Input(b.shape[1:])
    join = Model([u, v, w], layers.Concatenate()([layers.Flatten()(u), v, layers.Flatten()(w)]))
    return Model(x, layers.Dense(2, name="top")(join([a, c, b])))


def randomize(model):
    generator = torch.Generator().manual_seed(5)
    for tensor in model.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(torch.rand(tensor.shape, generator=generator) * 0.8 + 0.2)
            if tensor.ndim > 1:
                tensor -= 0.6


def assert_same_outputs(ours, theirs):
    x = np.random.default_rng(4).standard_normal((3, *IMAGE)).astype(np.float32)
    with torch.no_grad():
        exact = theirs(torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2)))).numpy()
    assert np.max(np.abs(ours.predict(x, verbose=0) - exact)) <= 1e-5 * np.max(np.abs(exact))


@pytest.mark.parametrize("zipped", [True, False])
def test_a_stack_of_every_kind_of_layer_gives_the_same_outputs(zipped, tmp_path):
    theirs, ours = their_stack(), our_stack()
    randomize(theirs)
    torch.save(theirs.state_dict(), tmp_path / "a.pth", _use_new_zipfile_serialization=zipped)
    ours.load_weights(tmp_path / "a.pth")
    assert_same_outputs(ours, theirs)


@pytest.mark.parametrize("wrapped", [
    lambda d: {"epoch": 3, "state_dict": d, "best": 0.5, "args": ["a", None, True]},
    lambda d: {"model": collections.OrderedDict(("module." + k, v) for k, v in d.items())},
    lambda d: {"model_state_dict": {k: nn.Parameter(v) for k, v in d.items() if v.is_floating_point()}},
    lambda d: dict(reversed(list(reversed(d.items())))),
])  # fmt: skip
def test_what_training_scripts_put_around_a_state_dict_is_taken_off(wrapped, tmp_path):
    theirs, ours = their_stack(), our_stack()
    randomize(theirs)
    for protocol in (2, 4):
        torch.save(wrapped(theirs.state_dict()), tmp_path / "a.pt", pickle_protocol=protocol)
        ours.load_weights(tmp_path / "a.pt")
        assert_same_outputs(ours, theirs)


def test_a_training_checkpoint_with_its_optimizer_is_read(tmp_path):
    theirs, ours = their_stack(), our_stack()
    optimizer = torch.optim.Adam(theirs.parameters())
    theirs(torch.ones(2, 4, 9, 8)).sum().backward()
    optimizer.step()
    torch.save({"state_dict": theirs.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "a.pth")
    ours.load_weights(tmp_path / "a.pth")
    assert_same_outputs(ours, theirs)


def test_images_that_are_flattened_and_joined_keep_their_places(tmp_path):
    theirs, ours = Joined().eval(), our_joined()
    randomize(theirs)
    torch.save(theirs.state_dict(), tmp_path / "a.pth")
    ours.load_weights(tmp_path / "a.pth", by_name=True)
    assert_same_outputs(ours, theirs)


@pytest.mark.parametrize("by_name", [True, False])
def test_safetensors_with_names_of_torch_give_the_same_outputs(by_name, tmp_path):
    """Modules that are numbered can be put in order; names that are those of the layers need none."""
    save_file = pytest.importorskip("safetensors.torch").save_file
    theirs, ours = their_stack(), our_stack(lambda i: str(i) if by_name else None)
    randomize(theirs)
    save_file(theirs.state_dict(), tmp_path / "a.safetensors")
    if by_name:
        before = ours.layers[6].get_weights()
        ours.load_weights(tmp_path / "a.safetensors", by_name=True)
        assert all(np.array_equal(a, b) for a, b in zip(ours.layers[6].get_weights(), before, strict=True))
        w = theirs.state_dict()
        depthwise, pointwise = (w[key].numpy() for key in ("6.weight", "7.weight"))
        ours.layers[6].set_weights(
            [depthwise.transpose(2, 3, 0, 1), pointwise.transpose(2, 3, 1, 0), w["7.bias"].numpy()]
        )
    else:
        ours.load_weights(tmp_path / "a.safetensors")
    assert_same_outputs(ours, theirs)


def test_safetensors_without_order_or_known_names_are_refused(tmp_path):
    save_file = pytest.importorskip("safetensors.torch").save_file
    theirs = nn.Sequential(collections.OrderedDict(conv=nn.Conv2d(4, 2, 3), flat=nn.Flatten(), top=nn.Linear(84, 2)))
    save_file(theirs.state_dict(), tmp_path / "a.safetensors")
    ours = Sequential([Input(IMAGE), layers.Conv2D(2, 3), layers.Flatten(), layers.Dense(2)])
    with pytest.raises(ValueError, match="keeps no order"):
        ours.load_weights(tmp_path / "a.safetensors")


@pytest.mark.parametrize("zipped", [True, False])
def test_every_type_of_number_and_way_of_lying_in_a_storage_is_read(zipped, tmp_path):
    whole = torch.arange(24, dtype=torch.float32).reshape(4, 6)
    tensors = {
        "half": whole.half(),
        "double": whole.double(),
        "bfloat16": whole.bfloat16(),
        "transposed": whole.T,
        "part": whole[1:3, ::2],
        "channels_last": torch.arange(120.0).reshape(2, 3, 4, 5).contiguous(memory_format=torch.channels_last),
        "scalar": torch.tensor(2.5),
        "empty": torch.zeros(0, 3),
        "one": nn.Parameter(torch.ones(1, 1)),
    }
    counts = {"long": torch.arange(3), "bool": torch.tensor([True]), "bytes": torch.arange(3, dtype=torch.uint8)}
    torch.save({**tensors, **counts}, tmp_path / "a.pth", _use_new_zipfile_serialization=zipped)
    arrays = read_foreign(tmp_path / "a.pth").arrays
    assert list(arrays) == list(tensors)
    for name, array in arrays.items():
        assert array.dtype == np.float32 and array.flags.c_contiguous and array.flags.writeable and array.flags.owndata
        assert np.array_equal(array, tensors[name].detach().float().numpy())


def test_programs_and_whole_modules_are_refused(tmp_path):
    model = nn.Sequential(nn.Linear(2, 2))
    torch.save(model, tmp_path / "module.pth")
    with pytest.raises(ValueError, match=r"module\.pth.*torch\.nn\.modules\.container\.Sequential.*state_dict"):
        read_foreign(tmp_path / "module.pth")
    torch.jit.script(model).save(str(tmp_path / "script.pt"))
    with pytest.raises(ValueError, match=r"script\.pt.*TorchScript"):
        read_foreign(tmp_path / "script.pt")
    torch.save(torch.ones(3), tmp_path / "tensor.pth")
    with pytest.raises(ValueError, match=r"tensor\.pth.*one tensor"):
        read_foreign(tmp_path / "tensor.pth")


def test_modules_that_do_not_fit_are_named(tmp_path):
    theirs = nn.Sequential(nn.Conv2d(4, 2, 3), nn.Flatten(), nn.Linear(84, 2))
    torch.save(theirs.state_dict(), tmp_path / "a.pth")
    for head, message in (
        (layers.Dense(3, name="top"), r"top/kernel expects shape \(84, 3\).*'2'.*\(84, 2\)"),
        (layers.Dense(2, use_bias=False, name="top"), "layer top cannot take '2': expected weight of rank 2, got"),
        (layers.BatchNormalization(name="top"), "running_mean"),
    ):
        ours = Sequential([Input(IMAGE), layers.Conv2D(2, 3), layers.Flatten(), head])
        before = ours.get_weights()
        with pytest.raises(ValueError, match=message) as caught:
            ours.load_weights(tmp_path / "a.pth")
        assert "a.pth" in str(caught.value)
        assert all(np.array_equal(a, b) for a, b in zip(ours.get_weights(), before, strict=True))


@pytest.mark.skipif("CNNFAST_TEST_DATA" not in os.environ, reason="CNNFAST_TEST_DATA is not set")
def test_real_files_agree_with_pytorchs_own_reading():
    """Any .pth in the folder of test data or below."""
    paths = sorted(Path(os.environ["CNNFAST_TEST_DATA"]).rglob("*.pth"))
    if not paths:
        pytest.skip("no .pth there")
    for path in paths:
        exact = torch.load(path, weights_only=True)
        arrays = read_foreign(path).arrays
        assert list(arrays) == [k for k, v in exact.items() if v.is_floating_point()]
        assert all(np.array_equal(a, exact[k].numpy()) for k, a in arrays.items())
