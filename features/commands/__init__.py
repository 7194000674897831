"""The commands of `python -m features`: each reads a store, calls a function and shows what it returns."""
