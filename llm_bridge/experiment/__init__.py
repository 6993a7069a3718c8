"""Experiments from a configuration to tables: texts, start, methods, evaluation; each stage is a folder."""

from llm_bridge.experiment.causes import run_causes
from llm_bridge.experiment.configuration import (
    ClosedSets,
    Comparisons,
    Corpus,
    Experiment,
    Grid,
    Learned,
    Likelihood,
    Model,
    Sampling,
)
from llm_bridge.experiment.evaluate import agreement
from llm_bridge.experiment.pipeline import run_experiment, run_grid, stages_of
from llm_bridge.experiment.reading import CONFIGS, read_experiment
from llm_bridge.experiment.start import quietly
from nashlab.parallel import Cluster, in_parallel

__all__ = [
    "CONFIGS",
    "ClosedSets",
    "Cluster",
    "Comparisons",
    "Corpus",
    "Experiment",
    "Grid",
    "Learned",
    "Likelihood",
    "Model",
    "Sampling",
    "agreement",
    "in_parallel",
    "quietly",
    "read_experiment",
    "run_causes",
    "run_experiment",
    "run_grid",
    "stages_of",
]
