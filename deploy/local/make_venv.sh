#!/usr/bin/env bash
# Create .venv with the first Python 3.11 or later that is found. PYTHON=path chooses one.
set -euo pipefail

for candidate in ${PYTHON:-python3.11 python3.12 python3.13 python3.14 python3}; do
  if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    echo "Creating .venv with $("$candidate" --version)"
    "$candidate" -m venv .venv || {
      rm -rf .venv
      echo "$candidate has no venv module. Install it: on Debian and Ubuntu, apt install python3-venv" >&2
      exit 1
    }
    exit 0
  fi
done
echo "Darkroom needs Python 3.11 or later; none of these is: ${PYTHON:-python3.11 python3.12 python3.13 python3.14 python3}" >&2
exit 1
