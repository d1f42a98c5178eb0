"""What `evaluation.json` says of how numbers were got, and of what."""

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any, Final

from nsd_imagery.chance import orders
from nsd_imagery.dataset.manifest import Manifest
from nsd_imagery.evaluation import geometry, identifications
from nsd_imagery.evaluation.asked import Asked
from nsd_imagery.evaluation.comparisons import POOLED_SETS, PRIMARY
from nsd_imagery.evaluation.headline import Line
from nsd_imagery.evaluation.runs import digest
from nsd_imagery.evaluation.transfer.inputs import File, Inputs, OfRoi

FORMAT_NAME: Final = "nsd-imagery evaluation"
FORMAT_VERSION: Final = 1

_VERSIONS: Final = ("nsd-imagery", "numpy", "scipy")

PROTOCOL: Final = {
    "data": "betas z-scored by voxel within each run over its valid trials (ddof 1); a run whose schedule is not eight "
    "of each of six targets, or with fewer than 36 valid trials, is left out; vision is labelled by what was seen",
    "signal": "pairs of one target against pairs of two targets as far apart in time, more than two trials, without a "
    "quadratic trend; sums over runs and voxels, then the ratio and its root",
    "chance": "labels of the tested run redrawn by orders of six targets, eight each, none twice in a row; p = (1 + "
    "number of draws as large) / (1 + draws); subjects share each draw",
    "group": "sum of z over subjects and sets, draw by draw: fixed effects, some subject in some set",
    "corrected": "p_corrected: the greatest z of the ROIs of `family`, within a measure; nothing is corrected across "
    "measures, and all but the primary test is secondary",
    "intervals": "95 %; accuracy of a subject Wilson, of as many trials as are independent by the draws; signal a "
    "jackknife over blocks of trials; a group t over subjects with what the schedule makes them share",
    "letter": "in imagery the letter on the screen is the target's own; what is letter-free takes vision's target "
    "coefficients beside the letter's",
    "transfer": "ridge from perception's train split, repeats averaged, z-scored by session, no tested picture among "
    "them; rows tested are z-scored by their own run or session; ranked by centred cosine; retrieval at 1 among the 6 "
    "targets of a set, or the 12 of both, is `identification`; pictures are told apart from all of shared1000 in the "
    "folder; predictions are centred by the mean of each condition's",
}


def about(
    what: Asked, left_out: Mapping[str, Any], lines: Sequence[Line], transfer: Mapping[str, Any]
) -> dict[str, Any]:
    """What an evaluation was of and how, with its headline; no time, host or path.

    Args:
        what: What was asked for.
        left_out: Runs, by subject and ROI, with reasons.
        lines: The headline.
        transfer: What was learnt from, by subject and ROI.
    """
    primary = PRIMARY.comparison
    return {
        "format": FORMAT_NAME,
        "format_version": FORMAT_VERSION,
        "versions": {name: version(name) for name in _VERSIONS},
        "dataset": _of(what.manifest),
        "across": None if what.across_manifest is None else _of(what.across_manifest),
        "subjects": list(what.rois),
        "rois": {subject: list(rois) for subject, rois in what.rois.items()},
        "draws": what.draws,
        "inputs": _inputs(what.inputs),
        "transfer": transfer if what.inputs.embeddings else {},
        "seeds": {"orders": orders.SEED, "relabelings": geometry.SEED, "subsets": identifications.SEED},
        "protocol": PROTOCOL,
        "primary": {
            "measure": PRIMARY.measure,
            "roi": PRIMARY.roi,
            "stimulus_sets": list(POOLED_SETS),
            "train": primary.train,
            "test": primary.test,
            "how": primary.how,
            "unit": primary.unit,
        },
        "left_out": left_out,
        "headline": [_line(line) for line in lines],
    }


def _of(manifest: Manifest) -> dict[str, Any]:
    return {"digest": digest(manifest), "synthetic": manifest.synthetic, "recipe": manifest.recipe.options}


def _inputs(inputs: Inputs) -> dict[str, Any]:
    files = {"predictions": inputs.predictions, "targets": inputs.targets}
    return {
        "test_sets": list(inputs.test_sets) if inputs.tests else [],
        "embeddings": None if inputs.embeddings is None else inputs.embeddings.said,
        **{name: None if file is None else file.digest for name, file in files.items()},
        "partial": inputs.partial,
        "decoders": _by_subject(inputs.decoders),
        "preprocessors": _by_subject(inputs.preprocessors),
    }


def _by_subject(files: Mapping[OfRoi, File]) -> dict[str, str]:
    return {f"{subject} {roi}": file.digest for (subject, roi), file in files.items()}


def _line(line: Line) -> dict[str, Any]:
    shown = ("measure", "value", "low", "high", "chance", "p", "p_corrected", "n_subjects", "reason")
    scores = [{name: getattr(score, name) for name in shown} for score in line.scores]
    return {"number": line.number, "name": line.name, "roi": line.roi, "text": line.text, "scores": scores}
