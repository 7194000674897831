"""Checks all that a store says about itself against what is in its files."""
