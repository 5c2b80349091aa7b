"""Draw the floors of the package, top floor first: docs/images/floors.svg.

The import contract in pyproject.toml names the floors; the docstrings of folders describe them.

    python scripts/floors.py
"""

import ast
import tomllib
from pathlib import Path
from xml.sax.saxutils import escape

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "distilgrid"
PICTURE = ROOT / "docs" / "images" / "floors.svg"
WIDTH, HEIGHT, GAP, LEFT = 1000, 40, 8, 16
FILL, EDGE, INK, FAINT = "#f4f6f8", "#9aa5b1", "#1f2933", "#52606d"


def floors() -> list[list[str]]:
    """The folders of each floor, top floor first."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    layers = next(found["layers"] for found in contracts["contracts"] if found["id"] == "floors")
    return [[name.strip().removeprefix("distilgrid.") for name in layer.split("|")] for layer in layers]


def summary(folder: str) -> str:
    """The first line of a folder's docstring."""
    tree = ast.parse((PACKAGE / folder / "__init__.py").read_text(encoding="utf-8"))
    return (ast.get_docstring(tree) or "").partition("\n")[0]


def draw() -> str:
    """The picture as SVG."""
    rows = floors()
    height = 2 * LEFT + len(rows) * (HEIGHT + GAP) - GAP
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" '
        'font-family="sans-serif">',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
    ]
    for number, names in enumerate(rows):
        parts += _floor(names, top=LEFT + number * (HEIGHT + GAP))
    return "\n".join([*parts, "</svg>", ""])


def _floor(names: list[str], *, top: int) -> list[str]:
    """A floor: a box for each folder, side by side; a single folder adds its summary."""
    width = (WIDTH - 2 * LEFT - GAP * (len(names) - 1)) / len(names)
    parts = []
    for place, name in enumerate(names):
        left = LEFT + place * (width + GAP)
        said = f"  {summary(name)}" if len(names) == 1 else ""
        parts += [
            f'<rect x="{left:g}" y="{top}" width="{width:g}" height="{HEIGHT}" rx="4" fill="{FILL}" stroke="{EDGE}"/>',
            f'<text x="{left + 10:g}" y="{top + 25}" font-size="14" fill="{INK}">{escape(name)}'
            f'<tspan font-size="12" fill="{FAINT}" dx="10">{escape(said.strip())}</tspan></text>',
        ]
    return parts


if __name__ == "__main__":
    PICTURE.write_text(draw(), encoding="utf-8")
