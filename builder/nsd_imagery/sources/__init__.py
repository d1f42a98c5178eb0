"""Where files are and what happened in the scanner: rows out of a tree, and a writer of synthetic trees."""
