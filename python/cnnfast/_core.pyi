"""cnnfast's compiled engine. Private: use `cnnfast.ops` and the layers."""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np

_Spec: TypeAlias = tuple[str, Sequence[int]]  # ("float32", (8, 28, 28, 1))
_Attribute: TypeAlias = bool | int | float | str | Sequence[int]
_Array: TypeAlias = np.ndarray

class Step:
    """One kernel call with everything decided that shapes and settings decide."""
    def __init__(
        self,
        op: str,
        inputs: Sequence[_Spec | None],
        outputs: Sequence[_Spec],
        attributes: Mapping[str, _Attribute],
    ) -> None: ...
    @property
    def op(self) -> str: ...
    @property
    def workspace_bytes(self) -> int: ...
    @property
    def packed_floats(self) -> int: ...

class Program:
    """A flat list of steps over one arena, built once and run many times.

    A buffer lies in the arena (`arena`: number and offset in bytes), in an array (`fixed`) or where each
    run's feed is (`feeds`). A step is (step, input buffers or -1, output buffers, offset of its workspace).
    """
    def __init__(
        self,
        specs: Sequence[_Spec],
        arena: Sequence[tuple[int, int]],
        fixed: Sequence[tuple[int, _Array]],
        feeds: Sequence[int],
        steps: Sequence[tuple[Step, Sequence[int], Sequence[int], int]],
        arena_bytes: int,
    ) -> None: ...
    def run(
        self,
        feeds: Sequence[_Array],
        fetch: Sequence[int],
        seed: int,
        begin: int,
        end: int,
        guard: int = -1,
        guard_step: int = -1,
    ) -> tuple[bool, list[_Array]]: ...
    def set_profiling(self, on: bool) -> None: ...
    def step_seconds(self) -> list[tuple[str, float]]: ...
    @property
    def step_count(self) -> int: ...
    @property
    def arena_bytes(self) -> int: ...

def run_step(
    op: str,
    inputs: Sequence[_Array | None],
    outputs: Sequence[_Array],
    attributes: Mapping[str, _Attribute],
    seed: int = 0,
) -> None: ...
def plan_memory(blocks: Sequence[tuple[int, int, int]]) -> tuple[int, list[int]]: ...
def window_output_size(size: int, kernel: int, stride: int, dilation: int, pad_lo: int, pad_hi: int) -> int: ...
def same_padding(size: int, kernel: int, stride: int, dilation: int) -> tuple[int, int]: ...
def num_threads() -> int: ...
def set_num_threads(threads: int) -> None: ...
def default_num_threads() -> int: ...
def threading_backend() -> str: ...
def set_conv2d_algorithm(name: str) -> None: ...
def conv2d_algorithm() -> str: ...
def isa() -> str: ...
def set_isa(name: str) -> None: ...
def available_isas() -> list[str]: ...
