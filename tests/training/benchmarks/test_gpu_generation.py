"""The benchmark for GPUs, on the CPU: the same tokens and drafts in every way."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from report_gen_training.bench.generation import draw_studies
from report_gen_training.benchmarks.gpu_generation import gpu_cases, main

from report_gen.errors import UsageError


def test_every_way_has_the_same_results_in_float32(tmp_path: Path) -> None:
    cases = gpu_cases(draw_studies(tmp_path, 1), torch.device("cpu"), [1], sizes=False)
    compared = []
    for case in cases:
        if "float32" in case.name:
            assert case.theirs is not None
            assert case.ours() == case.theirs()
            compared.append(case.name.split("beside ")[1])
    assert compared == ["the loop without graphs", "generate", "compiled generate", "generate"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_missing_gpu_is_named() -> None:
    with pytest.raises(UsageError, match="'cuda' is not available"):
        main([])
