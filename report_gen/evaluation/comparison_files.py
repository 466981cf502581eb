"""Write a comparison of models as files: JSON for programs, CSV with one row per report and model, a page."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from report_gen import __version__
from report_gen.evaluation.comparison import ComparedModel, Comparison, ReferenceScores
from report_gen.evaluation.comparison_page import render_comparison_page
from report_gen.evaluation.results import evaluation_to_dict
from report_gen.files import write_atomically
from report_gen.metrics import SCHEMA_VERSION, Score, write_csv_of_models


def write_comparison(comparison: Comparison, path: Path) -> None:
    """Write the evaluation of each model with its drafts, and their comparison, as JSON.

    Raises:
        OutputError: The file cannot be written.
    """
    document = {
        "schema_version": SCHEMA_VERSION,
        "version": __version__,
        "models": {model.name: _describe_model(model) for model in comparison.models},
        "failed": [asdict(one) for one in comparison.failed],
        "comparison": {
            "studies": [row["study_id"] for row in comparison.studies],
            "notices": comparison.notices,
            **{part.against: _describe_scores(part) for part in comparison.parts},
        },
    }
    write_atomically(path, json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_comparison_csv(comparison: Comparison, path: Path) -> None:
    """Write one row per report and model as CSV; nothing without reports.

    Raises:
        OutputError: The file cannot be written.
    """
    if comparison.reports:
        write_csv_of_models(comparison.reports, path)


def write_comparison_page(comparison: Comparison, path: Path) -> None:
    """Write one self-contained HTML page. It quotes reports and shows images.

    Raises:
        OutputError: The file cannot be written.
    """
    write_atomically(path, render_comparison_page(comparison))


def _describe_model(model: ComparedModel) -> dict[str, Any]:
    """Convert the evaluation of a model to JSON values, with what the model is and what it cost."""
    run = model.run
    return {
        **evaluation_to_dict(model.evaluation),
        "model": {
            "name": run.info.name,
            "given": run.given,
            "revision": run.info.revision,
            "weights_sha256": run.info.weights_sha256,
            "device": run.info.device,
            "dtype": run.info.dtype,
            "endpoint": run.info.remote,
            "finding_schema": run.info.schema.name,
            "decoding": run.decoding.options(),
        },
        "seconds_per_study": run.seconds,
        "peak_resident_bytes": run.memory.resident,
        "resident_bytes_before": run.memory.before,
        "peak_gpu_bytes": run.memory.gpu,
        "normal_share": model.normal_share,
        "refused_studies": {name: str(error) for name, error in run.drafts.refused.items()},
        "studies_without_draft": {name: str(error) for name, error in run.drafts.without_draft.items()},
    }


def _describe_scores(part: ReferenceScores) -> dict[str, Any]:
    return {
        "scores": list(part.names),
        "models": _describe_systems(part.models),
        "baselines": _describe_systems(part.baselines),
        "uses_images": {
            name: {control: part.uses_images(name, control) for control in controls}
            for name, controls in part.image_use.items()
        },
        "pairs": [asdict(pair) for pair in part.pairs],
    }


def _describe_systems(systems: Mapping[str, Mapping[str, Score]]) -> dict[str, dict[str, Any]]:
    return {system: {name: asdict(score) for name, score in scores.items()} for system, scores in systems.items()}
