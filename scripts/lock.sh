#!/usr/bin/env bash
# Write requirements/lock.txt: every package of every extra in pyproject.toml, at one exact version, with hashes.
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

uv pip compile pyproject.toml requirements/torch.txt --all-extras \
  --python-version 3.11 --python-platform linux \
  --generate-hashes --no-emit-index-url --no-emit-find-links --no-emit-package torch \
  --custom-compile-command "make lock" --quiet "$@" --output-file requirements/lock.txt

if grep -nE '^(nvidia|cuda|triton|sentence-transformers)|://|file:' requirements/lock.txt; then
  echo "requirements/lock.txt must not hold the lines above" >&2
  exit 1
fi
echo "requirements/lock.txt: $(grep -c '==' requirements/lock.txt) packages"
