# What the rules share: the plan, and look-ups of an artefact by its path.
from distilgrid.core.planned import (
    AUGMENT_FILES,
    BENCHMARK_FILES,
    CANDIDATE_FILES,
    DATA_FILES,
    EXPORT_FILES,
    FEATURES_FILES,
    LATENCY_FILES,
    MODEL_FILES,
    RECORD_FILES,
    REPORT_FILES,
    SEARCH_FILES,
    SUPERNET_FILES,
)
from distilgrid.core.project import packaged
from distilgrid.workflow.opening import open_workflow, start_jobs

RESULTS = "results"
ENVIRONMENT = str(packaged("environment.yml"))
PLAN, PARAMS_FILE = open_workflow(config, results=RESULTS, origin=workflow.configfiles, main=workflow.is_main_process)


onstart:
    start_jobs(PLAN, results=RESULTS, main=workflow.is_main_process)


wildcard_constraints:
    key="[0-9a-f]{12}",


def planned(wildcards):
    """The artefact behind a rule's wildcards."""
    folder = f"{wildcards.stage}/{wildcards.path}-{wildcards.key}"
    if folder not in PLAN.artefacts:
        raise WorkflowError(f"{folder} is not part of this grid; `distilgrid plan` lists what is")
    return PLAN.artefacts[folder]


def files(artefacts):
    """The files of artefacts."""
    return [f"{RESULTS}/{a.folder}/{name}" for a in artefacts for name in a.files]


def inputs(wildcards):
    """The files an artefact is made from. A path holds its recipe, so time stamps must not matter."""
    return [ancient(path) for path in files(planned(wildcards).each_input())]


def outputs(folder, names):
    """A rule's output files, all in one folder whose name ends in the recipe key."""
    return [f"{RESULTS}/{{stage,{folder}}}/{{path}}-{{key}}/{name}" for name in names]


def whole_machine():
    """Threads of a job beside which nothing may run: all cores of a local run. With `--jobs` instead of `--cores`, as on a
    cluster, Snakemake knows none; there the profile asks for a node without others. The process that a node runs for
    such a job is told of all its cores, but may not ask for more than the job has."""
    cores = workflow.resource_settings.cores if workflow.is_main_process else None
    return cores or PLAN.params.resources.threads


CAPTIONS = {"report.html": "Report", "table.csv": "Tables", "table.md": "Tables", "claims.json": "Claims"}
"""What `snakemake --report` shows of a grid's report, by category; the captions are workflow/captions/<name>.rst."""


def captioned(path):
    """An output with its place in Snakemake's own report, where it has one there."""
    name = path.rpartition("/")[2]
    if name not in CAPTIONS:
        return path
    return report(
        path, caption=f"../captions/{name}.rst", category=CAPTIONS[name], labels={"grid": "{path}", "file": name}
    )


def arguments(wildcards):
    """The command's options for an artefact, with a frozen copy of the parameters."""
    return f"--params {PARAMS_FILE} {planned(wildcards).arguments(RESULTS)}"


def measures(wildcards):
    """Whether a search, or the job of a candidate, times architectures itself, so that nothing else may run beside it."""
    recipe = planned(wildcards).recipe
    return recipe.get("search", recipe)["latency"]["source"] == "measured"


def tracking_summary():
    """The file that says that this grid's cells are in MLflow."""
    return f"{RESULTS}/{PLAN.tracking}/summary.json"
