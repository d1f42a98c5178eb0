"""From dataset rows to torch."""
