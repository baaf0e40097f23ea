"""`python -m fairdream` is the command `fairdream`."""

import sys

from fairdream.cli.app import main

if __name__ == "__main__":
    sys.exit(main())
