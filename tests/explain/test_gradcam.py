"""Grad-CAM is the formula of its paper, for any model, and says what is wrong with what it is asked."""

import numpy as np
import pytest

import cnnfast
from cnnfast import explain, layers, ops
from cnnfast.explain.probe import Probe
from tests.explain.networks import images, small_convnet, two_filters

X = np.arange(16.0, dtype=np.float32).reshape(1, 4, 4, 1)
# The maps of X: relu of the convolution, and the mean weights of the dense layer, 1 and (1 - 3) / 4.
KNOWN = np.array([[0, 4], [31, 40]]) - 0.5 * np.array([[0, 0], [6, 15]])


def raw(model, x, *args, **options):
    return explain.gradcam(model, x, *args, normalize=False, upsample=False, **options)


def test_gradcam_of_a_known_network_is_the_exact_map():
    np.testing.assert_array_equal(raw(two_filters(), X, 0, layer="relu")[0], KNOWN)


def test_auto_takes_the_activation_behind_the_last_convolution_and_not_the_pooling():
    model = two_filters()
    np.testing.assert_array_equal(raw(model, X, 0), raw(model, X, 0, layer="relu"))


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_a_final_activation_is_seen_through(activation):
    plain, final = small_convnet(activation=None), small_convnet(activation=activation)
    np.testing.assert_allclose(raw(final, images(), 1), raw(plain, images(), 1), rtol=1e-6)


def test_gradients_are_those_of_the_score_by_the_layer():
    model, x = small_convnet(activation=None), images(2)
    step = 1e-2
    below = cnnfast.Model(model.inputs[0], model.get_layer("relu2").output)
    top = cnnfast.Sequential([layers.Input((6, 5, 6)), model.get_layer("mean"), model.get_layer("scores")])
    maps = below.predict(x, verbose=0)
    slopes = np.empty(6)
    for k in range(6):
        moved = maps.copy()
        moved[..., k] += step
        slopes[k] = (top.predict(moved, verbose=0) - top.predict(maps, verbose=0))[0, 2] / step / 30
    # Rounding of the scores over the step: 2 * 2^-24 * |score| / (30 * step).
    expected = np.maximum(maps @ slopes, 0)
    np.testing.assert_allclose(raw(model, x, 2), expected, rtol=1e-3, atol=1e-5)


def test_nested_and_shared_models_give_the_maps_of_the_flat_one():
    flat = small_convnet()
    base = cnnfast.Model(flat.inputs[0], flat.get_layer("relu2").output, name="base")
    nested = cnnfast.Sequential([cnnfast.Input((12, 10, 3)), base, flat.get_layer("mean"), flat.get_layer("scores")])
    expected = raw(flat, images(), 1)
    np.testing.assert_array_equal(raw(nested, images(), 1), expected)
    np.testing.assert_array_equal(raw(nested, images(), 1, layer="base/relu2"), expected)
    np.testing.assert_array_equal(raw(nested, images(), 1, layer="base"), expected)


def test_each_application_of_a_shared_layer_can_be_asked_for():
    x = cnnfast.Input((6, 6, 2))
    shared = layers.Conv2D(2, 3, padding="same", name="shared")
    y = shared(shared(x))
    model = cnnfast.Model(x, layers.Dense(2)(layers.GlobalAveragePooling2D()(y)))
    image = np.random.default_rng(0).normal(size=(2, 6, 6, 2)).astype(np.float32)
    first, last = (raw(model, image, 0, layer=("shared", i), relu=False) for i in (0, 1))
    np.testing.assert_array_equal(raw(model, image, 0, layer="shared", relu=False), last)
    assert not np.allclose(first, last)
    with pytest.raises(ValueError, match="applied 2 times, there is no application 2"):
        raw(model, image, 0, layer=("shared", 2))


