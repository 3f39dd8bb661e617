"""Measurements: public data sets with published scores, and timings. Figures are printed, never asserted in tests."""
