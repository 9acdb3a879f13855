"""Activation maps are what the layers give, mosaics are the course's, and dead channels are counted exactly."""

import numpy as np
import pytest

import cnnfast
from cnnfast import explain, layers
from cnnfast.explain.activations import activation_maps, dead_channels, mosaic
from cnnfast.graph.program import Program
from cnnfast.utils import PyDataset
from tests.explain.networks import images, small_convnet


def test_maps_are_those_of_the_model_cut_off_at_each_layer():
    model, x = small_convnet(), images()
    maps = activation_maps(model, x)
    assert list(maps) == ["conv1", "bn", "pool", "conv2", "relu2", "mean", "scores"]
    for name, found in maps.items():
        cut = cnnfast.Model(model.inputs[0], model.get_layer(name).output)
        np.testing.assert_allclose(found, cut.predict(x, verbose=0), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(maps["scores"].sum(1), 1, rtol=1e-6)  # after the softmax


def test_all_layers_come_from_one_run_of_a_program(monkeypatch):
    runs = []
    run = Program.run
    monkeypatch.setattr(Program, "run", lambda self, *a, **k: runs.append(1) or run(self, *a, **k))
    activation_maps(small_convnet(), images(5))
    assert len(runs) == 1


def test_layers_of_nested_models_and_every_application_are_named():
    x = cnnfast.Input((6, 6, 2))
    shared = layers.Conv2D(2, 3, padding="same", activation="relu", name="shared")
    base = cnnfast.Model(x, shared(shared(x)), name="base")
    model = cnnfast.Sequential([cnnfast.Input((6, 6, 2)), base, layers.GlobalAveragePooling2D(name="mean")])
    image = np.random.default_rng(0).normal(size=(3, 6, 6, 2)).astype(np.float32)
    maps = activation_maps(model, image)
    assert list(maps) == ["base/shared", "base/shared:1", "mean"]
    np.testing.assert_allclose(maps["base/shared"], shared(image), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(maps["base/shared:1"].mean((1, 2)), maps["mean"], rtol=1e-5, atol=1e-6)
    assert list(activation_maps(model, image, ("shared", 0))) == ["base/shared"]
    assert list(activation_maps(model, image, ("mean", "shared"))) == ["base/shared:1", "mean"]


def test_batches_do_not_change_the_maps_and_unknown_layers_are_named():
    model, x = small_convnet(), images(7)
    whole, parts = activation_maps(model, x, "relu2")["relu2"], activation_maps(model, x, "relu2", batch_size=3)
    np.testing.assert_allclose(parts["relu2"], whole, rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match="activation_maps: no layer is named 'conv3'"):
        activation_maps(model, x, ["conv1", "conv3"])
    with pytest.raises(ValueError, match="must name at least one layer"):
        activation_maps(model, x, [])


def test_models_without_classes_have_maps_and_dead_channels():
    model = cnnfast.Sequential([cnnfast.Input((4, 4, 1)), layers.Conv2D(2, 3, activation="relu", name="conv")])
    model.get_layer("conv").set_weights([np.ones((3, 3, 1, 2)), np.array([0.0, -100.0])])
    x = np.arange(16.0).reshape(1, 4, 4, 1)
    expected = np.stack([[[45, 54], [81, 90]], np.zeros((2, 2))], axis=2)
    np.testing.assert_array_equal(activation_maps(model, x)["conv"], expected[None])
    assert counted(dead_channels(model, x)) == {"conv": (1, 2, [1])}


def test_layers_on_other_ways_are_left_out():
    x = cnnfast.Input((4,))
    one, two = layers.Dense(2, activation="softmax", name="one")(x), layers.Dense(3, name="two")(x)
    model = cnnfast.Model(x, [one, two])
    assert list(activation_maps(model, np.ones((1, 4)))) == ["one"]
    assert list(activation_maps(model, np.ones((1, 4)), output="two")) == ["two"]


def test_a_mosaic_is_the_course_s_pixel_for_pixel():
    # Mean 2 and deviation 1: minus and plus one deviation are 64 and 192; the second channel is dead.
    maps = np.stack([[[1.0, 3.0], [3.0, 1.0]], np.zeros((2, 2)), [[0.0, 0.0], [0.0, 4.0]]], axis=2)
    third = int((0 - 1) / np.sqrt(3) * 64 + 128), int(min(3 / np.sqrt(3) * 64 + 128, 255))
    expected = [
        [64, 192, 0, 0, 0],
        [192, 64, 0, 0, 0],
        [0, 0, 0, 0, 0],
        [third[0], third[0], 0, 0, 0],
        [third[0], third[1], 0, 0, 0],
    ]
    found = mosaic(maps)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, expected)
    assert third == (91, 238)


def test_a_mosaic_has_the_columns_padding_and_scaling_that_were_asked_for():
    maps = np.arange(12.0).reshape(2, 2, 3)
    np.testing.assert_array_equal(mosaic(maps, 3, 0, "minmax"), [[0, 85] * 3, [170, 255] * 3])
    assert mosaic(maps, columns=1, padding=2).shape == (10, 2)
    assert mosaic(maps, columns=9).shape == (2, 8)
    spike = np.zeros((10, 10, 1))
    spike[0, 0] = 1  # ten deviations above the mean, nothing below
    assert mosaic(spike)[0, 0] == 255
    # Rounding of the mean of a constant makes no pattern.
    assert not mosaic(np.full((7, 7, 2), 0.1)).any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"maps": np.zeros((1, 2, 2, 3))}, r"maps of one sample \(P,Q,K\), got shape \(1, 2, 2, 3\)"),
        ({"maps": np.full((2, 2, 3), np.nan)}, "not finite"),
        ({"columns": 0}, "columns must be at least 1"),
        ({"padding": -1}, "padding must be at least 0"),
        ({"scaling": "max"}, "must be 'standard' or 'minmax', got 'max'"),
    ],
)
def test_bad_arguments_of_a_mosaic_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        mosaic(**({"maps": np.ones((2, 2, 3))} | arguments))


