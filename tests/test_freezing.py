"""Frozen layers keep their weights and cost what they cost in inference; what is unfrozen trains at the next step."""

from __future__ import annotations

import numpy as np
import pytest

import cnnfast
from cnnfast import Input, Model, Sequential, layers

IMAGE = (32, 32, 3)


def vgg_like(widths=(8, 16, 16), *, norm=False, name="conv_base"):
    """Blocks of two convolutions and a pooling, named as those of VGG16."""
    x = inputs = Input(IMAGE)
    for block, filters in enumerate(widths, 1):
        for i in (1, 2):
            x = layers.Conv2D(filters, 3, padding="same", name=f"block{block}_conv{i}")(x)
            if norm:
                x = layers.BatchNormalization(name=f"block{block}_norm{i}")(x)
            x = layers.ReLU(name=f"block{block}_relu{i}")(x)
        x = layers.MaxPooling2D(2, name=f"block{block}_pool")(x)
    return Model(inputs, x, name=name)


def with_head(base):
    model = Sequential([base, layers.Flatten(), layers.Dense(16, activation="relu"), layers.Dense(2)])
    model.compile(cnnfast.optimizers.Adam(1e-3), cnnfast.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def unfreeze_from(conv_base, name):
    """The loop of the book, as it stands there."""
    conv_base.trainable = True
    set_trainable = False
    for layer in conv_base.layers:
        if layer.name == name:
            set_trainable = True
        if set_trainable:
            layer.trainable = True
        else:
            layer.trainable = False


def batch(n=6, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, *IMAGE)).astype(np.float32), rng.integers(0, 2, n)


def program(model, kind):
    """The newest Program that a model trains (or predicts) with."""
    found = [made for key, made in model._engine._programs.items() if kind in key]
    return found[-1] if kind == "predict" else found[-1].program


def ops_of(made):
    """The ops of a Program's steps; those at the front that are done once are left out."""
    steps = [name for name, _ in made._engine.step_seconds()]
    return steps[made._constants.step_count :]


def backward(made):
    return [name for name in ops_of(made) if "backward" in name]


def bits(variables):
    return [v.numpy().tobytes() for v in variables]


def test_frozen_layers_have_no_backward_steps_and_the_forward_steps_of_inference():
    base = vgg_like(norm=True)
    base.trainable = False
    model = with_head(base)
    x, y = batch()
    model.train_on_batch(x, y)
    alone = Model(base.inputs, base.outputs)
    alone.predict_on_batch(x)
    steps = ops_of(program(model, "train"))
    of_base = ops_of(program(alone, "predict"))
    assert of_base == ["conv2d"] * 6  # normalization, activation and pooling are part of the convolutions
    assert steps[:6] == of_base
    assert not any("conv" in name or "pool" in name or "norm" in name for name in steps[6:])


def test_weights_of_frozen_layers_are_packed_once():
    base = vgg_like()
    base.trainable = False
    model = with_head(base)
    x, y = batch()
    model.train_on_batch(x, y)
    made = program(model, "train")
    assert sum(name == "pack_weights" for name, _ in made._engine.step_seconds()) == 6
    assert "pack_weights" not in ops_of(made)


def test_constants_of_a_frozen_base_follow_its_weights():
    base, (x, y) = vgg_like(norm=True), batch()
    base.trainable = False
    model = with_head(base)
    model.train_on_batch(x, y)
    for layer in base.layers:
        layer.set_weights([0.5 * w for w in layer.get_weights()])
    fresh = with_head(vgg_like(norm=True, name="fresh"))
    fresh.set_weights(model.get_weights())
    fresh.layers[0].trainable = False
    assert model.train_on_batch(x, y) == fresh.train_on_batch(x, y)


