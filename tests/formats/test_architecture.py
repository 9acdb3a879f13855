"""Models as JSON: everything comes back, and nothing hostile gets in."""

from __future__ import annotations

import copy
import json
import random

import numpy as np
import pytest

from cnnfast import Input, Model, Sequential, layers, ops
from cnnfast.formats.architecture import model_config, model_from_config
from cnnfast.formats.weights import named_weights
from tests.formats.networks import NETWORKS


@pytest.mark.parametrize("name", NETWORKS)
def test_description_gives_the_same_model(name):
    model = NETWORKS[name]()
    config = json.loads(json.dumps(model.get_config()))
    again = model_from_config(config)
    assert type(again) is type(model)
    assert again.get_config() == config
    assert again.input_names == model.input_names
    assert [v.shape for v in again.outputs] == [v.shape for v in model.outputs]
    shapes = {name: (w.shape, w.trainable) for name, w in named_weights(model).items()}
    assert {name: (w.shape, w.trainable) for name, w in named_weights(again).items()} == shapes
    assert [w.name for w in again.trainable_weights] == [w.name for w in model.trainable_weights]
    assert [layer.name for layer in again.layers] == [layer.name for layer in model.layers]


def test_networks_hold_every_registered_layer():
    described = [entry for make in NETWORKS.values() for entry in make().get_config()["layers"]]
    written = {entry["class_name"] for entry in described} | {"InputLayer"}
    assert set(layers.LAYERS.names()) <= written


def test_shared_layers_are_one_layer_again_even_across_models():
    config = NETWORKS["nested"]().get_config()
    assert [entry["class_name"] for entry in config["layers"]].count("Conv2D") == 1
    again = model_from_config(config)
    inner = again.get_layer("inner")
    assert again.get_layer("inside") is inner.get_layer("inside")
    assert len(again.weights) == 4


def test_training_given_where_a_layer_is_applied_stays():
    class Mode(layers.Layer):
        def call(self, x, training=False):
            return ops.reshape(x, (1, -1) if training else (-1, 1), keep_batch=True)

    x = Input((3,))
    mode = Mode()
    model = Model(x, [mode(x), mode(x, training=True), mode(x, training=False)])
    again = model_from_config(model_config_with(model, Mode), {"Mode": Mode})
    for m in (model, again):
        y = np.zeros((2, 3), np.float32)
        assert [v.shape for v in m(y, training=False)] == [(2, 3, 1), (2, 1, 3), (2, 3, 1)]
        assert [v.shape for v in m(y, training=True)] == [(2, 1, 3), (2, 1, 3), (2, 3, 1)]


def model_config_with(model, cls):
    """The description of a model with a layer that is registered for this moment only."""
    layers.register(cls)
    try:
        return model_config(model)
    finally:
        del layers.LAYERS._classes[cls.__name__]


def test_model_that_has_not_seen_data_is_described_without_input():
    model = Sequential([layers.Flatten(), layers.Dense(2)])
    again = Sequential.from_config(model.get_config())
    assert not again.inputs
    again.build((None, 3, 3))
    assert again.output_shape == (None, 2)


def test_weights_bear_the_same_names_however_often_the_model_is_made():
    names = ["conv2d/kernel", "conv2d/bias", "conv2d_1/kernel", "conv2d_1/bias", "sequential/dense/kernel"]

    def make():
        top = Sequential([Input((2,)), layers.Dense(1, use_bias=False)])
        return Sequential([Input((4, 4, 1)), layers.Conv2D(2, 3), layers.Conv2D(2, 2), layers.Flatten(), top])

    assert list(named_weights(make())) == names
    assert list(named_weights(make())) == names


