"""Take a figure out of a report as a self-contained SVG file, for the documentation.

python scripts/figure.py results/latest/report.html                      # lists the figures
python scripts/figure.py results/latest/report.html "sst2: training curves" curves.svg
"""

import re
import sys
from pathlib import Path

ALONE = 'style="color: #1f2328; background: #ffffff; font-family: sans-serif"'


def figures(page: str) -> dict[str, str]:
    """The page's figures by their labels."""
    found = re.finditer(r'<svg role="img" aria-label="([^"]*)".*?</svg>', page, flags=re.DOTALL)
    return {match[1]: match[0] for match in found}


def main() -> None:
    """List the labels, or write one figure."""
    known = figures(Path(sys.argv[1]).read_text(encoding="utf-8"))
    if len(sys.argv) < 4:
        print("\n".join(known))
    elif sys.argv[2] not in known:
        sys.exit(f"{sys.argv[1]}: no figure '{sys.argv[2]}'; it has: {', '.join(known)}")
    else:
        Path(sys.argv[3]).write_text(known[sys.argv[2]].replace("<svg ", f"<svg {ALONE} ", 1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