def test_a_frozen_base_takes_the_memory_of_inference():
    widths, n = (32, 32, 32), 16
    base = vgg_like(widths)
    model = with_head(base)
    x, y = batch(n)
    model.train_on_batch(x, y)
    whole = program(model, "train").arena_bytes
    base.trainable = False
    model.train_on_batch(x, y)
    model.predict_on_batch(x)
    frozen, inference = program(model, "train").arena_bytes, program(model, "predict").arena_bytes
    features = 4 * n * 4 * 4 * widths[-1]
    head = 4 * sum(w.value.size for w in model.trainable_weights)  # the gradients
    assert frozen <= inference + 3 * features + head + 64 * 1024  # what the head keeps: features, hidden units
    assert frozen < whole / 2


def test_the_loop_of_the_book_trains_the_layers_it_names_and_no_others():
    base, (x, y) = vgg_like(), batch()
    model = with_head(base)
    base.trainable = False
    head = [w for layer in model.layers[1:] for w in layer.weights]
    assert model.trainable_weights == head
    frozen, before = base.weights, bits(base.weights)
    for _ in range(3):
        model.train_on_batch(x, y)
    assert bits(frozen) == before
    unfreeze_from(base, "block3_conv1")
    last = [w for layer in base.layers if layer.name.startswith("block3") for w in layer.weights]
    assert model.trainable_weights == last + head
    earlier = [w for w in base.weights if w not in last]
    before, before_last = bits(earlier), bits(last)
    for _ in range(3):
        model.train_on_batch(x, y)
    assert bits(earlier) == before
    assert all(a != b for a, b in zip(bits(last), before_last, strict=True))
    # Two convolutions get a weight gradient, and only the second sends one back.
    steps = backward(program(model, "train"))
    assert steps.count("conv2d_backward_weight") == 2 and steps.count("conv2d_backward_input") == 1


def test_the_optimizer_keeps_slots_for_what_was_trained_alone():
    base, (x, y) = vgg_like(), batch()
    base.trainable = False
    model = with_head(base)
    model.train_on_batch(x, y)
    optimizer = model.optimizer
    assert len(optimizer.variables) == 2 * 4
    unfreeze_from(base, "block3_conv2")
    model.train_on_batch(x, y)
    assert len(optimizer.variables) == 2 * 4 + 2 * 2
    assert not any(optimizer.slots_of(w) for w in base.layers[1].weights)


def test_a_base_that_is_frozen_gives_the_steps_of_its_features_alone():
    base, (x, y) = vgg_like(norm=True), batch(8)
    for layer in base.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.moving_mean.assign(np.full(layer.moving_mean.shape, 0.1))
    base.trainable = False
    model = with_head(base)
    head = Sequential([Input(base.output_shape[1:]), *(type(v).from_config(v.get_config()) for v in model.layers[1:])])
    head.set_weights([w.numpy() for v in model.layers[1:] for w in v.weights])
    head.compile(cnnfast.optimizers.Adam(1e-3), model.compile_arguments()["loss"])
    features = base.predict(x, verbose=0)
    for _ in range(4):
        assert model.train_on_batch(x, y) == head.train_on_batch(features, y)
    assert bits(head.weights) == bits([w for v in model.layers[1:] for w in v.weights])


@pytest.mark.parametrize("how", ["trainable=False", "training=False"])
def test_batch_normalization_in_inference_mode_keeps_its_moving_statistics(how):
    base, (x, y) = vgg_like(norm=True), batch()
    inputs = Input(IMAGE)
    if how == "trainable=False":
        base.trainable = False
        features = base(inputs)
    else:
        features = base(inputs, training=False)
    model = Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling2D()(features)))
    model.compile("sgd", cnnfast.losses.SparseCategoricalCrossentropy(from_logits=True))
    norms = [v for v in base.layers if isinstance(v, layers.BatchNormalization)]
    moving = bits([w for v in norms for w in (v.moving_mean, v.moving_variance)])
    gamma = bits([v.gamma for v in norms])
    model.train_on_batch(x, y)
    assert bits([w for v in norms for w in (v.moving_mean, v.moving_variance)]) == moving
    assert (bits([v.gamma for v in norms]) == gamma) == (how == "trainable=False")
    assert "batch_norm" not in ops_of(program(model, "train"))


