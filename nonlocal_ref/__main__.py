"""``python -m nonlocal_ref`` is ``nonlocal-ref``."""

import sys

from nonlocal_ref.cli import main

if __name__ == "__main__":
    sys.exit(main())
