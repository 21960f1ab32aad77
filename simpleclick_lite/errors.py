"""The exception for a user's mistake: the command line prints its sentence, no traceback."""


class InputError(ValueError):
    """Something the user gave cannot be used; the message names it and says what to do."""