def test_a_frozen_normalization_between_trained_layers_stays_in_inference_mode():
    base, (x, y) = vgg_like(norm=True), batch()
    model = with_head(base)
    norm = base.get_layer("block2_norm1")
    norm.trainable = False
    before = bits(norm.weights)
    model.train_on_batch(x, y)
    steps = ops_of(program(model, "train"))
    assert steps.count("batch_norm") == 5 and steps.count("batch_norm_inference") == 1
    assert bits(norm.weights) == before


def test_a_frozen_convolution_gives_a_trained_normalization_its_moments():
    base, (x, y) = vgg_like((16, 16), norm=True), batch()
    for layer in base.layers:
        if isinstance(layer, layers.Conv2D):
            layer.trainable = False
    model = with_head(base)
    other = with_head(vgg_like((16, 16), norm=True, name="other"))
    other.set_weights(model.get_weights())
    assert model.train_on_batch(x, y) == pytest.approx(other.train_on_batch(x, y), rel=1e-6)
    for mine, theirs in zip(model.weights, other.weights, strict=True):
        if "moving" in mine.name:
            np.testing.assert_allclose(mine.value, theirs.value, rtol=1e-5, atol=1e-7)


def test_trainable_reaches_what_is_nested_deeper():
    (x, y), inner = batch(), vgg_like((8,), name="inner")
    middle = Sequential([inner, layers.Conv2D(8, 3, name="between")], name="middle")
    model = with_head(middle)
    middle.trainable = False
    assert not any(v.trainable for v in (*inner.all_layers(), *middle.all_layers()))
    before = bits(middle.weights)
    model.train_on_batch(x, y)
    assert bits(middle.weights) == before
    inner.get_layer("block1_conv2").trainable = True  # a layer inside a frozen model, as in Keras 3
    assert middle.trainable_weights == []
    assert inner.get_layer("block1_conv2").kernel in model.trainable_weights
    model.train_on_batch(x, y)
    changed = [w.name for w, old in zip(middle.weights, before, strict=True) if w.numpy().tobytes() != old]
    assert changed == ["block1_conv2/kernel", "block1_conv2/bias"]


def test_a_model_that_is_frozen_itself_computes_its_loss_and_stays():
    model, (x, y) = with_head(vgg_like()), batch()
    model.trainable = False
    before = bits(model.weights)
    assert np.isfinite(model.train_on_batch(x, y))
    assert bits(model.weights) == before
    assert model.trainable_weights == [] and len(model.non_trainable_weights) == len(model.weights)


def test_frozen_weights_pay_no_penalty():
    model = Sequential([Input((4,)), layers.Dense(3, kernel_regularizer="l2"), layers.Dense(2)])
    model.compile("sgd", "mse")
    x, y = np.ones((2, 4), np.float32), model.predict_on_batch(np.ones((2, 4), np.float32))
    assert model.train_on_batch(x, y) > 0
    y = model.predict_on_batch(x)
    model.layers[0].trainable = False
    assert model.train_on_batch(x, y) == 0.0


def test_frozen_layers_above_trained_ones_send_the_gradient_on():
    """The same first layer's gradient, whether what lies above it is trained or not."""
    (x, y), steps = batch(), []
    for frozen in (False, True):
        cnnfast.utils.set_random_seed(3)
        model = with_head(vgg_like())
        model.compile("sgd", model.compile_arguments()["loss"])
        if frozen:
            model.trainable = False
            model.trainable = True
            for layer in (*model.layers[0].layers[2:], *model.layers[1:]):
                layer.trainable = False
        model.train_on_batch(x, y)
        steps.append(model.layers[0].get_layer("block1_conv1").kernel.numpy())
    np.testing.assert_allclose(steps[0], steps[1], rtol=1e-6, atol=1e-7)


def test_the_same_bits_for_any_number_of_threads_with_a_frozen_base(same_bits):
    def train():
        cnnfast.utils.set_random_seed(5)
        model = with_head(vgg_like(norm=True))
        unfreeze_from(model.layers[0], "block3_conv1")
        for _ in range(2):
            model.train_on_batch(*batch())
        return model.get_weights()

    same_bits(train)
