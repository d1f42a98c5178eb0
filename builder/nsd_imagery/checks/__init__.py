"""Checks that labels and numbers are right."""
