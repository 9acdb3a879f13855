"""The progress bar on a terminal, in a pipe, and in between."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys

import pytest

from cnnfast.training.progress import ProgressBar, format_duration, format_step_time, format_values
from tests.training.linear_model import linear_data, linear_model


class Terminal(io.StringIO):
    def __init__(self, encoding="utf-8"):
        super().__init__()
        self._encoding = encoding

    def isatty(self):
        return True

    @property
    def encoding(self):
        return self._encoding


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")


def last_line(terminal):
    return terminal.getvalue().rstrip("\n").split("\r")[-1].rstrip()


def test_terminal_shows_the_title_then_bar_and_time_left():
    terminal, clock = Terminal(), Clock()
    bar = ProgressBar(79, "Epoch 1/5", stream=terminal, clock=clock)
    for step in range(1, 31):
        clock.now += 0.5
        bar.update(step, {"accuracy": 0.9, "loss": 0.3})
    assert terminal.getvalue().startswith("Epoch 1/5\n\r")
    bar_of_seven = "━" * 7 + "·" * 13
    assert last_line(terminal) == f"30/79 {bar_of_seven} 24s 500ms/step - accuracy: 0.9000 - loss: 0.3000"


def test_the_last_line_has_the_time_that_passed():
    terminal, clock = Terminal(), Clock()
    bar = ProgressBar(4, stream=terminal, clock=clock)
    for step in range(1, 5):
        clock.now += 0.5
        bar.update(step, {"loss": 0.3})
    bar.finish(4, {"loss": 0.3, "val_loss": 0.00004})
    assert terminal.getvalue().endswith("\n")
    assert last_line(terminal) == f"4/4 {'━' * 20} 2s 500ms/step - loss: 0.3000 - val_loss: 4.0000e-05"


def test_the_first_step_does_not_count_in_the_estimate():
    terminal, clock = Terminal(), Clock()
    bar = ProgressBar(10, stream=terminal, clock=clock)
    for step, seconds in ((1, 100.0), (2, 1.0)):
        clock.now += seconds
        bar.update(step, {})
    assert last_line(terminal).endswith("8s 1s/step")


def test_a_shorter_line_covers_the_longer_one_before():
    terminal, clock = Terminal(), Clock()
    bar = ProgressBar(2, stream=terminal, clock=clock)
    bar.update(1, {"loss": 0.3, "accuracy": 0.9})
    bar.finish(2, {"loss": 0.3})
    first, second = terminal.getvalue().rstrip("\n").split("\r")[1:]
    assert len(second) >= len(first)


def test_lines_are_cut_to_the_terminal_so_that_they_do_not_wrap(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    terminal = Terminal()
    ProgressBar(10, stream=terminal).update(1, {f"metric_{i}": 0.5 for i in range(9)})
    assert len(last_line(terminal)) <= 39


def test_drawing_is_no_more_than_20_times_a_second():
    terminal, clock = Terminal(), Clock()
    bar = ProgressBar(1000, stream=terminal, clock=clock)
    for step in range(1, 1001):
        clock.now += 0.001
        bar.update(step, {"loss": 1.0})
    assert terminal.getvalue().count("\r") <= 21


def test_unknown_number_of_steps():
    terminal, clock = Terminal(), Clock()
    bar = ProgressBar(None, stream=terminal, clock=clock)
    clock.now = 3.0
    bar.update(2, {"loss": 1.0})
    assert last_line(terminal).startswith("      2/Unknown 3s")
    bar.finish(2, {"loss": 1.0})
    assert last_line(terminal).startswith("2/2 ━")


def test_terminal_without_the_line_character_gets_another():
    terminal = Terminal("ascii")
    ProgressBar(2, stream=terminal).update(1, {})
    terminal.getvalue().encode("ascii")
    assert "==========" in terminal.getvalue()


def test_colours_unless_they_are_unwanted(monkeypatch):
    monkeypatch.delenv("NO_COLOR")
    terminal = Terminal()
    ProgressBar(2, stream=terminal).update(1, {})
    assert "\x1b[32m" in terminal.getvalue()


def test_numbers_as_people_read_them():
    assert [format_duration(s) for s in (0.4, 59, 65, 3723)] == ["0s", "59s", "1:05", "1:02:03"]
    assert [format_step_time(s) for s in (2.2, 0.025, 31e-5)] == ["2s/step", "25ms/step", "310us/step"]
    shown = format_values({"a": 0.5, "b": 0.0005, "c": [1.0, 2.0]})
    assert shown == ["a: 0.5000", "b: 5.0000e-04", "c: 1.5000"]


def test_output_that_is_no_terminal_gets_one_plain_line_an_epoch(capsys):
    x, y = linear_data()
    linear_model(metrics=["mae"]).fit(x, y, epochs=2, batch_size=2, validation_split=0.2)
    lines = capsys.readouterr().out.splitlines()
    results = " - ".join(rf"{name}: [\d.]+" for name in ("loss", "mae", "val_loss", "val_mae"))
    pattern = r"Epoch {}/2 - 4/4 - 0s - \d+(us|ms)/step - " + results
    assert len(lines) == 2
    for i, line in enumerate(lines):
        assert re.fullmatch(pattern.format(i + 1), line)


def test_verbose_0_prints_nothing(capsys):
    x, y = linear_data()
    model = linear_model()
    model.fit(x, y, verbose=0)
    model.evaluate(x, y, verbose=0)
    model.predict(x, verbose=0)
    assert capsys.readouterr().out == ""


SCRIPT = """
from tests.training.linear_model import linear_data, linear_model
x, y = linear_data()
model = linear_model()
model.fit(x, y, epochs=2, batch_size=2, validation_split=0.2)
model.evaluate(x, y)
model.predict(x)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_fit_on_a_real_terminal():
    import pty

    main, other = pty.openpty()
    process = subprocess.Popen([sys.executable, "-c", SCRIPT], stdout=other, stderr=other)
    os.close(other)
    output = b""
    try:
        while chunk := os.read(main, 65536):
            output += chunk
    except OSError:  # Linux: the other side is closed
        pass
    finally:
        os.close(main)
        process.wait()
    lines = output.decode().replace("\r\n", "\n").rstrip("\n").split("\n")
    assert [line.split("\r")[0] for line in lines if line.startswith("Epoch")] == ["Epoch 1/2", "Epoch 2/2"]
    shown = [line.split("\r")[-1].rstrip() for line in lines if not line.startswith("Epoch")]
    assert all(re.match(rf"\d/\d {'━' * 20} 0s \d+(us|ms)/step", line) for line in shown)
    assert [line[:3] for line in shown] == ["4/4", "4/4", "1/1", "1/1"]
    assert "val_loss" in shown[0] and "val_loss" not in shown[2] and "loss" not in shown[3]
