"""Text on stdout, whatever characters it takes and whether or not anybody reads it.

A stdout that cannot be written to stops no command: its files are written, and the exit code says the rest.
"""

import os
import sys

_troubles: list[str] = []


def show(*lines: object) -> None:
    """Print; where the terminal has no such character, a question mark: no formula is worth a crash."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    text = "\n".join(map(str, lines))
    try:
        print(text.encode(encoding, "replace").decode(encoding), flush=True)
    except OSError as error:
        _give_up(error)


def ended(code: int) -> int:
    """The exit code of a command, once all it printed is on its way; 2 instead of 0 where that failed."""
    try:
        if sys.stdout is not None:  # closed by whoever started the program
            sys.stdout.flush()
    except OSError as error:
        _give_up(error)
    if not _troubles:
        return code
    print(f"nonlocal-ref: error: cannot write to stdout: {_troubles[0]}", file=sys.stderr)
    _troubles.clear()
    return code or 2


def _give_up(error: OSError) -> None:
    """Nothing more goes to stdout, nor does what waits in its buffer, which would fail again when Python ends.

    A reader who left, as head does, has what he wanted: that is no error.
    """
    if not isinstance(error, BrokenPipeError):
        _troubles.append(str(error.strerror))
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
