"""Skew between the splits of a store, and drift between two stores."""
