#!/usr/bin/env bash
# Static checks of the Dockerfile, the compose files and the workflows. Needs no network.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="$PWD/.venv/bin:$PATH"

hadolint Dockerfile
yamllint --strict --config-file .yamllint.yml docker-compose.yml deploy/compose.*.yml deploy/prometheus .github/workflows .yamllint.yml
check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml deploy/compose.*.yml
check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
actionlint
# Of Debian's package prometheus; no package of Python has it.
if command -v promtool > /dev/null; then
  promtool check rules deploy/prometheus/alerts.yml
  promtool test rules deploy/prometheus/alerts_test.yml
  promtool check config --syntax-only deploy/prometheus/prometheus.yml
fi
