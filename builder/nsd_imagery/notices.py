"""Warnings that are given once a process, however often what they are about is done."""

import logging
from functools import cache


@cache
def warn_once(logger: logging.Logger, said: str) -> None:
    """Warn, unless the same was said before: so a warning must name whom and what it is about."""
    logger.warning("%s", said)
