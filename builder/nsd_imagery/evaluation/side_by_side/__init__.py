"""Two evaluations side by side: which scores belong together, how they differ, and with what interval."""
