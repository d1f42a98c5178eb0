"""A report as a page to look at: what failed with what to do, what was not checked and why, and what passed."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from nsd_imagery.checks.finding import OUTCOMES, Finding, counted
from nsd_imagery.checks.report import Report
from nsd_imagery.checks.text import by_check, products
from nsd_imagery.errors import printable
from nsd_imagery.page.shell import rendered
from nsd_imagery.page.table import Table

_TEMPLATE: Final = Path(__file__).with_name("page.html.jinja")

_KINDS: Final = {
    "files": "Files",
    "labels": "Labels",
    "rows": "Rows of trials",
    "responses": "Responses",
    "data": "Betas, and that they agree with labels",
    "folder": "The dataset folder",
    "index": "The index",
    "source": "Folder or index against the root",
}
"""What the checks of a kind are of, as a heading says it."""


@dataclass(frozen=True)
class _Failure:
    """A check that failed.

    Attributes:
        check: Its name.
        proves: What does not hold.
        findings: Where, each with its rows.
        remedy: What to do.
    """

    check: str
    proves: str
    findings: tuple[tuple[str, str, tuple[str, ...], int], ...]
    remedy: str


def page(report: Report) -> str:
    """The HTML of a report; the same report gives the same text."""
    failed = report.of("fail")
    groups = {kind: [one for one in failed if one.kind == kind] for kind in dict.fromkeys(one.kind for one in failed)}
    return rendered(
        _TEMPLATE,
        report=report,
        path=printable(report.path),
        counts=report.counts(),
        failures={_heading(kind): [_failure(mine) for mine in by_check(many).values()]
                  for kind, many in groups.items()},
        undone={outcome: _reasons(report.of(outcome)) for outcome in OUTCOMES[1:-1] if report.of(outcome)},
        passed=_passed(report.of("pass")),
        all_checks=_all_checks(report.findings),
    )  # fmt: skip


def _heading(kind: str) -> str:
    return _KINDS.get(kind, kind.capitalize())


def _failure(findings: Sequence[Finding]) -> _Failure:
    first = findings[0]
    told = tuple(
        (
            one.scope or "all",
            "" if one.evidence == counted(one.n_offending) else one.evidence,
            one.offending,
            one.n_offending - len(one.offending),
        )
        for one in findings
    )
    return _Failure(first.id, first.proves, told, first.remedy)


def _reasons(findings: Sequence[Finding]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Findings of one outcome: each reason, with the checks and scopes of which it holds."""
    reasons = dict.fromkeys(one.evidence or one.proves for one in findings)
    return [
        (
            reason,
            [
                (", ".join(checks), ", ".join(scopes) or "all")
                for checks, scopes in products([one for one in findings if (one.evidence or one.proves) == reason])
            ],
        )
        for reason in reasons
    ]


def _passed(findings: Sequence[Finding]) -> Table:
    """What passed, with what that rests on."""
    rows = tuple((one.id, one.scope or "all", one.evidence) for one in findings)
    return Table("Checks that passed", ("check", "of", "by what"), rows)


def _all_checks(findings: Sequence[Finding]) -> Table:
    """A row a check: what it proves, and how often each outcome was found."""
    rows = tuple(
        (check, mine[0].proves, *(sum(one.outcome == outcome for one in mine) or None for outcome in OUTCOMES))
        for check, mine in by_check(findings).items()
    )
    return Table("All checks", ("check", "what it proves", *OUTCOMES), rows)
