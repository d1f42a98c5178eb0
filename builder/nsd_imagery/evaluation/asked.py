"""What an evaluation is asked for, as the folder spells it: subjects, ROIs, and a folder of fithrf betas beside it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from nsd_imagery.chance.orders import N_DRAWS
from nsd_imagery.dataset.folder import open_manifest
from nsd_imagery.dataset.manifest import Manifest
from nsd_imagery.errors import UsageError, shown
from nsd_imagery.evaluation.transfer.inputs import NOTHING, Inputs
from nsd_imagery.experiment import BETA_VERSIONS
from nsd_imagery.links import refuse_without_content
from nsd_imagery.shell import quoted
from nsd_imagery.spelling import Subjects, numbers_of, subjects_of, the_choice, words_of
from nsd_imagery.suggest import one_of

MOST_ROIS: Final = 12
"""Of a family over which p is corrected."""


@dataclass(frozen=True, eq=False)
class Asked:
    """What is to be evaluated.

    Attributes:
        folder: The dataset folder, absolute.
        manifest: Its manifest.
        across: A folder of fithrf betas, or None.
        across_manifest: Its manifest.
        rois: Those of each subject, in order.
        draws: Drawn orders.
        inputs: What transfer is made from.
    """

    folder: Path
    manifest: Manifest
    across: Path | None
    across_manifest: Manifest | None
    rois: Mapping[str, tuple[str, ...]]
    draws: int
    inputs: Inputs = NOTHING

    @property
    def all_rois(self) -> tuple[str, ...]:
        """Of any subject, in order."""
        return tuple(dict.fromkeys(roi for rois in self.rois.values() for roi in rois))


def asked(
    dataset: Path | str,
    subjects: Subjects | None,
    roi: str | Sequence[str] | None,
    across: Path | str | None,
    draws: int,
) -> Asked:
    """What is asked for, in the spelling of the folder; see `run.evaluate`.

    Raises:
        MissingDataError: A folder is not there, or holds no dataset.
        UsageError: A subject, a ROI or a number that cannot be meant, too many ROIs, or `across` is of other betas.
    """
    folder = _opened(dataset)
    manifest = open_manifest(folder)
    there = _rois_of(manifest)
    if not there:
        msg = f"{folder}: has no trials to evaluate; build some: nsd-imagery build ROOT --out {quoted(folder)}"
        raise UsageError(msg)
    chosen = subjects_of(subjects) or tuple(there)
    for subject in chosen:
        one_of("subject", subject, there, where=folder)
    rois = {subject: _chosen_rois(folder, subject, there, chosen, roi) for subject in chosen}
    n_draws = numbers_of("draws", draws)
    if len(n_draws) != 1 or not 1 <= n_draws[0] <= N_DRAWS:
        msg = f"draws is a number from 1 to {N_DRAWS}, not {shown(draws)}"
        raise UsageError(msg)
    beside = None if across is None else _opened(across)
    other = None if beside is None else _plain_manifest(beside, folder, manifest, rois)
    found = Asked(folder, manifest, beside, other, rois, n_draws[0])
    if len(found.all_rois) > MOST_ROIS:
        msg = (
            f"{folder}: {len(found.all_rois)} ROIs ({', '.join(found.all_rois)}) are too many to correct p for; choose "
            f"up to {MOST_ROIS} with --roi"
        )
        raise UsageError(msg)
    return found


def _opened(folder: Path | str) -> Path:
    place = Path(folder).expanduser().absolute()
    refuse_without_content(place)
    return place


def _rois_of(manifest: Manifest) -> dict[str, list[str]]:
    """The ROIs of each subject of whom there are trials that are evaluated, in the order of the manifest."""
    found: dict[str, list[str]] = {}
    for config in manifest.trials.values():
        if config.condition != "attention" and config.roi not in found.setdefault(config.subject, []):
            found[config.subject].append(config.roi)
    return {subject: rois for subject, rois in found.items() if rois}


def _chosen_rois(
    folder: Path, subject: str, there: Mapping[str, list[str]], chosen: Sequence[str], roi: str | Sequence[str] | None
) -> tuple[str, ...]:
    """A subject's ROIs: all, or those that were named, in the order that they were named in."""
    if roi is None:
        return tuple(there[subject])
    every = list(dict.fromkeys(name for one in chosen for name in there[one]))
    names = dict.fromkeys(the_choice("ROI", word, every) for word in words_of("roi", roi))
    for name in names:
        if name not in there[subject]:
            msg = (
                f"{folder}: has no {name} of {subject}, only {', '.join(there[subject])}; leave one of them out, or "
                f"build it: nsd-imagery build ROOT --subjects {subject} --roi {quoted(name)} --out {quoted(folder)}"
            )
            raise UsageError(msg)
    return tuple(names)


def _plain_manifest(across: Path, folder: Path, manifest: Manifest, rois: Mapping[str, tuple[str, ...]]) -> Manifest:
    """The manifest of a folder of fithrf betas, in which all is that is asked across runs.

    Raises:
        UsageError: It is of other betas, or lacks something; or it is not needed.
    """
    plain = BETA_VERSIONS[1]
    if manifest.recipe.beta_version == plain:
        msg = f"{folder}: is of {plain} itself; leave --across out"
        raise UsageError(msg)
    other = open_manifest(across)
    if other.recipe.beta_version != plain:
        msg = (
            f"{across}: is of {other.recipe.beta_version}, whose regularisation was chosen by the labels that are "
            f"tested; build one: nsd-imagery build ROOT --betas {plain} --out DIR"
        )
        raise UsageError(msg)
    there = {
        subject: {config.roi for config in other.trials.values() if config.subject == subject
                  and config.condition in ("vision", "imagery")}
        for subject in other.subjects
    }  # fmt: skip
    for subject, names in rois.items():
        one_of("subject", subject, there, where=across)
        for name in names:
            one_of(f"ROI of {subject}", name, sorted(there[subject]), where=across)
    return other
