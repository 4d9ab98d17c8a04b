"""Writes or checks the OpenAPI document in a file: `python -m api.snapshot --write|--check FILE`."""

import sys

from api.app import describe
from http_common.snapshot import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], describe(), module="api.snapshot"))
