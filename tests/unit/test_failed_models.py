"""Models that learned nothing, in tables."""

from pathlib import Path

from tests.unit.fabricate import fabricate_results

from distilgrid.reporting.collect import collect
from distilgrid.reporting.findings import find
from distilgrid.reporting.tables import main_table


def test_models_that_learned_nothing_are_counted_and_never_the_best(tmp_path: Path) -> None:
    plan, results = fabricate_results(tmp_path)
    collected = collect(plan, results)
    best = {m.artefact.labels["method"] for m in collected.models if "kd" in m.artefact.labels["method"]}
    for model in collected.models:
        if model.artefact.labels["method"] in best and model.seed == 0:
            model.metrics["constant"] = True
    table = main_table(find(collected), "reviews")
    place = next(n for n, column in enumerate(table.columns) if column.title == "accuracy")
    noted = [row[place].note for row in table.rows if row[0].text in best]
    assert noted and all(note.endswith(", 1 constant") for note in noted)
    assert not any(row[place].best for row in table.rows if row[0].text in best)
    assert "Constant: models that answer the same for every row; they learned nothing." in table.caption
