"""Figures of scores and maps, for papers, notebooks and the page. matplotlib is loaded when one is drawn."""
