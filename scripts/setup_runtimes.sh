#!/usr/bin/env bash
# Add OpenVINO, ExecuTorch and LiteRT to an environment that scripts/setup_env.sh made: scripts/setup_runtimes.sh [VENV].
set -euo pipefail
cd "$(dirname "$0")/.."

readonly venv="${1:-.venv}"
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1
"$venv/bin/python" -m pip install -qq --no-deps --require-hashes -r requirements/runtimes.txt
