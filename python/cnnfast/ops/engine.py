"""The compiled module, imported here and nowhere else."""

from cnnfast import _core
from cnnfast._core import (
    Program,
    Step,
    available_isas,
    conv2d_algorithm,
    default_num_threads,
    isa,
    num_threads,
    plan_memory,
    run_step,
    same_padding,
    set_conv2d_algorithm,
    set_isa,
    set_num_threads,
    threading_backend,
    window_output_size,
)

__all__ = [
    "Program",
    "Step",
    "_core",
    "available_isas",
    "conv2d_algorithm",
    "default_num_threads",
    "isa",
    "num_threads",
    "plan_memory",
    "run_step",
    "same_padding",
    "set_conv2d_algorithm",
    "set_isa",
    "set_num_threads",
    "threading_backend",
    "window_output_size",
]
