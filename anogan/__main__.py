"""Run the command line by `python -m anogan`."""

import sys

from anogan.cli.main import main

sys.exit(main())
