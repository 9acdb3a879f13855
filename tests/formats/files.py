"""Ways of spoiling a file of ours."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from cnnfast.formats import safetensors_io


def rewritten(path: Path, change: Callable[[dict[str, Any], dict[str, Any]], None]) -> Path:
    """A copy of a file whose arrays and document `change` has changed; the format's rules still hold."""
    arrays, document = safetensors_io.read(path)
    change(arrays, document)
    other = path.with_name("hostile.safetensors")
    safetensors_io.write(other, arrays, document)
    return other


def truncated(whole: bytes, rng: random.Random) -> Iterator[bytes]:
    """Pieces that end at every boundary of the format, beside it, and at random places."""
    header_end = 8 + int.from_bytes(whole[:8], "little")
    ends = {0, 1, 7, 8, 9, header_end - 1, header_end, header_end + 1, len(whole) - 1, len(whole) - 4}
    ends |= {rng.randrange(len(whole)) for _ in range(60)}
    for end in sorted(ends):
        yield whole[:end]


def flipped(whole: bytes, rng: random.Random, count: int) -> Iterator[bytes]:
    """Copies with one to three bytes of the header changed."""
    header_end = 8 + int.from_bytes(whole[:8], "little")
    for _ in range(count):
        damaged = bytearray(whole)
        for _ in range(rng.choice((1, 1, 2, 3))):
            at = rng.randrange(header_end)
            damaged[at] = rng.choice((damaged[at] ^ (1 << rng.randrange(8)), rng.choice(b'0123456789[]{}",:-en')))
        yield bytes(damaged)
