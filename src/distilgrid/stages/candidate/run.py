"""Stage `candidate`: evaluate one candidate of a search, so that those of an episode can be jobs side by side."""

from distilgrid.core.artefacts import write_json
from distilgrid.core.planned import KNOWN
from distilgrid.search.loop import Finding, search
from distilgrid.stages.job import Job
from distilgrid.stages.search.declare import SearchStageSettings
from distilgrid.stages.search.run import check_limits
from distilgrid.stages.search.searching import Searching


def candidate(settings: SearchStageSettings, job: Job) -> Finding:
    """Evaluate a candidate; the search itself and later episodes find the result next to it.

    The search runs again up to this episode, which costs seconds: results of earlier candidates are known, and the
    controller proposes the same ones.

    Raises:
        UserError: when no architecture keeps to the latency limit.
    """
    searching = Searching(settings, job, job.out.parent / KNOWN)
    check_limits(searching)
    controller, width = searching.controller, settings.search.candidates
    counts = {"episodes": settings.episode, "candidates": width}
    search(controller, examine=searching.examine, judge=searching.judge, **counts)
    architecture = controller.ask(width)[settings.number]
    (finding,) = searching.examine([architecture])
    facts = {"architecture": architecture.as_dict(), "name": architecture.name}
    write_json(job.folder / "finding.json", facts | vars(searching.judge(architecture, finding)) | vars(finding))
    return finding
