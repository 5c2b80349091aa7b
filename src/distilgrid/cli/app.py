"""The `distilgrid` command: one sub-command per stage, and what looks after a grid.

Light: every import of torch, pandas or MLflow happens inside the command that needs it, so `--help` is instant.
"""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from distilgrid.cli import support
from distilgrid.cli.audit import cards, diff, papers, verify
from distilgrid.cli.features import features
from distilgrid.cli.init import init, where
from distilgrid.cli.measuring import benchmark, choose, export
from distilgrid.cli.options import (
    PARAMS_DEFAULT,
    RESULTS_DEFAULT,
    AugmentationName,
    Augmented,
    DataDir,
    Fraction,
    GridFiles,
    Kind,
    MethodName,
    Out,
    ParamsFiles,
    Results,
    Task,
    TeacherDir,
    TeacherDirs,
    TeacherGiven,
    TeacherName,
    Threads,
    Trace,
    Tried,
)
from distilgrid.cli.search import candidate, latency, search, supernet
from distilgrid.cli.tracking import register, track
from distilgrid.core.errors import UserError

app = typer.Typer(
    name="distilgrid",
    help="Compress language models reproducibly: from data and teachers to students, latencies and a report.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

app.command(epilog="Example: distilgrid init mygrid")(init)
app.command(epilog='Example: snakemake --cores 2 --configfile "$(distilgrid where grids/glue_mini.yaml)"')(where)


@app.command(epilog="Example: distilgrid plan --grid grids/glue_mini.yaml")
def plan(
    params: ParamsFiles = PARAMS_DEFAULT,
    grid: GridFiles = None,
    results: Results = RESULTS_DEFAULT,
    commands: Annotated[bool, typer.Option("--commands", help="Print each artefact's command instead.")] = False,
    check: Annotated[bool, typer.Option("--check", help="One line only; exit code 1 when something is left.")] = False,
    cores: Annotated[int | None, typer.Option("--cores", help="Cores for the estimate; default: all usable.")] = None,
) -> None:
    """List a grid's cells: done, stale and why, or to do, with an estimate of the work left."""
    from distilgrid.audit import status

    _, expanded = support.load_plan(params, grid)
    if commands:
        typer.echo("\n".join(status.command_lines(expanded, results=results, files=[*params, *(grid or [])])))
        return
    found = status.states(expanded, results=results)
    if not check:
        typer.echo(status.overview(found, expanded.params))
    typer.echo(status.time_left(found, expanded.params, results=results, cores=cores))
    if check and any(entry.state != "done" for entry in found):
        raise typer.Exit(1)


@app.command(epilog="Example: distilgrid prepare --task docs-topic --out work/data")
def prepare(task: Task, out: Out, params: ParamsFiles = PARAMS_DEFAULT, grid: GridFiles = None) -> None:
    """Read a task's rows, check them, split them, and write parquet files."""
    settings = support.load(params, grid)
    support.start(settings, threads=1, torch=False)
    from distilgrid.plan.params import data_folders
    from distilgrid.stages.prepare.run import prepare as stage
    from distilgrid.tasks.spec import find_task

    spec = find_task(task, settings.tasks)
    stage(task=task, spec=spec, data=settings.data, folders=data_folders(settings), out=out)


@app.command(
    epilog="Example: distilgrid finetune --task docs-topic --teacher minilm-l6 --data work/data --out work/teacher"
)
def finetune(
    task: Task,
    teacher: TeacherName,
    data: DataDir,
    out: Out,
    fraction: Fraction = 1.0,
    params: ParamsFiles = PARAMS_DEFAULT,
    grid: GridFiles = None,
    threads: Threads = None,
    profile: Trace = None,
) -> None:
    """Fine-tune a teacher on a task's labels."""
    settings = support.load(params, grid)
    chosen = support.named(settings.teachers, teacher, kind="teacher")
    support.start(settings, threads=threads, torch=True)
    from distilgrid.plan.params import effective_training
    from distilgrid.plan.shelf import teacher_labels
    from distilgrid.stages.finetune.run import finetune as stage

    metrics = stage(
        data=data,
        source=chosen.source,
        training=effective_training(settings, chosen.training),
        seed=chosen.seed,
        out=out,
        labels=teacher_labels(task, teacher, chosen.seed, fraction),
        fraction=fraction,
        subset_seed=settings.data.seed,
        execution=support.execution(settings, trace=profile),
    )
    support.say_score(metrics)


@app.command(
    epilog="Example: distilgrid augment --task docs-topic --teacher minilm-l6 --augmentation eda --data work/data "
    "--teacher-dir work/teacher --out work/augmented"
)
def augment(
    task: Task,
    teacher: TeacherName,
    augmentation: AugmentationName,
    data: DataDir,
    out: Out,
    fraction: Fraction = 1.0,
    teacher_dir: TeacherDir = None,
    params: ParamsFiles = PARAMS_DEFAULT,
    grid: GridFiles = None,
    threads: Threads = None,
) -> None:
    """Make new training rows of the old ones."""
    settings = support.load(params, grid)
    chosen = support.named(settings.augmentations, augmentation, kind="augmentation")
    max_length = support.teacher_length(settings, teacher)
    support.start(settings, threads=threads, torch=True)
    from distilgrid.plan.lent_texts import text_pool
    from distilgrid.stages.augment.run import augment as stage

    count = stage(
        data=data,
        settings=chosen,
        teacher=teacher_dir,
        max_length=max_length,
        fraction=fraction,
        subset_seed=settings.data.seed,
        out=out,
        labels={"task": task, "teacher": teacher, "augmentation": augmentation, "fraction": fraction},
        pool=text_pool(settings, task=task, augmentation=augmentation),
        device=settings.resources.device,
    )
    typer.echo(f"{count} augmented rows")


@app.command(
    epilog="Example: distilgrid record --task docs-topic --teacher minilm-l6 --kind logits --data work/data "
    "--teacher-dir work/teacher --out work/outputs"
)
def record(
    task: Task,
    teacher: TeacherName,
    data: DataDir,
    teacher_dir: TeacherGiven,
    out: Out,
    kind: Kind = "logits",
    augmented: Augmented = None,
    method: Annotated[
        str, typer.Option(help="For mixed-logits and view-logits: the method whose samples are meant.")
    ] = "tmkd",
    student: Annotated[
        str | None, typer.Option(help="Likewise, the student, if it has training settings of its own.")
    ] = None,
    fraction: Fraction = 1.0,
    params: ParamsFiles = PARAMS_DEFAULT,
    grid: GridFiles = None,
    threads: Threads = None,
) -> None:
    """Run a teacher once over training rows, or mixed samples of them, and keep its outputs for every student."""
    settings = support.load(params, grid)
    chosen = support.named(settings.teachers, teacher, kind="teacher")
    asked = support.signal(settings, kind, task=task, method=method, student=student)
    support.start(settings, threads=threads, torch=True)
    from distilgrid.plan.shelf import teacher_labels
    from distilgrid.stages.record.run import record as stage

    stage(
        signal=asked,
        data=data,
        teacher=teacher_dir,
        max_length=support.teacher_length(settings, teacher),
        out=out,
        labels={**teacher_labels(task, teacher, chosen.seed, fraction), "method": "record", "kind": kind},
        augmented=augmented,
        fraction=fraction,
        subset_seed=settings.data.seed,
    )


@app.command(
    epilog="Example: distilgrid distill --task docs-topic --teacher minilm-l6 --method kd --student minilm-l3 --seed 0 "
    "--data work/data --teacher-outputs work/outputs --out work/student"
)
def distill(
    task: Task,
    teacher: TeacherName,
    method: MethodName,
    student: Annotated[str, typer.Option(help="Name under `students` in the parameters.")],
    data: DataDir,
    out: Out,
    seed: Annotated[int, typer.Option(help="Seed of the student's training.")] = 0,
    augmentation: AugmentationName = "none",
    augmented: Augmented = None,
    fraction: Fraction = 1.0,
    teacher_dir: TeacherDirs = None,
    teacher_outputs: Annotated[
        list[Path] | None,
        typer.Option(help="A folder made by `record`, one more for augmented rows; without it the teacher runs live."),
    ] = None,
    mixed_outputs: Annotated[
        list[Path] | None, typer.Option(help="A folder made by `record --kind mixed-logits`; likewise.")
    ] = None,
    tried: Tried = None,
    search: Annotated[Path | None, typer.Option(help="The search that found the student's shape.")] = None,
    supernet: Annotated[Path | None, typer.Option(help="The supernet whose slice the student begins as.")] = None,
    params: ParamsFiles = PARAMS_DEFAULT,
    grid: GridFiles = None,
    threads: Threads = None,
    profile: Trace = None,
) -> None:
    """Train one student by one method: a cell of the grid."""
    settings = support.load(params, grid)
    names: dict[str, Any] = {"task": task, "teacher": teacher, "method": method, "student": student}
    names |= {"augmentation": augmentation, "fraction": fraction, "seed": seed}
    cell = support.cell(settings, names)
    support.start(settings, threads=threads, torch=True)
    from distilgrid.methods.teaching import Sources
    from distilgrid.stages.distill.run import Cell
    from distilgrid.stages.distill.run import distill as stage

    metrics = stage(
        cell=Cell(**cell),
        sources=Sources(
            data=data,
            augmented=augmented,
            teachers=tuple(teacher_dir or ()),
            teacher_outputs=tuple(teacher_outputs or ()),
            mixed_outputs=tuple(mixed_outputs or ()),
            tried=tuple(tried or ()),
            search=search,
            supernet=supernet,
        ),
        out=out,
        labels=names,
        execution=support.execution(settings, trace=profile),
    )
    support.say_score(metrics)


app.command(
    epilog="Example: distilgrid export --runtime onnxruntime-int8 --data work/data --model work/student --out work/int8"
)(export)
app.command(
    epilog="Example: distilgrid benchmark --device local-cpu --task docs-topic --teacher minilm-l6 "
    "--model work/teacher --model work/student --export work/int8 --out work/latency"
)(benchmark)
app.command(epilog="Example: distilgrid choose --task docs-topic --max-latency 10ms --max-loss 1.0")(choose)
app.command(
    epilog="Example: distilgrid latency --space grids/spaces/minilm.yaml --runtime onnxruntime-fp32 --out work/latency"
)(latency)
app.command(
    epilog="Example: distilgrid supernet --task sst2 --teacher minilm-l6 --search supernet --data work/data "
    "--teacher-dir work/teacher --teacher-outputs work/outputs --out work/supernet"
)(supernet)
app.command(
    epilog="Example: distilgrid search --task sst2 --teacher minilm-l6 --search kd-nas --data work/data "
    "--teacher-outputs work/outputs --grid grids/kd_nas_mini.yaml --out work/search"
)(search)
app.command(
    epilog="Example: distilgrid candidate --task sst2 --teacher minilm-l6 --search kd-nas --episode 0 --number 3 "
    "--data work/data --teacher-outputs work/outputs --grid grids/kd_nas_mini.yaml --out work/candidates/0-3"
)(candidate)
app.command(
    epilog="Example: distilgrid features --task docs-topic --teacher minilm-l6 --method tmkd --data work/data "
    "--teacher-dir work/teacher --out work/features"
)(features)


@app.command(epilog="Example: distilgrid report --grid grids/glue_mini.yaml --out work/report")
def report(
    out: Out, params: ParamsFiles = PARAMS_DEFAULT, grid: GridFiles = None, results: Results = RESULTS_DEFAULT
) -> None:
    """Write the tables, the plots and the page of a finished grid."""
    settings, expanded = support.load_plan(params, grid)
    support.start(settings, threads=1, torch=False)
    from distilgrid.stages.report.run import report as stage

    stage(plan=expanded, results=results, out=out)


@app.command(epilog="Example: distilgrid publish")
def publish(params: ParamsFiles = PARAMS_DEFAULT, grid: GridFiles = None, results: Results = RESULTS_DEFAULT) -> None:
    """Copy a finished grid's report to results/latest, where DVC and readers look for it."""
    _, expanded = support.load_plan(params, grid)
    from distilgrid.stages.report.publish import publish as copy

    typer.echo(f"report: {copy(plan=expanded, results=results)}")


app.command(epilog="Example: distilgrid track && make ui")(track)
app.command(epilog="Example: distilgrid register --task docs-topic --student minilm-l3")(register)
app.command(epilog="Example: distilgrid verify --cells 5")(verify)
app.command(epilog="Example: distilgrid diff grids/glue_mini.yaml results/reports/glue-mini-0123456789ab")(diff)

app.command(epilog="Example: distilgrid cards --grid grids/glue_mini.yaml")(cards)
app.command(epilog="Example: distilgrid papers")(papers)


@app.command(epilog="Example: distilgrid gc --grid grids/glue_mini.yaml --delete")
def gc(
    params: ParamsFiles = PARAMS_DEFAULT,
    grid: GridFiles = None,
    results: Results = RESULTS_DEFAULT,
    delete: Annotated[bool, typer.Option("--delete", help="Really delete; otherwise this is a dry run.")] = False,
) -> None:
    """Find artefacts that neither the parameters nor any given overlay names; delete them with --delete."""
    from distilgrid.audit.garbage import collect, remove

    unnamed = collect(params_files=params, overlays=grid or [], results=results)
    for folder, size in unnamed.items():
        typer.echo(f"{'deleting' if delete else 'would delete'} {folder} ({size / 2**20:.1f} MiB)")
    total = f"{len(unnamed)} folders, {sum(unnamed.values()) / 2**20:.1f} MiB"
    typer.echo(total + ("" if delete else "; --delete does it"))
    if delete:
        remove(unnamed, results=results)


@app.command(epilog="Example: distilgrid doctor")
def doctor() -> None:
    """Check this machine, and say what to fix."""
    from distilgrid.jobs.doctor import examine

    checks = examine()
    for check in checks:
        typer.echo(check.line())
    if any(check.state == "fail" for check in checks):
        raise typer.Exit(1)


@app.command(epilog="Example: distilgrid schema --out src/distilgrid/workflow/schemas/params.schema.json")
def schema(out: Annotated[Path | None, typer.Option(help="File to write; default: standard output.")] = None) -> None:
    """Write the JSON Schema of the parameters."""
    from distilgrid.plan.params import schema_text

    if out is None:
        typer.echo(schema_text(), nl=False)
    else:
        from distilgrid.core.artefacts import readable_os_errors

        with readable_os_errors(out):
            out.parent.mkdir(parents=True, exist_ok=True)
            out.write_text(schema_text(), encoding="utf-8")


def main() -> None:
    """Run the command line; bad input, a full disk or missing permissions end in one clear line and exit code 2."""
    from distilgrid.core.artefacts import readable_os_errors

    try:
        with readable_os_errors(RESULTS_DEFAULT):
            app()
    except UserError as error:
        sys.stderr.write(f"distilgrid: {error}\n")
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
