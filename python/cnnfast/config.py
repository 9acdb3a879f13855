"""Settings of the engine for the whole process."""

from __future__ import annotations

from cnnfast.ops import engine, target


def set_conv2d_algorithm(name: str) -> None:
    """How convolutions are computed from now on; models notice by themselves.

    Args:
        name: "direct": products summed as in the definition. "winograd": Winograd's algorithm wherever it
            fits, forward and both gradients, without dilation: kernels of 3x3 with strides of 1 (by tiles of 4x4, 36
            multiplications where "direct" has 144, or of 6x6, 64 instead of 324, whichever is cheaper) or 2 (81
            instead of 144), of 5x5 (64 instead of 400) and of 2x2 (25 instead of 64) with strides of 1. "winograd4",
            "winograd6": the same, with this tile for 3x3. Errors are some two to twenty times as large as with
            "direct", most with tiles of 6x6; the tests allow 2e-5 of the largest output. "auto" (at start): of all the
            one that a count of operations says is fastest.

    Raises:
        ValueError: another name; nothing is changed.

    Example:
        >>> set_conv2d_algorithm("direct")
        >>> conv2d_algorithm()
        'direct'
        >>> set_conv2d_algorithm("auto")

    Source: Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (2015).
    """
    if not isinstance(name, str):
        names = "'auto', 'direct', 'winograd', 'winograd4' or 'winograd6'"
        raise ValueError(f"set_conv2d_algorithm: expected {names}, got {name!r}")
    engine.set_conv2d_algorithm(name)


def conv2d_algorithm() -> str:
    """What `set_conv2d_algorithm` has set."""
    return engine.conv2d_algorithm()


def set_policy(name: str) -> None:
    """How precisely GPUs compute from now on; models notice by themselves. On the CPU everything is float32.

    Args:
        name: "float32": all products are of float32 numbers. "tensorfloat32": factors are rounded to 10 bits of
            fraction, as tensor cores want them; everything else is float32. "mixed_bfloat16": what flows between
            layers is bfloat16 (8 bits of fraction, half the memory), while weights, statistics, losses and sums stay
            float32. At start: CNNFAST_POLICY, else "float32".

    Raises:
        ValueError: another name; nothing is changed.

    Example:
        >>> set_policy("float32")
        >>> policy()
        'float32'

    Source: Micikevicius et al., "Mixed Precision Training" (2018).
    """
    target.choose_policy(name)


def policy() -> str:
    """What `set_policy` has set."""
    return target.chosen_policy()
