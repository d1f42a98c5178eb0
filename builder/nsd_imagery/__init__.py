"""NSD-Imagery, from a researcher's own copy of the data to a Hugging Face dataset.

    import nsd_imagery
    nsd_imagery.synth("release")                    # a small synthetic release, to try things on
    nsd_imagery.build("release", "./nsd_imagery")   # the dataset folder
    datasets.load_dataset("./nsd_imagery", "subj01-imagery")

Names are loaded when they are first used, so that importing the package costs nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nsd_imagery import errors as errors
    from nsd_imagery import plot as plot
    from nsd_imagery.checks.run import verify as verify
    from nsd_imagery.consent import accept_terms as accept_terms
    from nsd_imagery.consent import terms_accepted as terms_accepted
    from nsd_imagery.dataset.build import build as build
    from nsd_imagery.dataset.build import preview as preview
    from nsd_imagery.dataset.info import info as info
    from nsd_imagery.dataset.plan import plan as plan
    from nsd_imagery.evaluation.report.write import report as report
    from nsd_imagery.evaluation.run import evaluate as evaluate
    from nsd_imagery.evaluation.side_by_side.compare import compare as compare
    from nsd_imagery.evaluation.transfer.decoder import Decoder as Decoder
    from nsd_imagery.evaluation.transfer.ridge import fit_decoder as fit_decoder
    from nsd_imagery.evaluation.transfer.space import space_of as space_of
    from nsd_imagery.evaluation.transfer.training import training_rows as training_rows
    from nsd_imagery.fetch.run import download as download
    from nsd_imagery.imagery_trial import ImageryTrial as ImageryTrial
    from nsd_imagery.interop.export import export as export
    from nsd_imagery.learn.clip_cache import ClipCache as ClipCache
    from nsd_imagery.learn.dataset import NSDImageryDataset as NSDImageryDataset
    from nsd_imagery.learn.embed import embed as embed
    from nsd_imagery.learn.preprocess import NSDPreprocessor as NSDPreprocessor
    from nsd_imagery.learn.view import torch_view as torch_view
    from nsd_imagery.rows.as_arrays import arrays as arrays
    from nsd_imagery.rows.average import average_repeats as average_repeats
    from nsd_imagery.rows.builder import NSDImagery as NSDImagery
    from nsd_imagery.rows.load import load as load
    from nsd_imagery.rows.maps import to_nifti as to_nifti
    from nsd_imagery.rows.restrict import restrict as restrict
    from nsd_imagery.share.receive import pull as pull
    from nsd_imagery.share.send import push as push
    from nsd_imagery.sources.root import find_roi as find_roi
    from nsd_imagery.sources.root import rois as rois
    from nsd_imagery.synthetic import Signal as Signal
    from nsd_imagery.synthetic import synth as synth
    from nsd_imagery.trials import index as index
    from nsd_imagery.trials import read_index as read_index

_HOMES = {
    "ClipCache": "nsd_imagery.learn.clip_cache",
    "Decoder": "nsd_imagery.evaluation.transfer.decoder",
    "ImageryTrial": "nsd_imagery.imagery_trial",
    "NSDImagery": "nsd_imagery.rows.builder",
    "NSDImageryDataset": "nsd_imagery.learn.dataset",
    "NSDPreprocessor": "nsd_imagery.learn.preprocess",
    "Signal": "nsd_imagery.synthetic",
    "accept_terms": "nsd_imagery.consent",
    "arrays": "nsd_imagery.rows.as_arrays",
    "average_repeats": "nsd_imagery.rows.average",
    "build": "nsd_imagery.dataset.build",
    "compare": "nsd_imagery.evaluation.side_by_side.compare",
    "download": "nsd_imagery.fetch.run",
    "embed": "nsd_imagery.learn.embed",
    "evaluate": "nsd_imagery.evaluation.run",
    "export": "nsd_imagery.interop.export",
    "find_roi": "nsd_imagery.sources.root",
    "fit_decoder": "nsd_imagery.evaluation.transfer.ridge",
    "index": "nsd_imagery.trials",
    "info": "nsd_imagery.dataset.info",
    "load": "nsd_imagery.rows.load",
    "plan": "nsd_imagery.dataset.plan",
    "preview": "nsd_imagery.dataset.build",
    "pull": "nsd_imagery.share.receive",
    "push": "nsd_imagery.share.send",
    "read_index": "nsd_imagery.trials",
    "report": "nsd_imagery.evaluation.report.write",
    "restrict": "nsd_imagery.rows.restrict",
    "rois": "nsd_imagery.sources.root",
    "space_of": "nsd_imagery.evaluation.transfer.space",
    "synth": "nsd_imagery.synthetic",
    "terms_accepted": "nsd_imagery.consent",
    "to_nifti": "nsd_imagery.rows.maps",
    "training_rows": "nsd_imagery.evaluation.transfer.training",
    "torch_view": "nsd_imagery.learn.view",
    "verify": "nsd_imagery.checks.run",
}

_MODULES = ("errors", "plot")

__all__ = sorted([*_HOMES, *_MODULES])  # pyright: ignore[reportUnsupportedDunderAll] (it reads the imports above)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("nsd-imagery")
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)


def __dir__() -> list[str]:
    return ["__version__", *__all__]