def test_weights_of_equal_names_within_a_layer_get_numbers():
    class Block(layers.Layer):
        def build(self, input_shape):
            self.first, self.second = layers.Dense(2), layers.Dense(2)
            self.more = [layers.Dense(2, use_bias=False), self.first]
            self.a = self.add_weight((1,), name="scale")
            self.b = self.add_weight((2,), name="scale")
            self.c = self.add_weight((3,), name="scale_1")

        def call(self, x):
            for layer in (self.first, self.second, self.more[0]):
                x = layer(x)
            return x

    named = named_weights(Sequential([Input((2,)), Block()]))
    assert list(named) == [
        "block/scale",
        "block/scale_1",
        "block/scale_1_1",
        "block/dense/kernel",
        "block/dense/bias",
        "block/dense_1/kernel",
        "block/dense_1/bias",
        "block/dense_2/kernel",
    ]
    assert [w.shape for w in list(named.values())[:3]] == [(1,), (2,), (3,)]


class Halve(layers.Layer):
    def call(self, x):
        return ops.multiply(x, np.float32(0.5))


def test_custom_layer_needs_to_be_registered_or_given():
    class Unknown(Halve):
        pass

    with pytest.raises(ValueError, match="Unknown"):
        Sequential([Input((2,)), Unknown()]).get_config()
    config = Sequential([Input((2,)), layers.Dense(1)]).get_config()
    config["layers"][0] = {"class_name": "Halve", "config": {"name": "halve"}}
    with pytest.raises(ValueError, match=r"unknown layer 'Halve'; known: .*Conv2D"):
        model_from_config(config)
    model = model_from_config(config, {"Halve": Halve})
    assert isinstance(model.layers[0], Halve)


def test_model_with_a_call_of_its_own_cannot_be_described():
    class Mine(Model):
        def call(self, x):
            return x

    with pytest.raises(ValueError, match="Mine has a call of its own"):
        Mine().get_config()
    with pytest.raises(ValueError, match="Mine"):
        Sequential([Input((2,)), Mine()]).get_config()


KERNEL, PER_CHANNEL = np.ones((3, 3, 2, 2), np.float32), np.ones(2, np.float32)
OPS_ON_VALUES = {
    "elu": lambda x: ops.elu(x, 0.5),
    "leaky_relu": lambda x: ops.leaky_relu(x, 0.1),
    "conv2d": lambda x: ops.conv2d(x, KERNEL, PER_CHANNEL, strides=2, padding="same"),
    "conv2d with padding in numbers": lambda x: ops.conv2d(x, KERNEL, padding=((1, 0), (0, 1))),
    "conv2d_transpose": lambda x: ops.conv2d_transpose(x, KERNEL, strides=2, padding="same"),
    "depthwise_conv2d": lambda x: ops.depthwise_conv2d(x, KERNEL[..., :1]),
    "dense": lambda x: ops.dense(x, KERNEL[0, 0]),
    "max_pool2d": lambda x: ops.relu(ops.max_pool2d(x, 3, strides=2, padding="same")),
    "average_pool2d": lambda x: ops.average_pool2d(x, (2, 1)),
    "global_max_pool2d": lambda x: ops.add(ops.global_max_pool2d(x), 1.0),
    "global_average_pool2d": lambda x: ops.global_average_pool2d(x, keepdims=True),
    "upsample2d": lambda x: ops.upsample2d(x, (2, 3)),
    "upsample2d bilinear": lambda x: ops.upsample2d(x, 2, interpolation="bilinear"),
    "sum": lambda x: ops.sum(x, axis=(1, 2), keepdims=True),
    "mean": lambda x: ops.mean(x, axis=-1),
    "slice_axis": lambda x: ops.slice_axis(x, 2, 1, 4),
    "crop2d": lambda x: ops.crop2d(x, ((1, 2), (0, 1))),
    "zero_pad2d": lambda x: ops.zero_pad2d(x, 2),
    "concatenate": lambda x: ops.concatenate([x, x, ops.tanh(x)], axis=1),
    "batch_norm_inference": lambda x: ops.batch_norm_inference(x, *[PER_CHANNEL] * 4),
    "softmax": lambda x: ops.softmax(x),
    "scale": lambda x: ops.scale(ops.subtract(1.0, x), 2.0),
    "dropout": lambda x: ops.dropout(x, 0.5),
    "reshape": lambda x: ops.reshape(x, (-1, 4), keep_batch=True),
}


