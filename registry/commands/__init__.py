"""The commands of `python -m registry`: each reads a store, calls a function and shows what it returns."""
