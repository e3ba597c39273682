import sys

from anogan.cli.main import main

sys.exit(main())
