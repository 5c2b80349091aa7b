"""Stage `candidate`: find out about one candidate of a search, so that those of an episode can be jobs side by side."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from distilgrid.core.artefacts import write_json, writing
from distilgrid.core.errors import UserError
from distilgrid.plan.recipes import candidate_recipe
from distilgrid.search.loop import Finding, search
from distilgrid.stages.search.run import check_candidates, check_limits
from distilgrid.stages.search.searching import Searching


def candidate(
    searching: Searching, *, episode: int, number: int, after: Sequence[Path], out: Path, labels: Mapping[str, Any]
) -> Finding:
    """Find out about a candidate; the search itself, and later episodes, take it from `searching.known`.

    The search is gone through again up to this episode, which costs seconds: what earlier candidates came to is known,
    and the controller proposes the same ones.

    Args:
        searching: the search.
        episode: counted from 0.
        number: of the candidate among those of the episode, counted from 0.
        after: the candidates of the episode before.
        out: where `finding.json` goes.
        labels: what `run.json` says about it.

    Raises:
        UserError: when there is no such episode or candidate, an input is missing or damaged, or no architecture keeps
            to the latency limit.
    """
    settings = searching.settings
    for option, value, count in (("episode", episode, settings.episodes), ("number", number, settings.candidates)):
        if not 0 <= value < count:
            raise UserError(f"--{option} {value}: the search has {count}, counted from 0")
    check_candidates(after)
    recipe = candidate_recipe(searching.recipe, episode=episode, number=number)
    with writing(out, recipe=recipe, labels=labels) as folder:
        check_limits(searching)
        controller, counts = searching.controller, {"episodes": episode, "candidates": settings.candidates}
        search(controller, examine=searching.examine, judge=searching.judge, **counts)
        architecture = controller.ask(settings.candidates)[number]
        (finding,) = searching.examine([architecture])
        reward, quality = searching.judge(finding)
        facts = {
            "architecture": architecture.as_dict(),
            "name": architecture.name,
            "reward": reward,
            "quality": quality,
        }
        write_json(folder / "finding.json", facts | vars(finding))
        return finding