def test_nothing_changes_in_the_model_and_it_trains_as_before():
    one, two = small_convnet(), small_convnet()
    for model in (one, two):
        model.compile("sgd", "sparse_categorical_crossentropy")
    before = [vars(layer).keys() for layer in one.layers]
    explain.gradcam(one, images())
    assert [vars(layer).keys() for layer in one.layers] == before
    for model in (one, two):
        model.fit(images(), np.arange(5) % 3, verbose=0, shuffle=False)
    for a, b in zip(one.get_weights(), two.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_maps_follow_the_weights_after_training():
    model = small_convnet()
    before = raw(model, images(), 1)
    layer = model.get_layer("scores")
    layer.set_weights([2 * w for w in layer.get_weights()])
    np.testing.assert_allclose(raw(model, images(), 1), 2 * before, rtol=1e-6)


def test_a_model_is_traced_again_only_when_it_or_the_shapes_change(monkeypatch):
    traced = []
    plain = Probe._trace
    monkeypatch.setattr(Probe, "_trace", lambda self, n: traced.append(n) or plain(self, n))
    model, x = small_convnet(), images(4)
    first = explain.gradcam(model, x, 1)
    assert traced
    traced.clear()
    np.testing.assert_array_equal(explain.gradcam(model, x, 1), first)
    assert not traced
    explain.gradcam(model, x[:3], 1)
    assert set(traced) == {3}
    model.add(layers.Dense(5, name="behind"))
    assert explain.gradcam(model, x, 4, relu=False).any()  # a class that was not there


def test_a_layer_that_gets_another_name_is_found_by_it():
    model, x = small_convnet(), images(2)
    expected = explain.gradcam(model, x, 1, layer="conv1")
    model.get_layer("conv1").name = "first"
    np.testing.assert_array_equal(explain.gradcam(model, x, 1, layer="first"), expected)
    with pytest.raises(ValueError, match="no layer is named 'conv1'"):
        explain.gradcam(model, x, 1, layer="conv1")


def test_bits_do_not_depend_on_threads_or_batches():
    model, x = small_convnet(), images(7)
    threads = cnnfast.get_threads()
    try:
        cnnfast.set_threads(1)
        one = explain.gradcam(model, x, [0, 1, 2, 0, 1, 2, 0])
        cnnfast.set_threads(3)
        np.testing.assert_array_equal(explain.gradcam(model, x, [0, 1, 2, 0, 1, 2, 0]), one)
        np.testing.assert_allclose(explain.gradcam(model, x, [0, 1, 2, 0, 1, 2, 0], batch_size=3), one, rtol=1e-5)
    finally:
        cnnfast.set_threads(threads)


def test_targets_can_be_numbers_names_lists_sums_and_functions():
    model, x = small_convnet(), images()
    model.class_names = ["a", "b", "c"]
    expected = raw(model, x, 1)
    same = ["b", [1] * 5, np.full(5, 1), explain.weighted([0, 1, 0]), lambda s: ops.slice_axis(s, 1, 1, 2)]
    for target in same:
        np.testing.assert_allclose(raw(model, x, target), expected, rtol=1e-6)
    predicted = model.predict(x, verbose=0).argmax(1)
    np.testing.assert_array_equal(raw(model, x), raw(model, x, predicted))


def test_a_function_is_asked_anew_at_every_call():
    factor = [1.0]

    def target(scores):
        return ops.scale(ops.slice_axis(scores, 1, 1, 2), factor[0])

    model, x = small_convnet(), images()
    before = raw(model, x, target)
    factor[0] = 2.0
    np.testing.assert_allclose(raw(model, x, target), 2 * before, rtol=1e-6)


def test_names_and_numbers_may_stand_in_one_list_of_targets():
    model, x = small_convnet(), images()
    model.class_names = ["a", "b", "c"]
    np.testing.assert_array_equal(raw(model, x, [0, "b", 2, "a", 1]), raw(model, x, [0, 1, 2, 0, 1]))


def test_a_layer_is_told_from_one_of_the_same_name_inside_a_model():
    x = cnnfast.Input((6, 6, 2))
    inner = cnnfast.Sequential([cnnfast.Input((6, 6, 2)), layers.Conv2D(2, 3, name="c")], name="inner")
    y = layers.Conv2D(3, 3, name="c")(inner(x))
    model = cnnfast.Model(x, layers.Dense(2)(layers.GlobalAveragePooling2D()(y)))
    image = np.random.default_rng(0).normal(size=(2, 6, 6, 2)).astype(np.float32)
    assert raw(model, image, 0, layer="c", relu=False).shape == (2, 2, 2)
    assert raw(model, image, 0, layer="inner/c", relu=False).shape == (2, 4, 4)


def test_a_tuple_of_layers_is_several_layers():
    both = ("conv1", "conv2")
    np.testing.assert_array_equal(
        explain.gradcam(small_convnet(), images(), 1, layer=both),
        explain.gradcam(small_convnet(), images(), 1, layer=list(both)),
    )


def test_a_layer_of_another_model_is_refused():
    other = small_convnet()
    with pytest.raises(ValueError, match="the layer 'conv2' is one of another model"):
        explain.gradcam(small_convnet(), images(), layer=other.get_layer("conv2"))


def test_a_single_score_is_class_1_and_its_negative_class_0():
    model = small_convnet(activation="sigmoid", classes=1)
    one, zero = (raw(model, images(), target, relu=False) for target in (1, 0))
    np.testing.assert_array_equal(one, -zero)


def test_regions_of_a_map_of_scores_are_targets():
    x = cnnfast.Input((6, 6, 2))
    y = layers.Conv2D(4, 3, padding="same", activation="relu", name="maps")(x)
    model = cnnfast.Model(x, layers.Conv2D(3, 1, activation="softmax", name="classes")(y))
    image = np.random.default_rng(0).normal(size=(2, 6, 6, 2)).astype(np.float32)
    mask = np.zeros((6, 6))
    mask[:3, :3] = 1
    by_mask = raw(model, image, explain.region(1, mask), layer="maps", relu=False)
    by_box = raw(model, image, explain.region(1, box=(0, 0, 0.5, 0.5)), layer="maps", relu=False)
    np.testing.assert_array_equal(by_box, by_mask)
    assert by_mask.any()
    with pytest.raises(ValueError, match="region: class 3 is out of range"):
        raw(model, image, explain.region(3), layer="maps")
    with pytest.raises(ValueError, match=r"take explain\.region"):
        raw(model, image, 1, layer="maps")


def test_a_map_without_evidence_is_reported():
    model = small_convnet()
    layer = model.get_layer("scores")
    layer.set_weights([-np.abs(w) for w in layer.get_weights()])
    with pytest.warns(explain.ExplanationWarning, match="nothing in the maps of 5 of 5 samples"):
        assert not explain.gradcam(model, images(), 0).any()


def test_maps_have_the_size_of_the_image_and_lie_in_0_to_1():
    heat = explain.gradcam(small_convnet(), images(3), 1)
    assert heat.shape == (3, 12, 10) and heat.dtype == np.float32
    assert heat.min() >= 0 and heat.max() <= 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"layer": "conv3"}, r"no layer is named 'conv3'; did you mean 'conv[12]'\?; the layers are conv1, bn, pool"),
        (
            {"layer": "scores"},
            r"layer 'scores' has the output \(5, 3\), expected maps .* those with maps are conv1, bn",
        ),
        ({"target": 3}, "target 3 is out of range, the model has the classes 0 to 2"),
        ({"target": [1, 2]}, "5 samples need 5 targets"),
        ({"target": "dog"}, "the model has no class_names"),
        ({"output": 1}, "output 1 is out of range"),
        ({"batch_size": 0}, "batch_size must be a whole number from 1"),
        ({"x": images()[:, :5]}, "expects shape"),
        ({"x": np.full((1, 12, 10, 3), np.nan)}, "not finite"),
        ({"x": images()[:0]}, "N from 1"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        explain.gradcam(small_convnet(), **({"x": images()} | arguments))


def test_things_of_wrong_types_are_named():
    with pytest.raises(TypeError, match="model must be a cnnfast model, got str"):
        explain.gradcam("model", images())
    with pytest.raises(TypeError, match="output must be a number or a name, got None"):
        explain.gradcam(small_convnet(), images(), output=None)
    with pytest.raises(TypeError, match="target must be None, a class"):
        explain.gradcam(small_convnet(), images(), 1.5)
    with pytest.raises(TypeError, match=r"gives what cnnfast\.ops make"):
        explain.gradcam(small_convnet(), images(), lambda s: 1)
