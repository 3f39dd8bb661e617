"""The gold layer of the graph."""
