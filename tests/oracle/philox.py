"""Philox4x32-10 one counter at a time, written from Salmon et al. (2011), and what dropout makes of it."""

from __future__ import annotations

import numpy as np

_WORD = 2**32


def philox4x32(counter, key):
    """Four random words from four counter words and two key words."""
    c, k = list(counter), list(key)
    for _ in range(10):
        a, b = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [b // _WORD ^ c[1] ^ k[0], b % _WORD, a // _WORD ^ c[3] ^ k[1], a % _WORD]
        k = [(k[0] + 0x9E3779B9) % _WORD, (k[1] + 0xBB67AE85) % _WORD]
    return c


def kept(n, rate, seed, salt):
    """Which of n elements dropout keeps: element 256 b + 64 w + l looks at word w of counter 64 b + l."""
    result = np.empty(n, dtype=bool)
    for i in range(n):
        block, word, lane = i // 256, i % 256 // 64, i % 64
        counter = 64 * block + lane
        words = philox4x32(
            (counter % _WORD, counter // _WORD, salt % _WORD, salt // _WORD), (seed % _WORD, seed // _WORD)
        )
        result[i] = words[word] >= round(rate * _WORD)
    return result
