"""What Programs compute from weights alone is computed once for all of them, and never stale."""

from __future__ import annotations

import gc
import threading

import numpy as np
import pytest

import cnnfast
from cnnfast import layers, ops
from cnnfast.graph import shared
from cnnfast.graph.program import Program
from cnnfast.graph.values import Graph, Spec, Variable
from cnnfast.ops import engine

SHAPE = (10, 10, 16)


def _random(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def _program(build, x):
    graph = Graph()
    value = graph.input(Spec(x.shape))
    return Program(graph, [value], build(value))


def _addresses(program):
    return [a.__array_interface__["data"][0] for a in program._constants.arrays.values()]


def _packings(program, feeds):
    """How many weights are packed in a run."""
    return sum(name == "pack_weights" and seconds > 0 for name, seconds in program.profile(feeds))


def _network():
    model = cnnfast.Sequential(
        [
            cnnfast.Input(SHAPE),
            layers.Conv2D(24, 3, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Conv2D(16, 1),
            layers.GlobalAveragePooling2D(),
            layers.Dense(4),
        ]
    )
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


def _fresh(model, x):
    """What a model with Programs and weights of its own says."""
    other = _network()
    other.set_weights(model.get_weights())
    return other.predict_on_batch(x)


@pytest.fixture
def only_these():
    """Constants of earlier tests are gone."""
    gc.collect()
    return shared._constants


@pytest.mark.parametrize("algorithm", ["direct", "winograd6"])
def test_programs_of_two_batch_sizes_read_the_same_arrays(only_these, algorithm):
    model, before = _network(), len(only_these)
    cnnfast.config.set_conv2d_algorithm(algorithm)
    try:
        first, second = (_program(lambda v: [model(v)], np.empty((n, *SHAPE), np.float32)) for n in (5, 2))
    finally:
        cnnfast.config.set_conv2d_algorithm("auto")
    assert _addresses(first) == _addresses(second) and first.constant_bytes == second.constant_bytes > 0
    assert len(only_these) - before == 4  # three packed weights and a folded bias
    assert all(address % 64 == 0 for address in _addresses(first))


def test_a_second_program_does_not_pack_again():
    w, x = Variable(_random(3, 3, 16, 24)), _random(5, *SHAPE)
    first, second = (_program(lambda v: [ops.relu(ops.conv2d(v, w))], x[:n]) for n in (5, 2))
    assert _packings(first, [x]) == 1
    assert _packings(second, [x[:2]]) == 0


def test_shared_constants_give_the_same_bits_as_own_ones():
    model, x = _network(), _random(5, *SHAPE)
    for n in (5, 2, 5, 1):
        np.testing.assert_array_equal(model.predict_on_batch(x[:n]), _fresh(model, x[:n]))


def test_every_program_sees_a_change_whichever_runs_first():
    model, x = _network(), _random(5, *SHAPE)
    changes = [
        lambda: model.layers[0].kernel.assign(_random(3, 3, 16, 24, seed=1)),
        lambda: model.train_on_batch(x, np.array([0, 1, 2, 3, 0])),
        lambda: model.set_weights([1.5 * w for w in model.get_weights()]),
    ]
    for order in ((5, 2), (2, 5)):
        for change in changes:
            change()
            for n in order:
                np.testing.assert_array_equal(model.predict_on_batch(x[:n]), _fresh(model, x[:n]))


def test_programs_whose_constants_overlap_follow_changes_of_each(rng):
    x, variables = _random(3, 8), [Variable(_random(8, 8, seed=s)) for s in range(3)]

    def chain(*ws):
        def build(v):
            for w in ws:
                v = ops.dense(v, ops.relu(v.graph.variable(w)))
            return [v]

        return build

    def expected(*ws):
        v = x
        for w in ws:
            v = ops.dense(v, ops.relu(w.numpy()))
        return v

    a, b, c = variables
    sets = [(a, b), (b, c), (a, c), (a, b, c)]
    programs = [_program(chain(*ws), x) for ws in sets]
    for _ in range(40):
        if rng.random() < 0.5:
            variables[rng.integers(3)].assign(rng.standard_normal((8, 8)))
        i = rng.integers(len(sets))
        np.testing.assert_allclose(programs[i].run([x])[1][0], expected(*sets[i]), rtol=1e-4, atol=1e-4)


def test_only_what_has_changed_is_computed_again():
    x, a, b = _random(3, 8), Variable(_random(8, 8)), Variable(_random(8, 8, seed=1))
    program = _program(lambda v: [ops.dense(ops.dense(v, a), b)], x)
    program.run([x])
    ran = []
    a.assign(2 * a.numpy())
    program._constants.refresh(lambda *steps: ran.append(steps))
    assert ran == [(0, 1)]


def test_an_intermediate_result_that_several_read_is_computed_once_and_before_them():
    x, w, shift = _random(3, 8), Variable(_random(8, 8)), Variable(_random(8, 8, seed=1))

    def build(v):
        common = ops.relu(v.graph.variable(w))
        return [ops.dense(ops.dense(v, common), ops.add(common, shift)), ops.reshape(common, (64,))]

    programs = [_program(build, x) for _ in range(2)]
    for seed in (2, 3):
        for changed in (w, shift):
            changed.assign(_random(8, 8, seed=seed))
            for program in programs:
                y, common = program.run([x])[1]
                positive = np.maximum(w.numpy(), 0)
                np.testing.assert_array_equal(common, positive.ravel())
                np.testing.assert_allclose(y, x @ positive @ (positive + shift.numpy()), rtol=1e-4, atol=1e-4)


def test_weights_packed_for_what_is_itself_constant_are_packed_before_it():
    x, image, w, gamma = (
        _random(2, 4),
        Variable(_random(1, 6, 6, 3)),
        Variable(_random(3, 3, 3, 4)),
        Variable(np.ones(4)),
    )
    zero, one = Variable(np.zeros(4)), Variable(np.ones(4))

    def build(v):
        y = ops.conv2d(v.graph.variable(image), w)
        return [v, ops.batch_norm_inference(y, gamma, zero, zero, one, epsilon=0.0)]

    np.testing.assert_allclose(_program(build, x).run([x])[1][1], ops.conv2d(image, w.numpy()), rtol=1e-5, atol=1e-5)


def test_constants_differ_by_weights_settings_instruction_set_and_algorithm():
    x, w, other = _random(2, *SHAPE), Variable(_random(3, 3, 16, 16)), Variable(_random(3, 3, 16, 16))
    programs = [_program(lambda v, u=u: [ops.conv2d(v, u)], x) for u in (w, other)]
    programs += [_program(lambda v, f=f: [ops.conv2d(v, ops.scale(v.graph.variable(w), f))], x) for f in (2.0, 3.0)]
    before = engine.isa()
    try:
        for name in engine.available_isas():
            if name != before:
                engine.set_isa(name)
                programs.append(_program(lambda v: [ops.conv2d(v, w)], x))
    finally:
        engine.set_isa(before)
    for algorithm in ("winograd4", "winograd6"):
        cnnfast.config.set_conv2d_algorithm(algorithm)
        programs.append(_program(lambda v: [ops.conv2d(v, w)], x))
    cnnfast.config.set_conv2d_algorithm("auto")
    found = [address for program in programs for address in _addresses(program)]
    assert len(set(found)) == len(programs)


def test_an_interrupted_computation_leaves_nothing_marked_as_done():
    x, w = _random(2, *SHAPE), Variable(_random(3, 3, 16, 24))
    first, second = (_program(lambda v: [ops.conv2d(v, w)], x) for _ in range(2))
    first.run([x])
    w.assign(_random(3, 3, 16, 24, seed=1))

    def interrupted(*_):
        next(iter(first._constants.arrays.values())).fill(np.nan)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        first._constants.refresh(interrupted)
    for program in (second, first):
        np.testing.assert_array_equal(program.run([x])[1][0], _program(lambda v: [ops.conv2d(v, w)], x).run([x])[1][0])


def test_arrays_are_freed_with_the_last_program_that_reads_them(only_these):
    before = len(only_these)
    w, x = Variable(_random(3, 3, 16, 24)), _random(2, *SHAPE)
    first, second = (_program(lambda v: [ops.conv2d(v, w)], x) for _ in range(2))
    assert len(only_these) == before + 1
    del first
    assert len(only_these) == before + 1
    np.testing.assert_allclose(second.run([x])[1][0], ops.conv2d(x, w.numpy()), rtol=1e-4, atol=1e-4)
    del second
    assert len(only_these) == before


def test_a_model_that_is_freed_leaves_no_constants(only_these):
    before, model = len(only_these), _network()
    model.predict_on_batch(_random(2, *SHAPE))
    assert len(only_these) > before
    del model
    gc.collect()
    assert len(only_these) == before


def test_threads_with_programs_of_one_model_are_right_from_the_first_run_on():
    x = _random(6, *SHAPE)
    for _ in range(20):
        model, found, start = _network(), {}, threading.Barrier(6)
        expected = {n: _fresh(model, x[:n]) for n in range(1, 7)}

        def predict(n, model=model, found=found, start=start):
            start.wait()
            found[n] = [model.predict_on_batch(x[:n]) for _ in range(5)]

        threads = [threading.Thread(target=predict, args=(n,)) for n in range(1, 7)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for n, results in found.items():
            assert all(np.array_equal(y, expected[n]) for y in results)
        assert len(found) == 6
