"""Published keyword systems, each a file of parameters that is run through a chain of its own."""
