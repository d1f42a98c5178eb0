"""What people write where this package has one spelling: words and lists of them, subjects, names in other letters."""

import os
import re
from collections.abc import Iterable
from numbers import Integral
from pathlib import Path
from typing import Any, TypeVar

from nsd_imagery.errors import UsageError, shown
from nsd_imagery.experiment import SUBJECTS
from nsd_imagery.suggest import one_of

Subjects = str | int | Iterable[str | int]
"""Subjects as people write them; see `subjects_of`."""

_Choice = TypeVar("_Choice", bound=str)

_SUBJECT = re.compile(r"(?:s|sub|subj|subject)?[-_ ]?0*([1-8])", re.IGNORECASE)


def subject_of(said: Any) -> str:
    """The subject that is meant: 1, "1", "S1", "sub-01", "subj1" and ["subj01"] are "subj01".

    Raises:
        UsageError: None is.
    """
    word = str(said) if _is_number(said) else the_word("subject", said)
    named = _SUBJECT.fullmatch(word.strip())
    return SUBJECTS[int(named[1]) - 1] if named else one_of("subject", word, SUBJECTS)


def subjects_of(said: Any) -> tuple[str, ...] | None:
    """The subjects that are meant, each once: "1,2", [1, 2] and ("sub-01", "S2") are subj01 and subj02; None for None.

    Raises:
        UsageError: One is no subject, or the list is empty.
    """
    if said is None:
        return None
    words = [said] if _is_number(said) else words_of("subjects", said)
    return tuple(dict.fromkeys(subject_of(word) for word in words))


def words_of(what: str, said: Any) -> tuple[Any, ...]:
    """Several words as a tuple: what stands between the commas of a text, or the items of a list.

    Raises:
        UsageError: It is neither, or empty.
    """
    if isinstance(said, str | os.PathLike):
        return split_words(os.fspath(said))
    if not isinstance(said, Iterable):
        msg = f"{what}: {shown(said)} is no list of names; write {what}=['NAME', ...]"
        raise UsageError(msg)
    words = tuple(said)
    if not words:
        msg = f"{what} is empty: name one or more, or leave it out for all"
        raise UsageError(msg)
    return words


def split_words(text: str) -> tuple[str, ...]:
    """What stands between the commas, which are letters in the path of a file that is there."""
    parts, words = text.split(","), []
    while parts:
        counts = range(len(parts), 1, -1)
        n_parts = next((count for count in counts if _is_file(",".join(parts[:count]).strip())), 1)
        words.append(",".join(parts[:n_parts]).strip())
        del parts[:n_parts]
    return tuple(words)


def numbers_of(what: str, said: Any) -> tuple[int, ...]:
    """The whole numbers that are meant: 1, "1,2" or [1, 2].

    Raises:
        UsageError: One is no whole number, or the list is empty.
    """
    words = [said] if _is_number(said) else words_of(what, said)
    if wrong := [word for word in words if not (_is_number(word) or (isinstance(word, str) and word.isdecimal()))]:
        msg = f"{what}: {shown(wrong[0])} is no whole number"
        raise UsageError(msg)
    return tuple(int(word) for word in words)


def the_word(what: str, said: Any) -> str:
    """One word, also where it is alone in a list.

    Raises:
        UsageError: It is none, or they are several.
    """
    alone = _alone(said)
    if isinstance(alone, os.PathLike):
        return os.fspath(alone)
    if not isinstance(alone, str):
        msg = f"{what} is one name, not {shown(said)}"
        raise UsageError(msg)
    return alone


def the_choice(what: str, said: Any, choices: Iterable[_Choice]) -> _Choice:
    """The one of the choices that a word means, in whatever letters and also where it is alone in a list.

    Raises:
        UsageError: None, or they are several; names the choices.
    """
    choices = list(choices)
    word = _alone(said)
    if not isinstance(word, str):
        msg = f"{what} is one of {', '.join(choices)}, not {shown(said)}"
        raise UsageError(msg)
    alike = [choice for choice in choices if choice.lower() == word.lower()]
    if word not in choices and len(alike) == 1:
        return alike[0]
    return next(choice for choice in choices if choice == one_of(what, word, choices))


def _alone(said: Any) -> Any:
    return next(iter(said)) if isinstance(said, list | tuple | set | frozenset) and len(said) == 1 else said


def _is_number(said: Any) -> bool:
    return isinstance(said, Integral) and not isinstance(said, bool)


def _is_file(text: str) -> bool:
    return "/" in text and Path(text).is_file()
