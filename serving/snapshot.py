"""Writes or checks the OpenAPI document in a file: `python -m serving.snapshot --write|--check FILE`."""

import sys

from http_common.snapshot import main
from serving.app import describe

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], describe(), module="serving.snapshot"))
