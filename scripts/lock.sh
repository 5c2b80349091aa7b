#!/usr/bin/env bash
# Write requirements/lock.txt: every package of pyproject.toml and its extras, at one exact version, with hashes.
# requirements/runtimes.txt has what further runtimes need beyond it, resolved by hand: see runtimes.in.
#
#   scripts/lock.sh                        keep the versions that still fit, add or drop what pyproject.toml changed
#   scripts/lock.sh --upgrade              take the newest of everything
#   scripts/lock.sh --upgrade-package X    take the newest X
#
# torch itself is left out: it is installed apart (requirements/torch.txt), in the build that the machine wants. Its
# CUDA packages and the model package's sentence-transformers are left out too: see [tool.uv] in pyproject.toml.
# The versions are those for Python 3.11 on Linux; they are meant for 3.12 and macOS as well, so there are no markers.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly extras="workflow cluster dvc s3 mlflow mlflow-postgresql onnx translation search report model corpus dev"
readonly common=(--python-version 3.11 --python-platform linux --generate-hashes --no-emit-index-url
  --no-emit-find-links --custom-compile-command "make lock" --quiet "$@")

# shellcheck disable=SC2046,SC2086
uv pip compile pyproject.toml requirements/torch.txt $(printf -- '--extra %s ' $extras) --no-emit-package torch \
  "${common[@]}" --output-file requirements/lock.txt
uv pip compile requirements/runtimes.in --no-deps "${common[@]}" --output-file requirements/runtimes.txt

if grep -nE '^(nvidia|cuda|triton|sentence-transformers)|://|file:' requirements/lock.txt requirements/runtimes.txt; then
  echo "requirements/*.txt must not hold the lines above" >&2
  exit 1
fi
echo "requirements/lock.txt: $(grep -c '==' requirements/lock.txt) packages"
