"""Figures of an evaluation, for papers and notebooks: each function gives a matplotlib Figure.

    from nsd_imagery import plot
    figure = plot.identification("evaluation", subject="subj01")
    figure.savefig("identification.pdf")

They take what `evaluate` gives, its folder, `scores.parquet` or some scores; `brain` and `rdm` take arrays too. Figures
are a column wide (89 mm), `brain` two. A number that could not be estimated is not drawn, and the figure says why.
matplotlib is needed: it comes with the extra "evaluate".
"""

from nsd_imagery.evaluation.plot.accuracies import identification, imagery_runs
from nsd_imagery.evaluation.plot.answers import responses
from nsd_imagery.evaluation.plot.ceilings import ceiling
from nsd_imagery.evaluation.plot.curves import drift
from nsd_imagery.evaluation.plot.distances import rdm
from nsd_imagery.evaluation.plot.histograms import nulls, snr
from nsd_imagery.evaluation.plot.slices import brain
from nsd_imagery.evaluation.plot.transfers import transfer

__all__ = [
    "brain",
    "ceiling",
    "drift",
    "identification",
    "imagery_runs",
    "nulls",
    "rdm",
    "responses",
    "snr",
    "transfer",
]
