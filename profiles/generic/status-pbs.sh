#!/usr/bin/env bash
# Tell Snakemake how a PBS job is: running, success or failed. PBS keeps finished jobs for a while (`qstat -x`).
set -euo pipefail
said=$(qstat -x -f "$1" 2>/dev/null || true)
state=$(sed -n 's/^ *job_state = //p' <<<"$said")
ended=$(sed -n 's/^ *Exit_status = //p' <<<"$said")
case "$state" in
  F) [[ $ended == 0 ]] && echo success || echo failed ;;
  "") echo failed ;; # no longer known: the files that it should have made decide
  *) echo running ;;
esac
