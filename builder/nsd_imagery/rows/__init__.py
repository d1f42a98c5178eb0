"""Rows of a folder, an index or a root: loaded, chosen, averaged, restricted, put back into a volume."""
