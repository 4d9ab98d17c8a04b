#!/usr/bin/env bash
# `make check`: format, lint, types, contracts and generated files. Runs every check; exits with 1 when one fails.
set -uo pipefail
cd "$(dirname "$0")/../.."
PATH="$PWD/.venv/bin:$PATH"
failed=()

run() {
  local name=$1
  shift
  local output
  if output=$("$@" 2>&1); then
    echo "ok      $name"
  else
    echo "FAILED  $name"
    echo "$output"
    failed+=("$name")
  fi
}

run "format" ruff format --check .
run "lint" ruff check .
run "types" mypy
run "imports" lint-imports
run "migrations" python -m core.db check
run "openapi" python -m api.snapshot --check docs/openapi.json
run "openapi of serving" python -m serving.snapshot --check docs/openapi-serving.json
[ -x deploy/check.sh ] && run "deploy files" deploy/check.sh

if [ ${#failed[@]} -gt 0 ]; then
  echo
  echo "Failed: ${failed[*]}"
  exit 1
fi
