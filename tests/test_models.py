"""Models as users meet them: training, freezing, nesting, and what they refuse."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import cnnfast
from cnnfast import Input, Sequential, layers, ops
from cnnfast.training.errors import NonFiniteLoss


def _classifier(seed=0, **compile_options):
    cnnfast.utils.set_random_seed(seed)
    model = cnnfast.Sequential(
        [
            cnnfast.Input((8, 8, 2)),
            layers.Conv2D(6, 3, activation="relu"),
            layers.BatchNormalization(),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dropout(0.2),
            layers.Dense(3, activation="softmax"),
        ]
    )
    options = {"optimizer": "adam", "loss": "sparse_categorical_crossentropy", **compile_options}
    model.compile(**options)
    return model


def _data(n=21):
    rng = np.random.default_rng(7)
    return rng.standard_normal((n, 8, 8, 2)).astype(np.float32), rng.integers(0, 3, n)


def _bits(model):
    return [w.tobytes() for w in model.get_weights()]


def test_training_gives_the_same_bits_for_any_number_of_threads(same_bits):
    x, y = _data()

    def train():
        model = _classifier()
        model.fit(x, y, batch_size=8, epochs=2, verbose=0)
        return model.get_weights()

    same_bits(train)


def test_a_batch_predicts_what_its_samples_predict_alone():
    model, (x, _) = _classifier(), _data()
    together = model.predict(x, batch_size=8, verbose=0)
    alone = np.concatenate([model.predict_on_batch(x[i : i + 1]) for i in range(len(x))])
    assert np.allclose(together, alone, atol=1e-6)


@pytest.mark.parametrize(
    ("x", "y", "error", "message"),
    [
        (np.zeros((4, 8, 8)), np.zeros(4, int), ValueError, r"\(None, 8, 8, 2\).*\(4, 8, 8\)"),
        (np.zeros((4, 8, 8, 3)), np.zeros(4, int), ValueError, r"\(None, 8, 8, 2\).*\(4, 8, 8, 3\)"),
        (np.zeros((4, 8, 8, 2)), np.array([0, 1, 2, 3]), ValueError, r"\[0, 2\], got 0 to 3"),
        (np.zeros((4, 8, 8, 2)), np.array([0, -1, 2, 1]), ValueError, r"\[0, 2\], got -1 to 2"),
        (np.zeros((4, 8, 8, 2)), np.full(4, 0.5), ValueError, "whole class numbers"),
        (np.zeros((4, 8, 8, 2)), np.zeros((4, 3)), ValueError, "use categorical_crossentropy"),
        (np.zeros((4, 8, 8, 2)), np.zeros(3, int), ValueError, "4.*3|3.*4"),
        (np.zeros((0, 8, 8, 2)), np.zeros(0, int), ValueError, "empty|size 0|no samples|0"),
        (np.zeros((4, 8, 8, 2), complex), np.zeros(4, int), TypeError, "complex"),
        (np.full((4, 8, 8, 2), np.nan), np.zeros(4, int), ValueError, "loss became NaN"),
    ],
)
def test_bad_batches_are_refused_and_change_nothing(x, y, error, message):
    model = _classifier()
    model.train_on_batch(*_data(5))
    before, steps = _bits(model), model.optimizer.iterations
    with pytest.raises(error, match=message):
        model.train_on_batch(x, y)
    assert _bits(model) == before
    assert model.optimizer.iterations == steps


def test_trainable_takes_effect_at_once():
    model, (x, y) = _classifier(optimizer="sgd"), _data()
    model.train_on_batch(x, y)
    conv, norm = model.layers[0], model.layers[1]
    conv.trainable = norm.trainable = False
    frozen = [w.copy() for layer in (conv, norm) for w in layer.get_weights()]
    head = model.layers[-1].get_weights()[0]
    model.train_on_batch(x, y)
    now = [w for layer in (conv, norm) for w in layer.get_weights()]
    assert all(np.array_equal(a, b) for a, b in zip(frozen, now, strict=True))  # moving statistics too
    assert not np.array_equal(head, model.layers[-1].get_weights()[0])
    conv.trainable = True
    model.train_on_batch(x, y)
    assert not np.array_equal(frozen[0], conv.get_weights()[0])


def test_a_shared_layer_gets_the_gradients_of_both_its_uses():
    shared = layers.Dense(1, use_bias=False, kernel_initializer="ones")
    a, b = cnnfast.Input((2,)), cnnfast.Input((2,))
    model = cnnfast.Model([a, b], layers.Add()([shared(a), shared(b)]))
    model.compile(cnnfast.optimizers.SGD(0.5), lambda _, y_pred: (float(y_pred.sum()), np.ones_like(y_pred)))
    model.train_on_batch([np.array([[1.0, 2.0]]), np.array([[10.0, 20.0]])], np.zeros((1, 1)))
    assert np.allclose(shared.get_weights()[0].ravel(), [1 - 0.5 * 11, 1 - 0.5 * 22])


def test_nested_models_train_and_give_their_inner_outputs():
    base = cnnfast.Sequential([cnnfast.Input((6,)), layers.Dense(4, activation="relu", name="inner")], name="base")
    model = cnnfast.Sequential([base, layers.Dense(2)])
    model.compile("sgd", "mse")
    before = base.get_weights()[0]
    rng = np.random.default_rng(0)
    model.fit(rng.standard_normal((8, 6)), rng.standard_normal((8, 2)), epochs=1, verbose=0)
    assert not np.array_equal(before, base.get_weights()[0])
    inner = cnnfast.Model(base.input, base.get_layer("inner").output)
    assert inner.predict(np.ones((3, 6)), verbose=0).shape == (3, 4)


def test_a_loss_in_numpy_trains_like_the_same_loss_as_a_kernel():
    x, y = _data()
    one_hot = cnnfast.utils.to_categorical(y, 3)

    def squared(y_true, y_pred):
        d = y_pred - y_true
        return float((d**2).mean()), 2 * d / d.size

    weights = []
    for loss in (squared, "mse"):
        model = _classifier(optimizer="sgd", loss=loss)
        model.fit(x, one_hot, batch_size=8, epochs=2, verbose=0)
        weights.append(model.get_weights())
    for a, b in zip(*weights, strict=True):
        assert np.allclose(a, b, atol=1e-5)


def test_ops_on_symbolic_values_become_part_of_a_model():
    x = cnnfast.Input((4,))
    model = cnnfast.Model(x, ops.scale(ops.relu(x), 2.0))
    assert np.array_equal(model.predict(np.array([[-1.0, 0.0, 1.0, 2.0]]), verbose=0), [[0, 0, 2, 4]])


def test_outputs_that_do_not_depend_on_the_inputs_are_refused():
    a, b = cnnfast.Input((4,)), cnnfast.Input((4,))
    with pytest.raises(ValueError, match="does not depend on the given"):
        cnnfast.Model(a, layers.Add()([a, b]))


def test_layers_added_and_popped_count_at_once():
    x = np.random.default_rng(0).standard_normal((4, 3)).astype(np.float32)
    model = cnnfast.Sequential([cnnfast.Input((3,)), layers.Dense(5)])
    outer_input = cnnfast.Input((3,))
    outer = cnnfast.Model(outer_input, model(outer_input))
    assert model.predict(x, verbose=0).shape == outer.predict(x, verbose=0).shape == (4, 5)
    model.add(layers.Dense(7))
    assert model.predict(x, verbose=0).shape == outer.predict(x, verbose=0).shape == (4, 7)
    model.compile("sgd", "mse")
    model.train_on_batch(x, np.ones((4, 7)))
    popped = model.pop()
    model.add(layers.Dense(7))
    before, after = popped.get_weights()[0], model.layers[-1].get_weights()[0]
    model.train_on_batch(x, np.ones((4, 7)))
    assert np.array_equal(popped.get_weights()[0], before)
    assert not np.array_equal(model.layers[-1].get_weights()[0], after)


def test_a_change_of_a_variables_trainable_counts_at_once():
    x, y = np.ones((4, 3), np.float32), np.ones((4, 2))
    model = cnnfast.Sequential([cnnfast.Input((3,)), layers.Dense(2)])
    model.compile("sgd", "mse")
    model.train_on_batch(x, y)
    kernel, bias = model.layers[0].weights
    kernel.trainable = False
    before = kernel.numpy(), bias.numpy()
    model.train_on_batch(x, y)
    assert np.array_equal(kernel.value, before[0]) and not np.array_equal(bias.value, before[1])


def test_a_variable_changes_by_assign_alone():
    layer = layers.Dense(2)
    layer.build((None, 3))
    with pytest.raises(AttributeError, match="value"):
        layer.kernel.value = np.zeros((3, 2))
    with pytest.raises(ValueError, match="read-only"):
        layer.kernel.value[:] = 1.0
    layer.kernel.assign(np.ones((3, 2)))
    assert np.array_equal(layer.kernel.value, np.ones((3, 2)))


def _dense(loss):
    model = cnnfast.Sequential([cnnfast.Input((3,)), layers.Dense(2)])
    model.compile("sgd", loss)
    return model, np.ones((4, 3), np.float32), np.ones((4, 2))


@pytest.mark.parametrize("weights", [{"sample_weight": np.ones(4)}, {"class_weight": {0: 2.0}}])
def test_a_loss_written_in_numpy_refuses_weights(weights):
    model, x, y = _dense(lambda t, p: (0.0, np.zeros_like(p)))
    before = _bits(model)
    with pytest.raises(ValueError, match="written in NumPy takes no sample_weight or class_weight"):
        model.fit(x, y, verbose=0, **weights)
    assert _bits(model) == before


def test_a_gradient_that_is_not_finite_never_reaches_a_weight():
    model, x, y = _dense(lambda t, p: (1.0, np.full_like(p, np.nan)))
    before = _bits(model)
    with pytest.raises(NonFiniteLoss, match=r"the gradient of .* became NaN in epoch 1, batch 1"):
        model.fit(x, y, verbose=0)
    assert _bits(model) == before


def test_a_deep_copy_trains_as_the_model_would_and_leaves_it_alone():
    x, y = np.ones((4, 3), np.float32), np.ones((4, 2))
    model = cnnfast.Sequential([cnnfast.Input((3,)), layers.Dense(2, kernel_regularizer="l2")])
    model.compile("adam", "mse")
    model.train_on_batch(x, y)
    model.predict(x, verbose=0)
    twin, before = copy.deepcopy(model), _bits(model)
    assert twin.train_on_batch(x, y) > 0
    assert _bits(model) == before
    model.train_on_batch(x, y)
    assert _bits(twin) == _bits(model)
    assert len(twin.penalties()) == 1 and twin.optimizer.iterations == 2


def test_data_in_memory_are_refused_before_anything_is_trained():
    model, (x, y) = _classifier(), _data()
    before, bad = _bits(model), y.copy()
    bad[-1] = 9
    for arguments in ({"y": bad}, {"y": y, "validation_data": (x, bad)}, {"y": y, "validation_data": (x[:, 1:], y)}):
        with pytest.raises(ValueError, match=r"classes must lie|expects shape"):
            model.fit(x, batch_size=4, verbose=0, shuffle=False, **arguments)
        assert _bits(model) == before


def test_a_frozen_model_computes_losses_and_keeps_its_weights():
    model, x, y = _dense("mse")
    model.trainable = False
    before = _bits(model)
    assert model.fit(x, y, verbose=0).history["loss"][0] > 0
    assert _bits(model) == before


def test_a_mean_over_sizes_that_only_the_data_tells_divides_by_them(tmp_path):
    x = cnnfast.Input((None, None, 3))
    model = cnnfast.Model(x, ops.mean(x, axis=(1, 2)))
    model.save(tmp_path / "mean.safetensors")
    for m in (model, cnnfast.load_model(tmp_path / "mean.safetensors")):
        assert (m.predict(np.ones((2, 4, 5, 3)), verbose=0) == 1.0).all()
        assert (m.predict(np.ones((2, 7, 3, 3)), verbose=0) == 1.0).all()
    x = cnnfast.Input((4,))
    assert (cnnfast.Model(x, ops.mean(x, axis=0)).predict(np.ones((5, 4)), verbose=0) == 1.0).all()


def test_a_relu_with_a_large_maximum_keeps_small_values():
    x = np.array([[0.3, 1e-6, 3.0, 2e8, -1.0]], np.float32)
    np.testing.assert_array_equal(layers.ReLU(max_value=1e8)(x), np.array([[0.3, 1e-6, 3.0, 1e8, 0.0]], np.float32))


def test_a_metric_asked_for_with_and_without_weights_has_two_names():
    model = cnnfast.Sequential([cnnfast.Input((4,)), layers.Dense(3, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"], weighted_metrics=["accuracy"])
    results = model.evaluate(
        np.ones((6, 4)), np.arange(6) % 3, sample_weight=np.arange(6.0), verbose=0, return_dict=True
    )
    assert set(results) == {"loss", "accuracy", "weighted_accuracy"}


@pytest.mark.parametrize("bad", [np.nan, np.inf, 0.5])
def test_a_class_number_that_is_none_is_named(bad):
    model = cnnfast.Sequential([cnnfast.Input((4,)), layers.Dense(3, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    with pytest.raises(ValueError, match=f"got {bad}"):
        model.train_on_batch(np.ones((2, 4)), np.array([1.0, bad]))


def test_summary_lists_nested_layers_and_what_is_trained_when_asked(capsys):
    inner = Sequential([Input((4, 4, 1)), layers.Conv2D(2, 3, name="deep"), layers.Flatten(name="flat")], name="inner")
    inner.trainable = False
    model = Sequential([Input((4, 4, 1)), inner, layers.Dense(3, name="last")])
    model.summary()
    assert "deep" not in (plain := capsys.readouterr().out) and "Trainable │" not in plain
    model.summary(expand_nested=True, show_trainable=True)
    marks = {line.split()[1]: line.split()[-2] for line in capsys.readouterr().out.splitlines() if ") " in line[:30]}
    assert marks == {"Layer": "Trainable", "inner": "N", "deep": "N", "flat": "-", "last": "Y"}


def test_an_input_of_any_type_order_and_alignment_gives_what_its_float32_copy_gives(rng):
    model = cnnfast.Sequential([cnnfast.Input((6, 5, 3)), cnnfast.layers.Conv2D(4, 3), cnnfast.layers.Flatten()])
    x = rng.integers(0, 200, (2, 6, 5, 3)).astype(np.float32)
    wanted = model.predict_on_batch(x.copy())
    read_only = x.copy()
    read_only.flags.writeable = False
    unaligned = np.frombuffer(b"\0" + x.tobytes(), np.uint8)[1:].view(np.float32).reshape(x.shape)
    given = [x.astype(t) for t in (np.uint8, np.int64, np.float64, np.float16, ">f4")]
    given += [np.asfortranarray(x), np.repeat(x, 2, axis=2)[:, :, ::2], read_only, unaligned]
    for array in given:
        np.testing.assert_array_equal(model.predict_on_batch(array), wanted)
