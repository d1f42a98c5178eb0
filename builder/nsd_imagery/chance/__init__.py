"""Numbers alone: orders that the experiment could have had, and evidence against them."""
