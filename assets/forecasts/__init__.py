"""The forecasts layer of the graph."""
