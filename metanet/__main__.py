"""`python -m metanet` is the `metanet` command."""

import sys

from metanet.cli import main

if __name__ == "__main__":
    sys.exit(main())
