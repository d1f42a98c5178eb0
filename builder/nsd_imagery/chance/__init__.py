"""Numbers alone: orders that the experiment could have had, likeness of trials, evidence, intervals, pair variances."""
