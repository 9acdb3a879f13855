"""The progress bar, in Keras' layout: `79/79 ━━━━━━━━━━━━━━━━━━━━ 2s 25ms/step - loss: 0.3`."""

from __future__ import annotations

import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, TextIO

import numpy as np

_WIDTH = 20
_INTERVAL = 0.05  # seconds between two drawings; more often than the eye follows would only cost time
_BOLD, _GREEN, _GREY, _RESET = "\x1b[1m", "\x1b[32m", "\x1b[37m", "\x1b[0m"


class ProgressBar:
    """Shows how far a loop is.

    On a terminal (or in a notebook) one line is drawn again and again, with the time that is left. Elsewhere,
    and with `live=False`, one plain line is printed at the end.

    Args:
        total: number of steps, None if unknown.
        title: printed on a line of its own on a terminal, else at the beginning of the line.
        live: False prints the line at the end only.
        stream: where to print; standard output if None.
        clock: seconds, for tests.
    """

    def __init__(
        self,
        total: int | None,
        title: str | None = None,
        *,
        live: bool = True,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ):
        self._total = total
        self._title = title
        self._stream = sys.stdout if stream is None else stream
        self._live = live and is_interactive(self._stream)
        self._color = self._live and "NO_COLOR" not in os.environ
        self._clock = clock
        self._start = clock()
        self._first_step_end: float | None = None
        self._drawn_at = -_INTERVAL
        self._drawn_width = 0
        if self._live and title:
            self._write(title + "\n")

    def update(self, step: int, values: Mapping[str, Any]) -> None:
        """Shows that `step` steps are done, and the values so far."""
        now = self._clock()
        if self._first_step_end is None:
            self._first_step_end = now
        if self._live and now - self._drawn_at >= _INTERVAL:
            self._drawn_at = now
            self._draw(step, self._total, self._running_time(step, now), values, "")

    def finish(self, step: int, values: Mapping[str, Any]) -> None:
        """Shows the end, after `step` steps: the time is now all that has passed."""
        elapsed = self._clock() - self._start
        spent = f"{elapsed:.0f}s"
        per_step = format_step_time(elapsed / max(step, 1))
        if self._live:
            self._draw(step, step, f"{self._bold(spent)} {per_step}", values, "\n")
            return
        parts = [self._title, f"{step}/{step}", spent, per_step, *format_values(values)]
        self._write(" - ".join(p for p in parts if p) + "\n")

    def _running_time(self, step: int, now: float) -> str:
        """The time that is left (or has passed, if the number of steps is unknown) and the time of a step."""
        begin, steps = self._start, step
        if step > 1 and self._first_step_end is not None:
            begin, steps = (
                self._first_step_end,
                step - 1,
            )  # the first step builds Programs: no measure for others
        per_step = (now - begin) / max(steps, 1)
        shown = now - self._start if self._total is None else per_step * max(self._total - step, 0)
        return f"{self._bold(format_duration(shown))} {format_step_time(per_step)}"

    def _draw(self, step: int, total: int | None, times: str, values: Mapping[str, Any], end: str) -> None:
        head = f"{step:7d}/Unknown" if total is None else f"{step:{len(str(total))}d}/{total}"
        bar = "" if total is None else " " + self._bar(step / max(total, 1))
        line = " - ".join([f"{self._bold(head)}{bar} {times}", *format_values(values)])
        if not end:  # a line that wraps could not be drawn over
            line = _cut(line, shutil.get_terminal_size().columns - 1)
        width = _visible_length(line)
        self._write("\r" + line + " " * (self._drawn_width - width) + end)
        self._drawn_width = width

    def _bar(self, done: float) -> str:
        mark = "━" if _can_print("━", self._stream) else "="
        filled = min(int(_WIDTH * done), _WIDTH)
        if not self._color:
            return mark * filled + (" " if mark == "=" else "·") * (_WIDTH - filled)
        return f"{_GREEN}{mark * filled}{_RESET}{_GREY}{mark * (_WIDTH - filled)}{_RESET}"

    def _bold(self, text: str) -> str:
        return f"{_BOLD}{text}{_RESET}" if self._color else text

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


def is_interactive(stream: TextIO) -> bool:
    """Whether a line can be drawn over: on a terminal that is not dumb, or in a notebook."""
    in_notebook = type(stream).__module__.startswith("ipykernel")
    return in_notebook or (stream.isatty() and os.environ.get("TERM") != "dumb")


def format_values(values: Mapping[str, Any]) -> list[str]:
    """`name: value` with four digits; arrays by their mean."""
    shown = []
    for name, value in values.items():
        number = float(np.mean(value))
        shown.append(f"{name}: {number:.4e}" if 0 < abs(number) <= 1e-3 else f"{name}: {number:.4f}")
    return shown


def format_duration(seconds: float) -> str:
    """`12s`, `1:05` or `1:02:03`."""
    minutes, s = divmod(int(seconds), 60)
    hours, m = divmod(minutes, 60)
    if hours:
        return f"{hours}:{m:02d}:{s:02d}"
    return f"{m}:{s:02d}" if m else f"{s}s"


def format_step_time(seconds: float) -> str:
    """`2s/step`, `25ms/step` or `310us/step`."""
    for unit, name in ((1.0, "s"), (1e-3, "ms")):
        if seconds >= unit:
            return f"{seconds / unit:.0f}{name}/step"
    return f"{seconds * 1e6:.0f}us/step"


def _can_print(text: str, stream: TextIO) -> bool:
    try:
        text.encode(getattr(stream, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _visible_length(line: str) -> int:
    return sum(not piece.startswith("\x1b") for piece in _characters(line))


def _cut(line: str, width: int) -> str:
    """The line without its characters beyond `width`, its colour codes kept."""
    kept, length = [], 0
    for piece in _characters(line):
        length += not piece.startswith("\x1b")
        if length <= width or piece.startswith("\x1b"):
            kept.append(piece)
    return "".join(kept)


def _characters(line: str) -> list[str]:
    """The characters of a line, colour codes in one piece."""
    return re.findall(r"\x1b\[[0-9;]*m|.", line)
