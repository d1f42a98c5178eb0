"""Do the betas of a session agree with its labels? Measured against rival labellings, and judged."""
