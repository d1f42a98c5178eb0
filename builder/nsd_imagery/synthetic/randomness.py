"""One random generator for each thing that is drawn, so that no draw depends on what else is drawn."""

import zlib

import numpy as np


def generator(seed: int, *purpose: str | int) -> np.random.Generator:
    """The generator of one purpose: the same numbers whatever else is drawn, and in whatever order.

    Args:
        seed: Seed of the release, not negative.
        purpose: What is drawn, for example "behaviour", "subj01".
    """
    words = [word if isinstance(word, int) else zlib.crc32(word.encode()) for word in purpose]
    return np.random.default_rng([seed, *words])
