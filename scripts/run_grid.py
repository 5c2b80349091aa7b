"""Run targets of the workflow, or continue what a killed run left: `scripts/run_grid.py --cores 2 -- all`.

Everything on the command line is Snakemake's. Snakemake locks the folder it works in; a run that was killed outright
leaves that lock behind. Here it goes when no living Snakemake works in the folder; the profile makes the unfinished
files again (`rerun-incomplete`), so the same command simply continues.
"""

import os
import subprocess
import sys
from pathlib import Path

SNAKEMAKE = [sys.executable, "-m", "snakemake"]


def running_here(folder: Path) -> int | None:
    """The process id of a Snakemake whose working directory is `folder`; None when there is none."""
    import psutil

    for process in psutil.process_iter(["cwd", "cmdline"]):
        words = process.info["cmdline"] or []
        if process.info["cwd"] == str(folder) and any(Path(word).name == "snakemake" for word in words[:3]):
            return int(process.pid)
    return None


def clear_stale_lock(folder: Path) -> None:
    """Remove the lock of a killed run; end the program with one line when that run still lives."""
    if not any(folder.glob(".snakemake/locks/*")):
        return
    pid = running_here(folder)
    if pid is not None:
        sys.exit(f"A run is under way in {folder} (process {pid}): wait for it, or end it and try again")
    subprocess.run([*SNAKEMAKE, "--unlock", "--cores", "1", "--quiet"], check=True)


def main() -> None:
    """Replace this process by Snakemake, so that signals reach it directly."""
    clear_stale_lock(Path.cwd())
    os.execv(SNAKEMAKE[0], [*SNAKEMAKE, *sys.argv[1:]])


if __name__ == "__main__":
    main()
