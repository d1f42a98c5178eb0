"""From the public bucket into a root: which files, what is there already, and how each is proven."""
