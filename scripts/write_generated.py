"""Write the files that are generated from the table of stages: dvc.yaml and docs/stages.md."""

from pathlib import Path

from distilgrid.workflow.generated import dvc_text, stages_text

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    """Write both files."""
    for name, text in {"dvc.yaml": dvc_text(), "docs/stages.md": stages_text()}.items():
        (ROOT / name).write_text(text, encoding="utf-8")
        print(f"{name}: written")


if __name__ == "__main__":
    main()
