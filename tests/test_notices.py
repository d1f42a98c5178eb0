"""Warnings that come with work that is repeated name whom and what they are about, and are given once."""

import logging
from pathlib import Path

import pytest

import nsd_imagery


@pytest.mark.slow
def test_voxels_that_a_dataset_lacks_are_told_once_a_subject_and_roi(
    release: Path, dataset: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            for subject in ("subj01", "subj02"):
                voxels = nsd_imagery.load(dataset, f"{subject}-voxels", "train")
                for condition in ("imagery", "vision"):
                    trials = nsd_imagery.load(dataset, f"{subject}-{condition}", "test")
                    for roi in ("V3", "prf-visualrois"):
                        nsd_imagery.restrict(trials, voxels, roi, release)
    expected = [(subject, roi) for subject in ("subj01", "subj02") for roi in ("V3", "prf-visualrois")]
    begins = [message.partition(" voxels of ") for message in caplog.messages]
    assert [(head.split(":")[0], tail) for head, _, tail in begins] == [
        (subject, f"ROI {roi} are not in the dataset") for subject, roi in expected
    ]