def with_dead_channels():
    """Channels 1 and 3 of the convolution never are above 0; 2 only where a pixel is above 5. Neuron 0 is dead."""
    model = cnnfast.Sequential(
        [
            cnnfast.Input((4, 4, 1)),
            layers.Conv2D(4, 1, activation="relu", name="conv"),
            layers.Dropout(0.5, name="drop"),
            layers.Flatten(),
            layers.Dense(3, name="hidden"),
            layers.ReLU(6.0, name="relu6"),
            layers.Dense(2, activation="softmax"),
        ]
    )
    model.get_layer("conv").set_weights([np.array([1.0, 0, 1, -1]).reshape(1, 1, 1, 4), np.array([0.0, 0, -5, 0])])
    model.get_layer("hidden").set_weights([np.full((64, 3), 0.1), np.array([-1e6, 0.0, 1.0])])
    return model


def pixels(count=10):
    x = np.random.default_rng(0).uniform(0, 4, size=(count, 4, 4, 1)).astype(np.float32)
    return x


def counted(found):
    return {name: (d.count, d.total, d.indices.tolist()) for name, d in found.items()}


def test_dead_channels_are_counted_exactly():
    x = pixels()
    expected = {"conv": (3, 4, [1, 2, 3]), "relu6": (1, 3, [0])}
    assert counted(dead_channels(with_dead_channels(), x)) == expected
    x[7, 2, 1] = 5.5  # one pixel of one image, in the last of its batches
    expected["conv"] = (2, 4, [1, 3])
    assert counted(dead_channels(with_dead_channels(), x)) == expected
    assert counted(dead_channels(with_dead_channels(), x, batch_size=3)) == expected


def test_dead_channels_are_found_over_the_batches_of_a_data_set():
    class Batches(PyDataset):
        def __len__(self):
            return 3

        def __getitem__(self, index):
            x = pixels(4 - index)
            x[0, 0, 0] = 6.0 if index == 1 else 0.0
            return x, np.zeros(len(x))

    expected = {"conv": (2, 4, [1, 3]), "relu6": (1, 3, [0])}
    assert counted(dead_channels(with_dead_channels(), Batches())) == expected
    assert counted(dead_channels(with_dead_channels(), (batch for batch in Batches()))) == expected
    assert counted(dead_channels(with_dead_channels(), Batches(), "conv")) == {"conv": expected["conv"]}


def test_what_has_no_relus_or_no_data_is_named():
    model = cnnfast.Sequential([cnnfast.Input((4,)), layers.Dense(2)])
    with pytest.raises(ValueError, match="has no layer with a ReLU"):
        dead_channels(model, np.ones((2, 4)))
    with pytest.raises(ValueError, match="there was no batch"):
        dead_channels(model, iter(()))
    with pytest.raises(TypeError, match="model must be a cnnfast model, got str"):
        dead_channels("model", np.ones((2, 4)))


def test_a_softmax_is_still_seen_through_by_gradients_of_its_layer_s_input():
    model = small_convnet()
    with pytest.raises(ValueError, match="layer 'scores' has the output"):
        explain.gradcam(model, images(), layer="scores")
