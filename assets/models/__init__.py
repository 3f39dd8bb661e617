"""The models layer of the graph."""
