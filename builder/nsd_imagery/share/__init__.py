"""The hub: a verified folder to a private repo, and back."""
