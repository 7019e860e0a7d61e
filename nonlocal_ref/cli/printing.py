"""Text on stdout, whatever characters the terminal has."""

import sys


def show(text: object) -> None:
    """Print; where the terminal has no such character, a question mark: no formula is worth a crash."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    print(str(text).encode(encoding, "replace").decode(encoding))
