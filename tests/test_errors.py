"""The error family: drawn as it is, and whole after a way between processes."""

import pickle
from collections.abc import Iterator

import pytest

from nsd_imagery import errors
from nsd_imagery.errors import NSDImageryError


def family(kind: type[NSDImageryError]) -> Iterator[type[NSDImageryError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from family(child)


FAMILY = list(family(NSDImageryError))


def test_the_tree_in_the_docstring_is_the_family_with_the_builtin_that_each_also_is() -> None:
    assert {kind.__bases__[0] for kind in FAMILY[1:]} == {NSDImageryError}
    tree = (errors.__doc__ or "").split("\n\n")[1]
    drawn = [tuple(line.split()[-2:]) for line in tree.splitlines()]
    assert drawn == [(kind.__name__, kind.__bases__[-1].__name__) for kind in FAMILY]


@pytest.mark.parametrize("kind", FAMILY)
def test_every_error_and_its_message_survive_pickling(kind: type[NSDImageryError]) -> None:
    sent = kind("file.nii.gz: is damaged: copy it again")
    sent.add_note("of subj01")
    got = pickle.loads(pickle.dumps(sent))
    assert type(got) is kind
    assert (str(got), got.args, got.__notes__) == (str(sent), sent.args, sent.__notes__)
    assert str(got) == "file.nii.gz: is damaged: copy it again"
