"""The door: ``python -m sftkd_core COMMAND``; see ``--help``."""

import sys

from sftkd_core.cli.parser import main

if __name__ == "__main__":
    sys.exit(main())
