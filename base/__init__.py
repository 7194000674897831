"""What every room stands on: errors, parameters, command lines and files; it knows no section and no stage."""

__version__ = "0.4.0"
"""The version of the code, stored with everything that it writes."""
