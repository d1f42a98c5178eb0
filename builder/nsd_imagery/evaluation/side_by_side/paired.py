"""Two evaluations as they were written, and which score of one is to be set beside which of the other."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from nsd_imagery.dataset.folder import MANIFEST
from nsd_imagery.errors import DataError, MissingDataError
from nsd_imagery.evaluation.items import ITEMS, KEY, Key, key_of, read_items
from nsd_imagery.evaluation.output import EVALUATION, SCORES
from nsd_imagery.evaluation.score import GROUP, Items, Score, read_scores
from nsd_imagery.links import refuse_without_content
from nsd_imagery.shell import quoted

MODELS: Final = ("perception", "predictions")
"""What `train` of a model's scores says: of a decoder that was fitted here, and of somebody's vectors."""

Pair = tuple[Key, Key]
"""What tells a score in the first evaluation, and in the second."""

_CLOSE: Final = 1e-9
"""Of the mean of items and the score, relative."""


@dataclass(frozen=True, eq=False)
class Side:
    """One of two evaluations.

    Attributes:
        path: Where it is.
        scores: By what tells them, in order.
        items: By what tells their score.
        spaces: What tells the vectors of the candidates from others, by what `train` says of a model; nothing of a
            model of which nobody said.
    """

    path: Path
    scores: Mapping[Key, Score]
    items: Mapping[Key, Items]
    spaces: Mapping[str, frozenset[str]]

    def all_of(self, column: str) -> list[str]:
        """What the long table has in a column, in order."""
        return list(dict.fromkeys(getattr(score, column) for score in self.scores.values()))

    @property
    def subjects(self) -> list[str]:
        """In order, without groups."""
        return [name for name in self.all_of("subject") if not name.startswith(GROUP)]


def read_side(given: Path | str) -> Side:
    """An evaluation from its folder, or from its table of scores with the items that lie beside it.

    Raises:
        MissingDataError: There is none.
        DataError: A file is damaged, or items are not of the scores.
    """
    path = Path(given).expanduser().absolute()
    refuse_without_content(path)
    table = path / SCORES if path.is_dir() else path
    if not table.is_file():
        what = f"holds no {SCORES}" if path.is_dir() else "no such file or folder"
        is_dataset = (path / MANIFEST).is_file()
        line = f"{quoted(path)} --out DIR" if is_dataset else f"DATASET --out {quoted(path)}"
        msg = f"{path}: {what}; evaluate a dataset: nsd-imagery evaluate {line}"
        raise MissingDataError(msg)
    return side_of(path, read_scores(table), table.parent)


def side_of(path: Path, scores: Sequence[Score], folder: Path) -> Side:
    """An evaluation whose scores are known, with its items.

    Args:
        path: Where it is.
        scores: All of them.
        folder: What was written beside them, if anything was.

    Raises:
        DataError: The file is damaged, or is not of the scores; or a score is there twice.
    """
    by_key = {key_of(score): score for score in scores}
    if len(by_key) < len(scores):
        msg = f"{path}: has a score twice; evaluate again"
        raise DataError(msg)
    beside = folder / ITEMS
    items = read_items(beside) if beside.is_file() else {}
    for key, one in items.items():
        value = by_key[key].value if key in by_key else None
        if value is None or abs(one.mean - value) > _CLOSE * max(1, abs(value)):
            msg = f"{beside}: is not of the scores beside it; evaluate again, or leave it out"
            raise DataError(msg)
    return Side(path, by_key, items, _spaces(folder / EVALUATION))


def _spaces(path: Path) -> dict[str, frozenset[str]]:
    """Of what `evaluation.json` says; nothing where there is none."""
    try:
        said = json.loads(path.read_text(encoding="utf-8"))["inputs"]
        embeddings = said["embeddings"]
        of_embeddings = frozenset(f"{name} {embeddings[name]}" for name in ("maker", "digest")) if embeddings else None
        of_targets = frozenset([f"digest {said['targets']}"]) if said["targets"] else of_embeddings
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    found = zip(MODELS, (of_embeddings, of_targets), strict=True)
    return {name: space for name, space in found if space}


def same_tests(a: Side, b: Side) -> Iterator[Pair]:
    """Scores of the same tests: alike in all that tells them, or of one model here and another one there."""
    yield from ((key, key) for key in a.scores if key in b.scores)
    of_model: dict[Key, list[Key]] = {}
    for key in b.scores:
        if _is_model(key):
            of_model.setdefault(_without_model(key), []).append(key)
    for key in a.scores:
        for other in of_model.get(_without_model(key), ()) if _is_model(key) else ():
            if key != other and not (key in b.scores and other in a.scores):
                yield key, other


def with_column(key: Key, column: str, value: str) -> Key:
    """What tells the same score of another subject, or another set."""
    at = KEY.index(column)
    return (*key[:at], value, *key[at + 1 :])


def _of(key: Key, column: str) -> str:
    return key[KEY.index(column)]


def _is_model(key: Key) -> bool:
    return _of(key, "train") in MODELS and _of(key, "how") == "decode"


def _without_model(key: Key) -> Key:
    """What tells a model's score, whoever made it: the condition is what was tested."""
    tested = _of(key, "condition").rpartition(" → ")[2]
    return with_column(with_column(key, "train", ""), "condition", tested)
