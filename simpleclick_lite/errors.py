"""The exceptions that end in one sentence: the command line prints it, no traceback."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator


class InputError(ValueError):
    """Something the user gave cannot be used; the message names it and says what to do."""


class FetchError(InputError):
    """Something could not be fetched or unpacked; nothing incomplete was left in its place."""


@contextlib.contextmanager
def named_errors(name: str) -> Iterator[None]:
    """Name the file in whatever its reader raises.

    Raises:
        InputError: the block raised something; a missing package or memory is raised as it was.
    """
    try:
        yield
    except (InputError, ModuleNotFoundError, MemoryError):
        raise
    except Exception as error:  # files can be broken in ways that no reader foresees
        raise InputError(f"{name} cannot be read ({type(error).__name__}: {error})") from error