@pytest.mark.parametrize("name", OPS_ON_VALUES)
def test_ops_on_values_come_back(name):
    x = Input((6, 6, 2))
    model = Model(x, OPS_ON_VALUES[name](x))
    again = model_from_config(model.get_config())
    assert again.get_config() == model.get_config()
    y = np.random.default_rng(0).standard_normal((3, 6, 6, 2)).astype(np.float32)
    assert again.predict(y, verbose=0).tobytes() == model.predict(y, verbose=0).tobytes()


def test_op_that_changes_what_it_reads_is_not_known_to_files():
    config = model_config(NETWORKS["ops_between_layers"]())
    node = config["layers"][-1]["config"]["nodes"][0]
    for name in ("adam", "sgd", "apply", "engine", "__init__", "os.system", "sparse_softmax_crossentropy_"):
        node["op"] = name
        with pytest.raises(ValueError, match="unknown op"):
            model_from_config(config)


# Hostile descriptions


def dense(**changes):
    return {"class_name": "Dense", "config": {"name": "dense", "units": 2, **changes}}


def sequential(numbers, **changes):
    config = {"name": "s", "input": {"name": "x", "shape": [None, 3], "dtype": "float32"}, "layers": numbers}
    return {"class_name": "Sequential", "config": {**config, **changes}}


def graph(nodes, outputs=(1,), **changes):
    config = {
        "name": "m",
        "inputs": [{"name": "x", "shape": [None, 3], "dtype": "float32"}],
        "nodes": nodes,
        "outputs": list(outputs),
        "several": [False, False],
    }
    return {"class_name": "Model", "config": {**config, **changes}}


def node(layer=0, inputs=(0,), **attributes):
    return {"layer": layer, "inputs": list(inputs), "attributes": {"several": False, **attributes}}


def op(name="relu", inputs=(0,), **arguments):
    return {"op": name, "inputs": list(inputs), "arguments": arguments}


def constant(text="AAAAAA==", shape=(1,), dtype="float32"):
    return {"base64": text, "shape": list(shape), "dtype": dtype}


def doubling(levels):
    """Models that use the one before twice: small in the file, 2**levels layers."""
    table = [{"class_name": "Flatten", "config": {"name": "f"}}]
    for i in range(levels):
        table.append(graph([node(i), node(i, [1])], [2], name=f"m{i}"))
    return table


def chain(levels):
    table = [{"class_name": "Flatten", "config": {"name": "f"}}]
    return table + [graph([node(i)], name=f"m{i}") for i in range(levels)]


