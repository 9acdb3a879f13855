"""Settings of the engine for the whole process."""

from __future__ import annotations

from cnnfast.ops import engine


def set_conv2d_algorithm(name: str) -> None:
    """How convolutions are computed from now on; models notice by themselves.

    Args:
        name: "direct": products summed as in the definition. "winograd": Winograd's algorithm for every 3x3
            convolution with stride 1 and without dilation, forward and both gradients, by the cheaper of two tiles.
            "winograd4": F(4x4,3x3), 36 multiplications where "direct" has 144, for an error some two to ten times as
            large. "winograd6": F(6x6,3x3), 64 instead of 324, for an error some five to twenty times as large. Of
            either the tests allow 2e-5 of the largest output. "auto" (at start): of all the one that a count of
            operations says is fastest.

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
