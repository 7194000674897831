"""The one exception that a user's input can cause; every command prints it as a single line."""


class DataError(ValueError):
    """Something given to the program is not usable: the message says what came, what was expected and what to do."""
