"""One HTML file that holds all it needs: the look and the parts of every page that this package writes."""
