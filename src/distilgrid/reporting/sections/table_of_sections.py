"""What a page shows below a task's main table, as far as the grid has it: curves, annealing, gaps, features."""

from dataclasses import dataclass, field

from distilgrid.augmentation.report import augmented_tables
from distilgrid.benchmark.report import latency_tables
from distilgrid.methods.annealing_kd.report import annealing_plots
from distilgrid.methods.kd.report import tuning_tables
from distilgrid.methods.mixkd.report import gap_table
from distilgrid.reporting.findings import Findings
from distilgrid.reporting.plots import Plot
from distilgrid.reporting.sections.ablation_views import ablation_plot, ablation_table, task_ablations
from distilgrid.reporting.sections.limited_data import data_plots
from distilgrid.reporting.sections.selection_table import selection_table
from distilgrid.reporting.table import Table
from distilgrid.search.report.estimates import estimates_table
from distilgrid.search.report.plots import searches_plots
from distilgrid.search.report.table import searches_table
from distilgrid.stages.features.plot import features_plots


@dataclass(frozen=True)
class Extra:
    """A part of a task's section.

    Attributes:
        title: its heading.
        tables: shown first.
        plots: side by side where there is room.
        texts: whether the tables hold long texts, which need line breaks.
    """

    title: str
    tables: list[Table] = field(default_factory=list)
    plots: list[Plot] = field(default_factory=list)
    texts: bool = False


def task_extras(findings: Findings, task: str) -> list[Extra]:
    """The parts of a task that have anything to show."""
    gap, selection = gap_table(findings, task), selection_table(findings, task)
    found = [
        Extra("With fewer training rows", plots=data_plots(findings, task)),
        *(
            Extra(
                f"Ablation of {ablation.objective}: {ablation.setting}",
                [ablation_table(findings, task, ablation)],
                [ablation_plot(findings, task, ablation)],
            )
            for ablation in task_ablations(findings, task)
        ),
        Extra("Annealed training", plots=annealing_plots(findings, task)),
        Extra("Selection of checkpoints", [selection] if selection else []),
        Extra("Search of alpha and temperature", tuning_tables(findings, task)),
        Extra("Architecture search", _searches(findings, task), searches_plots(findings, task)),
        Extra("Latency", latency_tables(findings, task)),
        Extra("Generalisation gap", [gap] if gap else []),
        Extra("What the teacher makes of the rows", plots=features_plots(findings, task)),
        Extra("Augmented rows", augmented_tables(findings, task), texts=True),
    ]
    return [extra for extra in found if extra.tables or extra.plots]


def number_tables(findings: Findings) -> list[Table]:
    """The tables of numbers among these, for files that hold tables only."""
    tables: list[Table] = []
    for task in findings.tasks:
        tables += [ablation_table(findings, task, ablation) for ablation in task_ablations(findings, task)]
        tables += [table for table in (selection_table(findings, task), gap_table(findings, task)) if table]
        tables += [*tuning_tables(findings, task), *_searches(findings, task), *latency_tables(findings, task)]
    return tables


def _searches(findings: Findings, task: str) -> list[Table]:
    return [table for table in (searches_table(findings, task), estimates_table(findings, task)) if table]
