"""Stage `candidate`: evaluate one candidate of a search, so that those of an episode can be jobs side by side."""

import logging

from distilgrid.core.artefacts import write_json
from distilgrid.core.planned import KNOWN
from distilgrid.search.loop import Finding, search
from distilgrid.stages.job import Job
from distilgrid.stages.search.declare import SearchStageSettings
from distilgrid.stages.search.run import check_limits
from distilgrid.stages.search.searching import Searching

log = logging.getLogger(__name__)


def candidate(settings: SearchStageSettings, job: Job) -> Finding | None:
    """Evaluate a candidate; the search itself and later episodes find the result next to it.

    The search runs again up to this episode, which costs seconds: results of earlier candidates are known, and the
    controller proposes the same ones. It may propose fewer than are planned: the last candidates are then None.

    Raises:
        UserError: when no architecture keeps to the latency limit.
    """
    searching = Searching(settings, job, job.out.parent / KNOWN)
    check_limits(searching)
    controller, width = searching.controller, settings.search.candidates
    counts = {"episodes": settings.episode, "candidates": width}
    search(controller, examine=searching.examine, judge=searching.judge, **counts)
    asked = controller.ask(width)
    if settings.number >= len(asked):
        log.info("nothing to try: the controller proposed %d of %d candidates in this episode", len(asked), width)
        write_json(job.folder / "finding.json", {"architecture": None})
        return None
    architecture = asked[settings.number]
    (finding,) = searching.examine([architecture])
    facts = {"architecture": architecture.as_dict(), "name": architecture.name}
    write_json(job.folder / "finding.json", facts | vars(searching.judge(architecture, finding)) | vars(finding))
    return finding
