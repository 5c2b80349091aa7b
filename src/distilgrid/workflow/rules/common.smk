# What the rules share: the plan, and look-ups of an artefact by its path.
from distilgrid.audit.left import roots
from distilgrid.core.project import packaged
from distilgrid.stages.table import STAGES, TARGETS, stages_of
from distilgrid.workflow.opening import AGAIN, open_workflow, schema_file, start_jobs, work_left

RESULTS = "results"
ENVIRONMENT = str(packaged("environment.yml"))
PLAN, PARAMS_FILE = open_workflow(config, results=RESULTS, origin=ORIGIN, main=workflow.is_main_process)
LEFT = work_left(PLAN, results=RESULTS, main=workflow.is_main_process)


onstart:
    left = [planned(job.wildcards) for job in workflow.dag.needrun_jobs() if hasattr(job.wildcards, "key")]
    start_jobs(PLAN, results=RESULTS, main=workflow.is_main_process, left=left)


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
    """The files an artefact is made from. A path holds its recipe, so time stamps must not matter.

    A whole artefact does not wait for those of them that are left: Snakemake would make it again, too. One that is left
    does, and not as `ancient`: Snakemake looks no further behind a job that it runs."""
    artefact = planned(wildcards)
    own = LEFT.get(artefact.folder)
    whole = [source for source in artefact.each_input() if source.folder not in LEFT]
    if own is None:
        return [*map(ancient, files(whole))]
    made = [source for source in artefact.each_input() if source.folder in LEFT]
    return [*map(ancient, files(whole)), *files(made), *([str(AGAIN)] if own.state != "absent" else [])]


def outputs(stage):
    """A rule's output files, all in one folder whose name ends in the recipe key."""
    folder = f"{RESULTS}/{{stage,{stage.folder}}}/{{path}}-{{key}}"
    return [captioned(f"{folder}/{name}") for name in stage.files]


def exclusive(wildcards):
    """Whether a job needs the machine to itself: it measures latency."""
    artefact = planned(wildcards)
    return STAGES[artefact.stage].alone(artefact.recipe)


def threads_of(wildcards):
    """Threads of a job. A job that needs the machine to itself takes all cores of a local run. With `--jobs` instead of
    `--cores`, as on a cluster, Snakemake does not know them; there the profile asks for a whole node. The process that
    a node runs for such a job hears of all cores, but may not ask for more than the job has."""
    usual = PLAN.params.resources.threads
    if exclusive(wildcards):
        return (workflow.resource_settings.cores if workflow.is_main_process else None) or usual
    return usual if STAGES[planned(wildcards).stage].threads is None else 1


def bench_slot(wildcards):
    """One for a job that needs the machine to itself: profiles allow one at a time."""
    return int(exclusive(wildcards))


def gpu(wildcards):
    """The GPUs that a job holds, where the settings say that it runs on one: a cluster is asked for them. `auto` asks for
    none, because not all clusters have any."""
    artefact, resources = planned(wildcards), PLAN.params.resources
    if artefact.place == "asked" and resources.device != "cuda":
        return 0
    return STAGES[artefact.stage].gpus(artefact.place, device=resources.device, processes=resources.processes)


CAPTIONS = {"report.html": "Report", "table.csv": "Tables", "table.md": "Tables", "claims.json": "Claims"}
"""Files in `snakemake --report`, by category; their captions are workflow/captions/<name>.rst."""


def captioned(path):
    """An output with its place in Snakemake's own report, where it has one there."""
    name = path.rpartition("/")[2]
    if name not in CAPTIONS:
        return path
    return report(
        path, caption=f"../captions/{name}.rst", category=CAPTIONS[name], labels={"grid": "{path}", "file": name}
    )


def command(wildcards, threads):
    """The command that makes an artefact, with a frozen copy of the parameters."""
    artefact = planned(wildcards)
    own = f"--threads {min(threads, PLAN.params.resources.threads)} "
    given = own if STAGES[artefact.stage].threads is None else ""
    return f"{artefact.stage} {given}--params {PARAMS_FILE} {artefact.arguments(RESULTS)}"


def tracked():
    """The files that tracking waits for. It repeats when the report is made again."""
    found = files([PLAN.report])
    return found if PLAN.report.folder in LEFT else ancient(found)


def tracking_summary():
    """The file that says that this grid's cells are in MLflow."""
    return f"{RESULTS}/{PLAN.tracking}/summary.json"
