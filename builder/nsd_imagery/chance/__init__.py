"""Numbers alone: orders that the experiment could have had, evidence against them, and variances out of pairs."""
