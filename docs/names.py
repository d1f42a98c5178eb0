"""Public names by what they are for, verbs in the order of a day's work, and further types of the reference."""

from typing import Final

GROUPS: Final = {
    "From a release to a folder": (
        "synth", "Signal", "download", "quickstart", "index", "read_index", "rois", "find_roi",
        "plan", "preview", "build", "info",
    ),
    "Rows": ("load", "arrays", "average_repeats", "restrict", "to_nifti", "NSDImagery", "ImageryTrial"),
    "Models": ("torch_view", "NSDImageryDataset", "NSDPreprocessor", "embed", "ClipCache", "export"),
    "Is it right, and what does it say?": ("verify", "evaluate", "compare", "report", "plot"),
    "Sharing": ("push", "pull", "terms_accepted", "accept_terms"),
}  # fmt: skip

VERBS: Final = (
    "synth", "quickstart", "download", "index", "rois", "build", "info", "verify", "evaluate",
    "compare", "report", "embed", "export", "push", "pull", "terms",
)  # fmt: skip

TYPES: Final = (
    "nsd_imagery.dataset.plan.Plan",
    "nsd_imagery.dataset.preview.Preview",
    "nsd_imagery.dataset.preview.PieceState",
    "nsd_imagery.dataset.recipe.Recipe",
    "nsd_imagery.dataset.recipe.RecipeOptions",
    "nsd_imagery.dataset.state.BuildState",
    "nsd_imagery.rows.builder.NSDImageryConfig",
    "nsd_imagery.rows.restrict.Restricted",
    "nsd_imagery.rows.as_arrays.Arrays",
    "nsd_imagery.volumes.roi.Roi",
    "nsd_imagery.learn.view.TorchView",
    "nsd_imagery.learn.contract.Preprocessor",
    "nsd_imagery.learn.contract.RowPreprocessor",
    "nsd_imagery.checks.report.Report",
    "nsd_imagery.checks.finding.Finding",
    "nsd_imagery.evaluation.run.Evaluation",
    "nsd_imagery.evaluation.score.Score",
    "nsd_imagery.evaluation.headline.Line",
    "nsd_imagery.interop.export.Exported",
    "nsd_imagery.share.send.Pushed",
    "nsd_imagery.sources.source.Source",
)
"""What is reached by a function's return value or as an argument, and has no name of its own in `nsd_imagery`."""
