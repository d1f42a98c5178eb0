"""From rows and beta files to a dataset folder that `load_dataset` opens."""
