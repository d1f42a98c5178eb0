"""Findings as people read them: in a terminal, and on a page of Markdown.

What is said of several subjects or checks together holds for each check of each subject: findings share a line only
where every check that the line names was found so for every scope that it names.
"""

import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence

from nsd_imagery.checks.finding import OUTCOMES, Finding, Outcome, counted

_INDENT = "      "
_NUMBERED = re.compile(r"\b(session|[pz](?: =)?) (\d)")
_GLUE = "\ue000"
"""Stands for a blank at which no line is broken; no text has it, as it is not printable."""


def lines(findings: Sequence[Finding], *, verbose: bool, more: str = "-v") -> Iterator[str]:
    """A line a thing: failures with what to do, then what was not checked, then what passed, counted or each.

    Args:
        findings: Of a report.
        verbose: Each that passed.
        more: What is to be asked for these, where they are only counted.
    """
    yield from _failures(_of("fail", findings))
    for outcome in OUTCOMES[1:-1]:
        yield from _together(_of(outcome, findings))
    passed = _of("pass", findings)
    if verbose:
        yield from _each_that_passed(passed)
    elif passed:
        yield f"  pass  {', '.join(_counts(passed, findings))} ({more} lists them)"


def broken(line: str, width: int, hang: int | None = None) -> str:
    """A line broken between words, not in a path or before the number of a session or p.

    Args:
        line: It.
        width: Columns.
        hang: Columns that the rest stands in; default: four more than the line.
    """
    words = line.lstrip()
    indent = len(line) - len(words)
    rest = indent + 4 if hang is None else hang
    return textwrap.fill(
        _NUMBERED.sub(rf"\1{_GLUE}\2", words),
        max(width, 20, (hang or 0) + 30),
        initial_indent=" " * indent,
        subsequent_indent=" " * rest,
        break_long_words=False,
        break_on_hyphens=False,
    ).replace(_GLUE, " ")


def sections(findings: Sequence[Finding]) -> Iterator[str]:
    """Paragraphs of Markdown: each check that failed, with its rows and what to do, then what was not checked."""
    for check, mine in by_check(_of("fail", findings)).items():
        yield f"## {check}"
        yield f"Not so: {plain(mine[0].proves)}."
        told = []
        for finding in mine:
            told.append(f"* {plain(': '.join(filter(None, (finding.scope, finding.evidence))))}")
            told += [f"    * {plain(row)}" for row in _rows(finding)]
        yield "\n".join(told)
        yield f"What to do: {plain(mine[0].remedy)}."
    rest = [line for outcome in OUTCOMES[1:-1] for line in _together(_of(outcome, findings))]
    if rest:
        yield "## Not checked, or not decidable"
        yield "\n".join(f"* {plain(line.strip())}" for line in rest)


def plain(text: str) -> str:
    """A text in which Markdown sees no markup."""
    return "".join(f"\\{letter}" if letter in "\\`*_<>[]|#~" else letter for letter in text)


def _failures(findings: Sequence[Finding]) -> Iterator[str]:
    """Check by check, each finding with its rows; then what to do."""
    for check, mine in by_check(findings).items():
        for finding in mine:
            reason = "" if finding.evidence == counted(finding.n_offending) else f": {finding.evidence}"
            yield f"  fail  {check}: {finding.scope or 'all'}{reason}"
            yield from (f"{_INDENT}{row}" for row in _rows(finding))
        if mine[0].remedy:
            yield f"{_INDENT}What to do: {mine[0].remedy}."


def _rows(finding: Finding) -> Iterator[str]:
    yield from finding.offending
    if finding.n_offending > len(finding.offending):
        yield f"and {finding.n_offending - len(finding.offending)} more"


def _together(findings: Sequence[Finding]) -> Iterator[str]:
    """Findings of one outcome, with their reasons."""
    reasons = dict.fromkeys(finding.evidence for finding in findings)
    for reason in reasons:
        for checks, scopes in products([finding for finding in findings if finding.evidence == reason]):
            what = reason or next(finding.proves for finding in findings if finding.id == checks[0])
            yield f"  {findings[0].outcome}  {', '.join(checks)}: {', '.join(scopes) or 'all'}: {what}"


def _each_that_passed(findings: Sequence[Finding]) -> Iterator[str]:
    """A line a check and scope that has figures of its own; checks and scopes with the same ones share it."""
    for evidence in dict.fromkeys(finding.evidence for finding in findings):
        for checks, scopes in products([finding for finding in findings if finding.evidence == evidence]):
            yield f"  pass  {', '.join(checks)}: {', '.join(scopes) or 'all'}{f': {evidence}' if evidence else ''}"


def _counts(passed: Sequence[Finding], findings: Sequence[Finding]) -> Iterator[str]:
    """How much passed, a kind after the other: `files 4 of 6`."""
    for kind in dict.fromkeys(finding.kind for finding in passed):
        n_passed, n_all = (sum(one.kind == kind for one in some) for some in (passed, findings))
        yield f"{kind} {n_passed}" if n_passed == n_all else f"{kind} {n_passed} of {n_all}"


def products(findings: Sequence[Finding]) -> Iterator[tuple[list[str], list[str]]]:
    """Checks of one kind and scopes, so that each of these checks has a finding for each of these scopes."""
    scopes = {check: tuple(finding.scope for finding in mine) for check, mine in by_check(findings).items()}
    groups: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for check, mine in scopes.items():
        groups.setdefault((check.partition(".")[0], mine), []).append(check)
    for (_, mine), checks in groups.items():
        yield checks, list(filter(None, mine))


def _of(outcome: Outcome, findings: Iterable[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.outcome == outcome]


def by_check(findings: Iterable[Finding]) -> dict[str, list[Finding]]:
    """Findings by the check that found them, in their order."""
    groups: dict[str, list[Finding]] = {}
    for finding in findings:
        groups.setdefault(finding.id, []).append(finding)
    return groups
