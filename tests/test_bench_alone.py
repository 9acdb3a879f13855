"""Scaling and start-up of cnnfast itself."""

from __future__ import annotations

import argparse

import pytest

from cnnfast.bench import cli, scaling, startup
from cnnfast.bench.peers import Peer
from cnnfast.bench.runner import Settings
from cnnfast.bench.spec import Workload
from cnnfast.bench.statistics import Spread
from tests.bench_rows import small_prediction


class FakeWorker:
    """Takes 4 seconds a step on one thread, 2 on more, and notes its rounds."""

    rounds: list[int] = []

    def __init__(self, peer: Peer, threads: int):
        assert peer.name == "cnnfast"
        self._threads = threads

    def __enter__(self) -> FakeWorker:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def load(self, workload: Workload) -> None:
        assert workload == small_prediction()

    def warm_up(self, seconds: float) -> int:
        return self._threads

    def round(self, steps: int) -> dict[str, float]:
        assert steps == self._threads
        FakeWorker.rounds.append(self._threads)
        return {"seconds": 4.0 if self._threads == 1 else 2.0}


def test_one_thread_and_all_take_turns() -> None:
    FakeWorker.rounds = []
    found = scaling.scaling(small_prediction(), Settings(3, 2), FakeWorker)  # type: ignore[arg-type]
    assert FakeWorker.rounds == [1, 3, 1, 3]
    assert found.speedup == Spread(2.0, 2.0, 2.0)
    assert str(found) == "small-infer: 1 thread 4 s, 3 threads 2 s, 2.00x (2.00 - 2.00)"


def test_scaling_from_one_thread_to_one_is_refused() -> None:
    with pytest.raises(ValueError, match="expected at least 2 threads to compare with 1, got 1"):
        scaling.scaling(small_prediction(), Settings(1))


def test_rows_for_scaling_exist_and_can_be_chosen() -> None:
    names = [w.name for w in scaling.rows(None)]
    assert "train/resnet18-cifar-64" in names and "kernel/conv-cats-dogs-3/dx" in names
    assert [w.name for w in scaling.rows(["train/mnist"])] == ["train/mnist-64"]


def test_start_up_asks_a_fresh_process_for_each_round(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    asked = []

    def ask(*arguments: str, threads: int) -> dict[str, float]:
        asked.append((arguments[0], threads))
        return dict.fromkeys(startup.TITLES, float(len(asked)))

    monkeypatch.setattr(startup, "ask_python", ask)
    found = startup.start_up(Settings(2, 3))
    assert asked == [("-c", 2)] * 3
    assert found["program"] == Spread(2.0, 1.5, 2.5)
    assert len(startup.text(found).splitlines()) == len(startup.TITLES)


@pytest.mark.slow
def test_start_up_figures_are_those_of_a_real_process() -> None:
    found = startup.start_up(Settings(1, 1))
    assert list(found) == list(startup.TITLES)
    assert found["program"].median < found["first_training"].median
    assert all(0 < s.median < 60 for s in found.values())


def test_scaling_and_start_up_take_no_peers() -> None:
    parser = argparse.ArgumentParser()
    cli.add_arguments(parser)
    with pytest.raises(ValueError, match="they take no --peers"):
        cli.main(parser.parse_args(["--scaling", "--peers", "torch"]))
