"""Insights: what a commercial team reads. The page, its figures and its charts; no forecasting and no I/O here."""
