"""Contracts and the checks that are built from them. Empty on purpose: import the modules themselves."""