HOSTILE = {
    "no object": ([1], "object"),
    "no version": ({"layers": []}, "version"),
    "other version": ({"version": 2, "layers": []}, "version 2"),
    "unknown key": ({"version": 1, "layers": [], "lambda": "code"}, "lambda"),
    "layers no list": ({"version": 1, "layers": {}}, "layers"),
    "no layers": ([], "end with a model"),
    "last no model": ([dense()], "end with a model"),
    "entry no object": (["Dense", sequential([0])], "object"),
    "class name no string": ([{"class_name": ["Dense"], "config": {}}, sequential([0])], "class_name"),
    "code as class name": (
        [{"class_name": "os.system", "config": {"command": "true"}}, sequential([0])],
        "unknown layer",
    ),
    "module and class": ([{"class_name": "Dense", "module": "os", "config": {}}, sequential([0])], "module"),
    "lambda layer": (
        [{"class_name": "Lambda", "config": {"function": "x"}}, sequential([0])],
        "unknown layer 'Lambda'",
    ),
    "config no object": ([{"class_name": "Dense", "config": [2]}, sequential([0])], "config"),
    "unknown argument": ([dense(path="/etc/passwd"), sequential([0])], "path"),
    "argument missing": ([{"class_name": "Dense", "config": {}}, sequential([0])], "units"),
    "units of 0": ([dense(units=0), sequential([0])], "units"),
    "units no integer": ([dense(units="2"), sequential([0])], "units"),
    "unknown activation": ([dense(activation="os.system"), sequential([0])], "activation"),
    "activation an object": ([dense(activation={"class_name": "os.system"}), sequential([0])], "Dense"),
    "unknown initializer": (
        [dense(kernel_initializer={"class_name": "eval", "config": {}}), sequential([0])],
        "eval",
    ),
    "name no string": ([dense(name=["a"]), sequential([0])], "name"),
    "name empty": ([dense(name=""), sequential([0])], "name"),
    "name endless": ([dense(name="a" * 10_000), sequential([0])], "name"),
    "trainable no boolean": ([dense(trainable="no"), sequential([0])], "trainable"),
    "same name twice": ([dense(), dense(), sequential([0, 1])], "already"),
    "same layer twice in a stack": ([dense(units=3), sequential([0, 0])], "already"),
    "layer in no model": ([dense(), dense(), sequential([1])], "layer 0 is part of no model"),
    "layer in itself": ([sequential([0])], "number of a layer"),
    "later layer": ([sequential([1]), dense(), sequential([0])], "number of a layer"),
    "negative layer": ([dense(), sequential([-1])], "number of a layer"),
    "layer number no integer": ([dense(), sequential([0.0])], "number of a layer"),
    "layer number a boolean": ([dense(), dense(name="d"), sequential([0, True])], "number of a layer"),
    "input no object": ([dense(), sequential([0], input=[3])], "input"),
    "input shape no list": ([dense(), sequential([0], input={"shape": 3, "dtype": "float32"})], "shape"),
    "input of size 0": ([dense(), sequential([0], input={"shape": [None, 0], "dtype": "float32"})], "shape"),
    "input of unknown type": (
        [dense(), sequential([0], input={"shape": [None, 3], "dtype": "object"})],
        "dtype",
    ),
    "image for a stack of vectors": (
        [{"class_name": "Conv2D", "config": {"filters": 2, "kernel_size": 3}}, sequential([0])],
        "N,H,W,C",
    ),
    "node no object": ([dense(), graph([3, node()])], "node 0"),
    "node without inputs": ([dense(), graph([node(inputs=[])])], "one value"),
    "value that does not exist": ([dense(), graph([node(inputs=[5])])], "number of a value"),
    "value that comes later": ([dense(units=3), graph([node(inputs=[1])])], "number of a value"),
    "negative value": ([dense(), graph([node(inputs=[-1])])], "number of a value"),
    "unknown node key": ([dense(), graph([{**node(), "path": "x"}])], "path"),
    "unknown node attribute": ([dense(), graph([node(salt=1)])], "salt"),
    "training no boolean": ([dense(), graph([node(training=1)])], "training"),
    "no outputs": ([dense(), graph([node()], [])], "one value"),
    "several no booleans": ([dense(), graph([node()], several=[1, 0])], "several"),
    "op unknown": ([graph([op("system")])], "unknown op"),
    "op of constants alone": ([graph([op("add", [constant(), constant()])])], "input that is a value"),
    "op without inputs": ([graph([op("relu", [])])], "input that is a value"),
    "op with too many inputs": ([graph([op("relu", [0, 0, 0])])], "relu"),
    "op with an unknown argument": ([graph([op("relu", path="/etc/passwd")])], "relu"),
    "op with a string": ([graph([op("add", [0, "1"])])], "input must be"),
    "reshape to nothing": ([graph([op("reshape", shape=[0])])], "reshape"),
    "reshape to text": ([graph([op("reshape", shape="ab")])], "reshape"),
    "constant of another size": ([graph([op("add", [0, constant(shape=[2])])])], "constant"),
    "constant of absurd size": ([graph([op("add", [0, constant(shape=[2**62, 2**62])])])], "constant"),
    "constant of no size": ([graph([op("add", [0, constant("", [0])])])], "constant"),
    "constant of objects": ([graph([op("add", [0, constant(dtype="object")])])], "constant"),
    "constant of noise": ([graph([op("add", [0, constant("*!")])])], "base64"),
    "2**40 layers": (doubling(40), "applies more than"),
    "2**20 layers": (doubling(20), "applies more than"),
    "models nested 40 deep": (chain(40), "nests models more than"),
    "20,000 layers": ([dense(units=3), graph([node()] * 20_000)], "applies more than"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_description_is_refused(what):
    table, message = HOSTILE[what]
    config = {"version": 1, "layers": table} if what != "no object" and isinstance(table, list) else table
    with pytest.raises(ValueError, match=message) as caught:
        model_from_config(config)
    assert len(str(caught.value)) < 2000


def test_the_same_descriptions_without_the_poison_are_accepted():
    assert model_from_config({"version": 1, "layers": [dense(), sequential([0])]}).output_shape == (None, 2)
    assert model_from_config({"version": 1, "layers": [dense(), graph([node()])]}).output_shape == (None, 2)
    assert model_from_config({"version": 1, "layers": [graph([op()])]}).output_shape == (None, 3)
    assert model_from_config({"version": 1, "layers": [graph([op("add", [0, constant()])])]}).built
    assert model_from_config({"version": 1, "layers": chain(10)}).output_shape == (None, 3)
    assert model_from_config({"version": 1, "layers": doubling(5)}).output_shape == (None, 3)


POISON = (
    None, True, False, 0, 1, -1, 2, 10**6, 10**12, 2**63, 2**64, 10**39, -(2**63), 0.5, -0.0, 1e308, 5e-324,
    "", "relu", "os.system", "/etc/passwd", "\ud800", "a" * 5000, [], [0], [None], [1, 2], [-1, -1],
    [2**40, 2**40], [[1, 2], [3, 4]], ["x"], [[[]]], {}, {"class_name": "Zeros", "config": {}},
    {"class_name": "eval"}, {"a": {"b": {}}},
)  # fmt: skip


def places(value, path=()):
    """The paths of everything in a description."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*path, key)
        yield from places(inner, (*path, key))


def poisoned(config, rng):
    """The description with something else in one to three places, or something missing."""
    config = copy.deepcopy(config)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        path = rng.choice(list(places(config)))
        holder = config
        for key in path[:-1]:
            holder = holder[key]
        action = rng.random()
        if action < 0.8:
            holder[path[-1]] = copy.deepcopy(rng.choice(POISON))
        elif action < 0.9:
            del holder[path[-1]]
        elif isinstance(holder, list):
            holder.insert(path[-1], copy.deepcopy(rng.choice((holder[path[-1]], *POISON))))
        else:
            holder[rng.choice(("path", "fn", "name", "seed"))] = rng.choice(POISON)
    return config


@pytest.mark.parametrize("name", NETWORKS)
def test_poisoned_descriptions_are_refused_or_harmless(name, small_weights):
    rng = random.Random(name)
    config = NETWORKS[name]().get_config()
    refused = 0
    for _ in range(150):
        try:
            model_from_config(poisoned(config, rng))
        except ValueError as error:
            refused += 1
            assert str(error).startswith("the architecture")
    assert refused > 50


@pytest.fixture
def small_weights():
    """As in `load_model`, weights are limited, here to 10 MB."""
    from cnnfast.formats.saving import _Budget
    from cnnfast.layers.base import initial_values_from

    def make(shape):
        return _Budget(10_000_000)(shape)

    with initial_values_from(make):
        yield
