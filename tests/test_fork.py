"""Processes forked while other threads compute."""

from __future__ import annotations

import os
import signal
import threading
import warnings

import numpy as np
import pytest

from cnnfast import Input, Sequential, layers, ops

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


def exit_status_of_child(work):
    """Forks, lets the child do `work` for at most 20 s; its exit status is 0 if that returned True."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # newer Pythons warn of forks with threads around
        child = os.fork()
    if child == 0:
        status = 1
        try:
            signal.alarm(20)
            status = 0 if work() else 2
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def during(busy, check, times):
    """Calls check() again and again while another thread calls busy(); gives what the calls returned."""
    stop = threading.Event()

    def work():
        while not stop.is_set():
            busy()

    other = threading.Thread(target=work)
    other.start()
    try:
        return [check() for _ in range(times)]
    finally:
        stop.set()
        other.join()


def test_child_forked_while_a_thread_is_inside_the_model_predicts_the_same(rng):
    model = Sequential([Input((24, 24, 8)), layers.Conv2D(32, 3, activation="relu"), layers.Conv2D(32, 3)])
    x = rng.standard_normal((8, 24, 24, 8)).astype(np.float32)
    expected = model.predict_on_batch(x)
    check = lambda: exit_status_of_child(lambda: np.array_equal(model.predict_on_batch(x), expected))  # noqa: E731
    assert during(lambda: model.predict_on_batch(x), check, times=10) == [0] * 10


def test_child_forked_while_a_thread_trains_has_whole_weights_and_trains_on():
    model = Sequential([Input((1,)), layers.Dense(400_000, use_bias=False, kernel_initializer="zeros")])
    model.compile("sgd", lambda t, p: (1.0, np.ones_like(p)))  # all weights change by the same amount in each step
    x = np.ones((1, 1), np.float32)
    model.train_on_batch(x, x)

    def child():
        (kernel,) = model.get_weights()
        model.train_on_batch(x, x)
        return bool((kernel == kernel[0, 0]).all()) and bool((model.get_weights()[0] < kernel).all())

    assert during(lambda: model.train_on_batch(x, x), lambda: exit_status_of_child(child), times=10) == [0] * 10


def test_child_forked_while_a_thread_computes_an_op_computes_it_too(rng):
    x, w = rng.standard_normal((2, 40, 40, 16)).astype(np.float32), np.ones((3, 3, 16, 16), np.float32)
    expected = ops.conv2d(x, w)
    check = lambda: exit_status_of_child(lambda: np.array_equal(ops.conv2d(x, w), expected))  # noqa: E731
    assert during(lambda: ops.conv2d(x, w), check, times=5) == [0] * 5


def test_child_forked_while_a_thread_packs_weights_packs_them_too(rng):
    model = Sequential([Input((2000,)), layers.Dense(1500)])
    x = rng.standard_normal((3, 2000)).astype(np.float32)
    weights, expected = model.get_weights(), model.predict_on_batch(x)

    def pack():
        model.set_weights(weights)
        return np.array_equal(model.predict_on_batch(x), expected)

    assert during(pack, lambda: exit_status_of_child(pack), times=10) == [0] * 10
