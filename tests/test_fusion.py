"""What the compiler rewrites computes what was written, and is indeed rewritten."""

from __future__ import annotations

import numpy as np
import pytest

import cnnfast
from cnnfast import layers, ops
from cnnfast.graph.differentiate import differentiate
from cnnfast.graph.program import Program
from cnnfast.graph.values import Graph, Spec, Variable
from cnnfast.ops import engine


def _random(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def _compile(build, arrays, *, training):
    """Traces build(*values) and returns the names of the ops that are left, and the results."""
    graph = Graph(training=training)
    inputs = [graph.input(Spec(a.shape)) for a in arrays]
    outputs = build(*inputs)
    program = Program(graph, inputs, outputs)
    return [n.op.name for n in graph.nodes], program.run(arrays)[1]


def _close(actual, expected, tolerance=2e-5):
    assert actual.shape == expected.shape
    assert np.max(np.abs(actual - expected)) <= tolerance * np.max(np.abs(expected))


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("op", ["conv2d", "depthwise_conv2d"])
def test_zeros_around_an_input_become_padding(op, training):
    x = _random(2, 7, 6, 3)
    w = Variable(_random(3, 3, 3, 4) if op == "conv2d" else _random(3, 3, 3, 2))
    run = getattr(ops, op)
    sides = ((2, 1), (0, 3))
    names, (y,) = _compile(lambda v: [run(ops.zero_pad2d(v, sides), w, padding=1)], [x], training=training)
    assert "zero_pad2d" not in names
    _close(y, run(ops.zero_pad2d(x, sides), w.numpy(), padding=1))


def test_gradients_of_a_padded_input_are_not_computed_where_the_zeros_were():
    x, w, dy = _random(2, 7, 6, 3), Variable(_random(3, 3, 3, 4)), _random(2, 4, 3, 4)

    def build(v, g):
        y = ops.conv2d(ops.zero_pad2d(v, 1), w, strides=2)
        return differentiate(v.graph, [(y, g)], [v, v.graph.variable(w)])

    names, (dx, dw) = _compile(build, [x, dy], training=True)
    assert not {"zero_pad2d", "crop2d"} & set(names)
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    exact_dx, exact_dw, _ = ops.conv2d_backward(dy, padded, w.numpy(), strides=2)
    _close(dx, exact_dx[:, 1:-1, 1:-1])
    _close(dw, exact_dw)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kind", ["conv", "depthwise", "dense"])
def test_batch_normalization_is_folded_into_the_weights_before_it(kind, bias):
    x = _random(5, 12) if kind == "dense" else _random(2, 7, 6, 12)
    w, run = {
        "conv": (_random(3, 3, 12, 16), ops.conv2d),
        "depthwise": (_random(3, 3, 12, 2), ops.depthwise_conv2d),
        "dense": (_random(12, 16), ops.dense),
    }[kind]
    channels = 24 if kind == "depthwise" else 16
    b = Variable(_random(channels, seed=1)) if bias else None
    gamma, beta, mean = (Variable(_random(channels, seed=s)) for s in (2, 3, 4))
    variance = Variable(np.abs(_random(channels, seed=5)))
    weights = Variable(w)

    def build(v):
        return [ops.relu(ops.batch_norm_inference(run(v, weights, b), gamma, beta, mean, variance))]

    names, (y,) = _compile(build, [x], training=False)
    assert names[-1] == run.__name__ and "relu" not in names
    plain = run(x, w, None if b is None else b.numpy())
    _close(y, ops.relu(ops.batch_norm_inference(plain, *(v.numpy() for v in (gamma, beta, mean, variance)))))


def test_batch_normalization_of_a_value_that_is_read_elsewhere_stays():
    x, w, one = _random(2, 5, 5, 3), Variable(_random(3, 3, 3, 4)), Variable(np.ones(4))

    def build(v):
        y = ops.conv2d(v, w)
        return [ops.batch_norm_inference(y, one, one, one, one), y]

    names, (z, y) = _compile(build, [x], training=False)
    assert "batch_norm_inference" in names
    _close(y, ops.conv2d(x, w.numpy()))
    _close(z, ops.batch_norm_inference(y, *[np.ones(4)] * 4))


@pytest.mark.parametrize("algorithm", ["direct", "winograd4", "winograd6"])
@pytest.mark.parametrize("channels", [5, 48])
def test_a_sum_and_its_activation_are_part_of_the_convolution(channels, algorithm):
    x, w = _random(3, 9, 10, channels), Variable(_random(3, 3, channels, channels))
    cnnfast.config.set_conv2d_algorithm(algorithm)
    try:
        names, (y,) = _compile(lambda v: [ops.relu(ops.add(ops.conv2d(v, w, padding=1), v))], [x], training=False)
        assert names == ["pack_weights", "conv2d"]
        _close(y, ops.relu(ops.conv2d(x, w.numpy(), padding=1) + x))
    finally:
        cnnfast.config.set_conv2d_algorithm("auto")


def test_a_sum_of_two_convolutions_reads_the_one_made_first():
    x, v, w = _random(2, 6, 6, 300), Variable(_random(1, 1, 300, 4)), Variable(_random(3, 3, 300, 4, seed=1))

    def build(t):
        return [ops.add(ops.conv2d(t, v), ops.conv2d(t, w, padding=1))]

    names, (y,) = _compile(build, [x], training=False)
    assert "add" not in names
    _close(y, ops.conv2d(x, v.numpy()) + ops.conv2d(x, w.numpy(), padding=1))


@pytest.mark.parametrize("activation", ["relu", "relu6"])
@pytest.mark.parametrize("channels", [3, 16, 70])
def test_the_gradient_through_activation_and_batch_normalization_is_one_op(activation, channels):
    x, dy = 4 * _random(64, channels), _random(64, channels, seed=1)
    gamma, beta = Variable(_random(channels, seed=2)), Variable(1 + _random(channels, seed=3))

    def build(v, g):
        y = getattr(ops, activation)(ops.batch_norm(v, gamma, beta)[0])
        return differentiate(v.graph, [(y, g)], [v, v.graph.variable(gamma), v.graph.variable(beta)])

    names, found = _compile(build, [x, dy], training=True)
    assert names == ["batch_norm", "batch_norm_backward"]
    y, mean, variance = ops.batch_norm(x, gamma.numpy(), beta.numpy())
    dz = np.where((y > 0) & ((y < 6) | (activation == "relu")), dy, 0)
    for actual, exact in zip(found, ops.batch_norm_backward(dz, x, gamma.numpy(), mean, variance), strict=True):
        _close(actual, exact)


@pytest.mark.parametrize("shortcut", ["value", "projection"])
def test_batch_normalization_adds_the_shortcut_and_passes_both_gradients(shortcut):
    x, dy = _random(40, 8), _random(40, 8, seed=1)
    ones, zeros = Variable(np.ones(8)), Variable(np.zeros(8))
    w = Variable(_random(8, 8, seed=2))

    def build(v, g):
        other = v if shortcut == "value" else ops.batch_norm(ops.dense(v, w), ones, zeros)[0]
        y = ops.relu(ops.add(ops.batch_norm(v, ones, zeros)[0], other))
        return [y, *differentiate(v.graph, [(y, g)], [v])]

    names, (y, dx) = _compile(build, [x, dy], training=True)
    assert names.count("add") == 1  # the two gradients of x
    one, zero = np.ones(8), np.zeros(8)
    a, mean, variance = ops.batch_norm(x, one, zero)
    inner = ops.dense(x, w.numpy())
    b, other_mean, other_variance = ops.batch_norm(inner, one, zero)
    exact = np.maximum(a + (x if shortcut == "value" else b), 0)
    _close(y, exact)
    dz = np.where(exact > 0, dy, 0)
    exact_dx = ops.batch_norm_backward(dz, x, one, mean, variance)[0]
    if shortcut == "value":
        exact_dx = exact_dx + dz
    else:
        exact_dx = exact_dx + ops.batch_norm_backward(dz, inner, one, other_mean, other_variance)[0] @ w.numpy().T
    _close(dx, exact_dx)


def _network():
    model = cnnfast.Sequential(
        [
            cnnfast.Input((8, 8, 3)),
            layers.Conv2D(20, 3, padding="same"),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Conv2D(20, 1),
            layers.Flatten(),
            layers.Dense(4),
        ]
    )
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


def _fresh(model, x):
    """What a model that never predicted before says with the same weights."""
    other = _network()
    other.set_weights(model.get_weights())
    return other.predict_on_batch(x)


def test_predictions_follow_every_change_of_the_weights():
    model, x, y = _network(), _random(4, 8, 8, 3), np.array([0, 1, 2, 3])
    changes = {
        "training": lambda: model.train_on_batch(x, y),
        "set_weights": lambda: model.set_weights([1.5 * w for w in model.get_weights()]),
        "assign": lambda: model.layers[-1].kernel.assign(np.ones((1280, 4))),
        "an op that updates": lambda: ops.moving_average_update(
            model.layers[1].moving_mean, np.ones(20, np.float32), momentum=0.5
        ),
    }
    before = model.predict_on_batch(x)
    for name, change in changes.items():
        change()
        after = model.predict_on_batch(x)
        assert not np.array_equal(after, before), name
        assert np.array_equal(after, _fresh(model, x)), name
        before = after


def test_weights_that_change_between_the_halves_of_a_run_are_seen_by_the_next():
    x, w = _random(2, 6, 6, 3), Variable(_random(3, 3, 3, 4))
    graph = Graph()
    v = graph.input(Spec(x.shape))
    y = ops.conv2d(v, w)
    program = Program(graph, [v], [y, ops.scale(y, 2.0)], pause_at=[y])
    program.run([x], half=0)
    w.assign(_random(3, 3, 3, 4, seed=1))
    program.run([x], half=1)
    assert np.array_equal(program.run([x])[1][0], _compile(lambda v: [ops.conv2d(v, w)], [x], training=False)[1][0])


def test_a_pause_at_what_depends_on_weights_alone_leaves_both_halves_whole():
    w, v = Variable(_random(4)), Variable(_random(3, 4, seed=1))
    x = _random(2, 3)
    graph = Graph()
    feed = graph.input(Spec(x.shape))
    early = ops.relu(graph.variable(w))
    program = Program(graph, [feed], [early, ops.dense(feed, v)], pause_at=[early])
    for _ in range(2):  # packs, then reads what was packed
        program.run([x], half=0)
        _, (first, y) = program.run([x], half=1)
        assert np.array_equal(first, np.maximum(w.numpy(), 0))
        _close(y, x @ v.numpy())


def test_an_update_that_is_interrupted_counts_as_a_change(monkeypatch):
    class Interrupted:
        step_count = 1

        def run(self, *_):
            raise KeyboardInterrupt

    moving = Variable(np.zeros(4))
    graph = Graph(training=True)
    value = graph.input(Spec((4,)))
    ops.moving_average_update(graph.variable(moving), value)
    program = Program(graph, [value], [])
    monkeypatch.setattr(program, "_engine", Interrupted())
    with pytest.raises(KeyboardInterrupt):
        program.run([np.ones(4, np.float32)])
    assert moving.changes == 1


@pytest.mark.parametrize("of_variable", [False, True])
def test_an_array_of_a_layer_that_changes_between_runs_is_followed(of_variable):
    x, w = _random(2, 6, 6, 3), Variable(_random(3, 3, 3, 4))
    array = w.value if of_variable else w.numpy()
    graph = Graph()
    v = graph.input(Spec(x.shape))
    program = Program(graph, [v], [ops.conv2d(v, array)])
    _close(program.run([x])[1][0], ops.conv2d(x, array))
    fresh = _random(3, 3, 3, 4, seed=1)
    w.assign(fresh) if of_variable else np.copyto(array, fresh)
    _close(program.run([x])[1][0], ops.conv2d(x, fresh))


def test_a_variables_memory_cannot_be_written_to_through_an_op():
    w = Variable(np.ones((2, 3)))
    flat = ops.reshape(w, (6,))
    with pytest.raises(ValueError, match="read-only"):
        flat[0] = 2.0
    ops.moving_average_update(w, np.zeros((2, 3), np.float32), momentum=0.5)
    assert np.array_equal(flat, np.full(6, 0.5))


def test_a_gradient_of_batch_normalization_with_another_gamma_is_not_fused():
    x, dy = _random(64, 5), _random(64, 5, seed=1)
    gamma, other = Variable(_random(5, seed=2)), Variable(-_random(5, seed=2))

    def build(v, g):
        y, mean, variance = ops.batch_norm(v, gamma, None)
        dz = ops.relu_backward(g, ops.relu(y))
        return list(ops.batch_norm_backward(dz, v, v.graph.variable(other), mean, variance))

    _, found = _compile(build, [x, dy], training=True)
    y, mean, variance = ops.batch_norm(x, gamma.numpy(), None)
    exact = ops.batch_norm_backward(np.where(y > 0, dy, 0), x, other.numpy(), mean, variance)
    for a, b in zip(found, exact, strict=True):
        _close(a, b)


def test_what_depends_on_weights_alone_is_computed_once():
    graph = Graph()
    x, w = graph.input(Spec((2, 6, 6, 3))), Variable(_random(3, 3, 3, 4))
    program = Program(graph, [x], [ops.conv2d(x, ops.relu(graph.variable(w)))])
    seconds = dict(program.profile([_random(2, 6, 6, 3)]))
    assert {"relu", "pack_weights", "conv2d"} == set(seconds)
    before = dict(program._engine.step_seconds())
    program.profile([_random(2, 6, 6, 3)])
    after = dict(program._engine.step_seconds())
    assert after["relu"] == before["relu"] and after["pack_weights"] == before["pack_weights"]


def test_results_are_the_same_bits_for_any_number_of_threads():
    model, x, threads = _network(), _random(9, 8, 8, 3), engine.num_threads()
    found = []
    try:
        for n in (1, 2, 4):
            cnnfast.set_threads(n)
            found.append(model.predict_on_batch(x))
    finally:
        cnnfast.set_threads(threads)
    assert all(np.array_equal(a, found[0]) for a in found)


@pytest.mark.parametrize("activation", ["relu", "relu6"])
@pytest.mark.parametrize(("size", "strides"), [(2, 2), (3, 2), (2, 3)])
def test_gradients_are_masked_before_they_go_back_through_pooling(activation, size, strides):
    x, b = 4 * _random(3, 9, 8, 5), Variable(_random(5, seed=2))
    w = Variable(_random(1, 1, 5, 5, seed=3))
    gradient = getattr(ops, f"{activation}_backward")

    def build(v, g):
        y = ops.max_pool2d(getattr(ops, activation)(ops.conv2d(v, w, b)), size, strides=strides)
        return differentiate(v.graph, [(y, g)], [v, v.graph.variable(b)])

    y = getattr(ops, activation)(ops.conv2d(x, w.numpy(), b.numpy()))
    pooled, argmax = ops.max_pool2d_argmax(y, size, strides=strides)
    dy = _random(*pooled.shape, seed=1)
    names, (dx, db) = _compile(build, [x, dy], training=True)
    if (size, strides) == (2, 2):
        assert "max_pool2d_backward" not in names  # the convolution's gradients read what it would make
    else:
        assert names.index("relu_backward_bias") < names.index("max_pool2d_backward")
    dz = gradient(ops.max_pool2d_backward(dy, argmax, (9, 8), size, strides=strides), y)
    _close(dx, ops.conv2d_backward(dz, x, w.numpy())[0])
    _close(db, dz.sum((0, 1, 2), dtype=float))


def _inverted_residual(v, w, filters, projection, *, strides=1, dilation=1):
    y = ops.relu6(ops.conv2d(v, w))
    y = ops.relu6(ops.depthwise_conv2d(y, filters, strides=strides, padding="same", dilation=dilation))
    return ops.conv2d(y, projection)


@pytest.mark.parametrize(("strides", "dilation"), [(1, 1), (2, 1), (1, 2)])
def test_a_pointwise_convolution_and_the_depthwise_one_behind_it_are_one_op(strides, dilation):
    x, arrays = _random(2, 14, 11, 8), [_random(1, 1, 8, 48), _random(3, 3, 48, 1), _random(1, 1, 48, 8)]
    weights = [Variable(a) for a in arrays]

    def build(v, weights=weights):
        return [_inverted_residual(v, *weights, strides=strides, dilation=dilation)]

    names, (y,) = _compile(build, [x], training=False)
    assert names == ["pack_weights", "pack_weights", "pointwise_depthwise_conv2d", "conv2d"]
    assert np.array_equal(y, build(x, arrays)[0])


def test_what_lies_between_a_pointwise_and_a_depthwise_convolution_is_kept_for_their_gradients():
    x, dy = _random(2, 8, 9, 8), _random(2, 8, 9, 8)
    weights = [Variable(a) for a in (_random(1, 1, 8, 20), _random(3, 3, 20, 1), _random(1, 1, 20, 8))]

    def build(v, g):
        y = _inverted_residual(v, *weights)
        return [y, *differentiate(v.graph, [(y, g)], [v.graph.variable(w) for w in weights])]

    names, (y, *_) = _compile(build, [x, dy], training=True)
    assert "depthwise_conv2d" in names and "pointwise_depthwise_conv2d" not in names
    _close(y, _inverted_residual(x, *(w.numpy() for w in weights)))


@pytest.mark.parametrize("kernel", ["fed", "computed"])
def test_a_pointwise_kernel_that_is_no_weight_is_packed_at_each_run(kernel):
    x, w, filters = _random(2, 6, 7, 8), _random(1, 1, 8, 20), Variable(_random(3, 3, 20, 1))

    def build(v, u):
        return [ops.depthwise_conv2d(ops.conv2d(v, u if kernel == "fed" else ops.relu(u)), filters)]

    names, (y,) = _compile(build, [x, w], training=False)
    assert names[-1] == "pointwise_depthwise_conv2d" and "pack_weights" not in names
    exact = ops.conv2d(x, w if kernel == "fed" else ops.relu(w))
    assert np.array_equal(y, ops.depthwise_conv2d(exact, filters.numpy()))


@pytest.mark.parametrize("why", ["read elsewhere", "strides", "window", "padding", "groups", "sum", "multiplier"])
def test_what_is_more_than_a_pointwise_and_a_depthwise_convolution_stays_two_ops(why):
    x, z = _random(2, 8, 8, 8), _random(2, 8, 8, 8)
    size = 2 if why == "window" else 1
    w = Variable(_random(size, size, 4 if why == "groups" else 8, 8))
    filters = Variable(_random(3, 3, 8, 2 if why == "multiplier" else 1))
    options = {"strides": {"strides": 2}, "padding": {"padding": 1}, "groups": {"groups": 2}}.get(why, {})

    def build(v, u):
        between = ops.conv2d(v, w, **options)
        if why == "sum":
            between = ops.add(between, u)
        y = ops.depthwise_conv2d(between, filters, padding=1)
        return [y, between] if why == "read elsewhere" else [y]

    names, _ = _compile(build, [x, z], training=False)
    assert "depthwise_conv2d" in names and "conv2d" in names


# N, H, W, C, K, kernel, strides, padding, groups: whole and cut tiles and vectors, rows and columns that no window
# takes in, bands of several tasks, a kernel of one pixel.
POOLED_SHAPES = [
    (2, 11, 11, 3, 32, 3, 1, "valid", 1),
    (3, 14, 9, 20, 40, 3, 1, "same", 1),
    (1, 40, 38, 16, 70, 3, 1, "valid", 1),
    (2, 33, 35, 1, 20, 5, 2, "same", 1),
    (2, 6, 7, 8, 24, 1, 1, "valid", 1),
    (2, 12, 10, 32, 36, 3, 1, "same", 2),
    (5, 2, 3, 4, 5, 3, 1, "same", 1),
]


@pytest.mark.parametrize("algorithm", ["direct", "winograd4", "winograd6"])
@pytest.mark.parametrize("activation", [None, "relu"])
@pytest.mark.parametrize("shape", POOLED_SHAPES)
def test_a_max_pooling_of_2x2_is_part_of_the_convolution_and_gives_the_same_bits(isa, shape, activation, algorithm):
    N, H, W, C, K, kernel, strides, padding, groups = shape
    x, w, b = _random(N, H, W, C), Variable(_random(kernel, kernel, C // groups, K)), Variable(_random(K, seed=1))

    def build(v, pool=lambda y: ops.max_pool2d_argmax(y, 2)):
        y = ops.conv2d(v, w, b, strides=strides, padding=padding, groups=groups)
        return list(pool(y if activation is None else ops.relu(y)))

    cnnfast.config.set_conv2d_algorithm(algorithm)
    try:
        names, (y, argmax) = _compile(build, [x], training=True)
        assert names == ["pack_weights", "conv2d"]
        _, (alone,) = _compile(lambda v: build(v)[:1], [x], training=False)
        _, (full,) = _compile(lambda v: build(v, lambda y: [y]), [x], training=True)
    finally:
        cnnfast.config.set_conv2d_algorithm("auto")
    expected, positions = ops.max_pool2d_argmax(full, 2)
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(alone, expected)
    assert argmax.dtype == positions.dtype
    np.testing.assert_array_equal(argmax, positions)


@pytest.mark.parametrize("algorithm", ["direct", "winograd4"])
def test_a_pooled_convolution_has_the_same_bits_for_any_number_of_threads(same_bits, algorithm):
    x, w = _random(3, 30, 30, 16), Variable(_random(3, 3, 16, 40))
    cnnfast.config.set_conv2d_algorithm(algorithm)
    try:
        same_bits(lambda: _compile(lambda v: list(ops.max_pool2d_argmax(ops.conv2d(v, w), 2)), [x], training=True)[1])
    finally:
        cnnfast.config.set_conv2d_algorithm("auto")


def test_not_a_number_comes_through_a_pooled_convolution(isa):
    x, w = _random(1, 8, 8, 1), Variable(np.ones((1, 1, 1, 20)))
    x[0, 2, 3] = np.nan
    _, (y,) = _compile(lambda v: [ops.max_pool2d(ops.relu(ops.conv2d(v, w)), 2)], [x], training=False)
    assert np.isnan(y[0, 1, 1]).all() and np.isnan(y).sum() == 20


@pytest.mark.parametrize("options", [{"pool_size": 3, "strides": 2}, {"pool_size": 2, "padding": "same"}])
def test_other_poolings_are_not_part_of_the_convolution(options):
    x, w = _random(2, 7, 7, 3), Variable(_random(3, 3, 3, 4))
    names, _ = _compile(lambda v: [ops.max_pool2d(ops.conv2d(v, w), **options)], [x], training=True)
    assert "max_pool2d" in names


def test_a_convolution_that_is_read_elsewhere_is_not_pooled():
    x, w = _random(2, 8, 8, 3), Variable(_random(3, 3, 3, 4))

    def build(v):
        y = ops.conv2d(v, w)
        return [ops.max_pool2d(y, 2), y]

    names, (pooled, y) = _compile(build, [x], training=False)
    assert "max_pool2d" in names
    np.testing.assert_array_equal(pooled, ops.max_pool2d(y, 2))


def _pooled_case(shape):
    """x, w, b, the convolution's options, and the gradient that comes back to the pooling behind it."""
    N, H, W, C, K, kernel, strides, padding, groups = shape
    x, w, b = _random(N, H, W, C), _random(kernel, kernel, C // groups, K), _random(K, seed=1)
    options = {"strides": strides, "padding": padding, "groups": groups}
    rows, cols = ops.conv2d(x, w, b, **options).shape[1:3]
    return x, w, b, options, _random(N, rows // 2, cols // 2, K, seed=2)


def _pooled_gradients(x, w, b, options, dy):
    """The names of the ops that are left, and dx, dw, db."""
    weights, bias = Variable(w), Variable(b)

    def build(v, g):
        y = ops.max_pool2d(ops.relu(ops.conv2d(v, weights, bias, **options)), 2)
        return differentiate(v.graph, [(y, g)], [v, v.graph.variable(weights), v.graph.variable(bias)])

    return _compile(build, [x, dy], training=True)


@pytest.mark.parametrize("algorithm", ["direct", "winograd4", "winograd6"])
@pytest.mark.parametrize("shape", POOLED_SHAPES)
def test_gradients_through_a_pooled_convolution_have_the_bits_of_the_separate_ops(isa, shape, algorithm):
    x, w, b, options, dy = _pooled_case(shape)
    cnnfast.config.set_conv2d_algorithm(algorithm)
    try:
        names, found = _pooled_gradients(x, w, b, options, dy)
        assert not {"max_pool2d", "max_pool2d_backward"} & set(names)
        y = ops.relu(ops.conv2d(x, w, b, **options))
        _, argmax = ops.max_pool2d_argmax(y, 2)
        back = ops.max_pool2d_backward(dy, argmax, y.shape[1:3], 2) * (y > 0)
        expected = ops.conv2d_backward(back, x, w, **options)
    finally:
        cnnfast.config.set_conv2d_algorithm("auto")
    for name, got, wanted in zip(("dx", "dw"), found, expected, strict=False):
        np.testing.assert_array_equal(got, wanted, err_msg=name)
    _close(found[2], expected[2])


@pytest.mark.parametrize("algorithm", ["direct", "winograd4"])
def test_gradients_through_a_pooled_convolution_have_the_same_bits_for_any_number_of_threads(same_bits, algorithm):
    case = _pooled_case((3, 31, 30, 16, 40, 3, 1, "same", 1))
    cnnfast.config.set_conv2d_algorithm(algorithm)
    try:
        same_bits(lambda: _pooled_gradients(*case)[1])
    finally:
        cnnfast.config.set_conv2d_algorithm("auto")


def test_what_a_pooling_sends_back_is_made_where_something_else_reads_it():
    x, w, dy = _random(2, 8, 8, 4), Variable(_random(3, 3, 4, 6)), _random(2, 3, 3, 6)

    def build(v, g):
        y = ops.conv2d(v, w)
        return differentiate(v.graph, [(ops.max_pool2d(y, 2), g)], [v, y])

    names, (dx, dy_full) = _compile(build, [x, dy], training=True)
    assert "max_pool2d_backward" in names
    _close(dx, ops.conv2d_backward(dy_full, x, w.numpy())[0])


@pytest.mark.parametrize("training", [False, True])
def test_of_two_poolings_after_a_convolution_only_the_first_is_part_of_it(training):
    x, w = _random(4, 16, 16, 3), Variable(_random(3, 3, 3, 8))
    names, (y,) = _compile(
        lambda v: [ops.max_pool2d(ops.max_pool2d(ops.conv2d(v, w, padding=1)))], [x], training=training
    )
    assert names[-2:] == ["conv2d", "max_pool2d"]
    np.testing.assert_array_equal(y, ops.max_pool2d(ops.max_pool2d(ops.conv2d(x, w.numpy(), padding=1))))


def test_a_model_with_two_poolings_in_a_row_learns():
    model = cnnfast.Sequential(
        [
            layers.Input((16, 16, 3)),
            layers.Conv2D(8, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(2, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    x, y = _random(8, 16, 16, 3), np.arange(8) % 2
    before = model.evaluate(x, y, verbose=0)
    model.fit(x, y, epochs=5, verbose=0)
    assert model.evaluate(x, y, verbose=0) < before


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("dtype", [np.uint8, np.int32])
def test_a_transposed_convolution_of_what_a_pooling_sends_back_is_right(training, dtype):
    dy, w = _random(2, 4, 4, 24), Variable(_random(3, 3, 20, 24))
    argmax = np.random.default_rng(1).integers(0, 4, dy.shape).astype(dtype)
    graph = Graph(training=training)
    inputs = [graph.input(Spec(dy.shape)), graph.input(Spec(dy.shape, str(argmax.dtype)))]
    y = ops.conv2d_transpose(ops.max_pool2d_backward(*inputs, (8, 8)), w, padding=1)
    ((result,),) = (Program(graph, inputs, [y]).run([dy, argmax])[1],)
    _close(result, ops.conv2d_transpose(ops.max_pool2d_backward(dy, argmax, (8, 8)), w.numpy(), padding=1))


def test_the_gradient_by_the_input_goes_through_a_pooled_convolution_in_inference():
    x, w, dy = _random(2, 9, 8, 4), Variable(_random(3, 3, 4, 6)), _random(2, 3, 3, 6)

    def build(v, g):
        return differentiate(v.graph, [(ops.max_pool2d(ops.relu(ops.conv2d(v, w))), g)], [v])

    _, (dx,) = _compile(build, [x, dy], training=False)
    y = ops.relu(ops.conv2d(x, w.numpy()))
    back = ops.max_pool2d_backward(dy, ops.max_pool2d_argmax(y)[1], y.shape[1:3]) * (y > 0)
    _close(dx, ops.conv2d_backward(back, x, w.numpy())[0])


def test_a_depthwise_convolution_that_reaches_far_stays_apart_from_the_one_before_it():
    x, w, filters = _random(1, 8, 8, 4), Variable(_random(1, 1, 4, 8)), Variable(_random(3, 3, 8, 1))
    far = {"padding": 1500, "dilation": 1500}
    names, (y,) = _compile(lambda v: [ops.depthwise_conv2d(ops.conv2d(v, w), filters, **far)], [x], training=False)
    assert names[-1] == "depthwise_conv2d"
    _close(y, ops.depthwise_conv2d(ops.conv2d(x, w.numpy()), filters.numpy(), **far))
