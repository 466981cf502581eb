"""Decoders exported to ONNX Runtime and OpenVINO, against the decoding loop of this package."""

from __future__ import annotations

import copy
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from report_gen_training.bench.exported_decoders import RUNTIMES, import_runtime, with_exported_decoder

from report_gen.errors import UsageError
from report_gen.generation import Decoding, generate_tokens
from report_gen.model import ReportModel
from report_gen.tokenizer import EOS_ID
from tests.builders import replace_output
from tests.generation.test_cached_generation import LLAMA, OTHERS, build

DECODERS: dict[str, dict[str, Any] | None] = {
    "gpt2": None,
    "llama": LLAMA | {"model_type": "llama"},  # with fewer keys than queries
}
TEXTS, K = 5, 4


@pytest.fixture(params=RUNTIMES)
def runtime(request: pytest.FixtureRequest) -> str:
    if not all(map(find_spec, (request.param, "onnx", "onnxscript"))):  # an import would start the telemetry
        pytest.skip("needs ONNX Runtime and OpenVINO: pip install report-gen[bench]")
    return str(request.param)


def end_often(model: ReportModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the end token the most probable one now and then, so that texts end at different times."""
    forward = model.decoder.language_model.get_output_embeddings().forward

    def with_frequent_end(hidden: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = forward(hidden)
        end = logits.amax(-1, keepdim=True) + logits[..., 50:51] - logits.std(-1, keepdim=True)
        return torch.where(torch.arange(logits.shape[-1]) == EOS_ID, end, logits)

    replace_output(model, monkeypatch, with_frequent_end)


def generate(model: ReportModel, texts: int, **arguments: Any) -> list[tuple[int, ...]]:
    """Return the tokens of texts with prompts of different length and, but for the last one, missing visual tokens."""
    visual_mask = torch.ones(TEXTS, K, dtype=torch.bool)
    visual_mask[torch.arange(TEXTS - 1), torch.arange(TEXTS - 1)] = False
    inputs: dict[str, Any] = {
        "visual_tokens": torch.randn(TEXTS, K, 32, generator=torch.Generator().manual_seed(0))[-texts:],
        "visual_mask": visual_mask[-texts:],
        "prompt_ids": [[10 + text] * (1 + text % 3) for text in range(TEXTS)][-texts:],
    }
    arguments = {"decoding": Decoding(max_tokens=30), "with_probabilities": False} | arguments
    return [text.token_ids for text in generate_tokens(model, **inputs, **arguments)]


@pytest.mark.parametrize("decoder", DECODERS)
def test_the_tokens_are_equal(decoder: str, runtime: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    model = build(DECODERS[decoder])
    end_often(model, monkeypatch)
    exported = with_exported_decoder(copy.deepcopy(model), runtime, tmp_path)
    texts = generate(model, TEXTS)
    assert len({len(text) for text in texts}) > 2
    assert generate(exported, TEXTS) == texts
    assert generate(exported, 1) == generate(model, 1) == texts[-1:]
    limits = {"max_report_tokens": [3, 30, 7, 30, 30]}
    assert generate(exported, TEXTS, **limits) == generate(model, TEXTS, **limits)
    with pytest.raises(UsageError, match="an exported decoder decodes greedily only"):
        generate(exported, 1, decoding=Decoding(method="beam"))


def test_other_decoders_are_not_exported(runtime: str, tmp_path: Path) -> None:
    for model in (build(OTHERS["opt"]), build(conditioning="cross_attention")):
        with pytest.raises(UsageError, match=f"--against {runtime} is for GPT-2, Llama, Mistral and Qwen2 decoders"):
            with_exported_decoder(model, runtime, tmp_path)


@pytest.mark.parametrize("runtime", ["onnxruntime"], indirect=True)
def test_onnx_runtime_has_no_heads_of_any_width(runtime: str, tmp_path: Path) -> None:
    model = build(LLAMA | {"model_type": "llama", "num_attention_heads": 8})
    with pytest.raises(UsageError, match="heads are 4 wide; ONNX Runtime needs a multiple of 8"):
        with_exported_decoder(model, runtime, tmp_path)


@pytest.mark.parametrize("missing", ["openvino", "onnxscript"])
def test_a_missing_package(missing: str, runtime: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import_runtime(runtime)
    monkeypatch.setitem(sys.modules, missing, None)
    if missing not in ("onnxscript", runtime):
        import_runtime(runtime)
        return
    message = rf"--against {runtime} needs {missing}; install it with: pip install 'report-gen\[bench\]'"
    with pytest.raises(UsageError, match=message):
        import_runtime(runtime)


def test_a_runtime_asks_for_no_host(runtime: str) -> None:
    """The import of OpenVINO alone connects to Google Analytics."""
    code = f"""
import os, sys, threading
asked = []
sys.addaudithook(lambda event, _: asked.append(event) if event in ("socket.getaddrinfo", "socket.connect") else None)
from report_gen_training.bench.exported_decoders import import_runtime
import_runtime({runtime!r})
for thread in threading.enumerate()[1:]:
    thread.join(timeout=2)
print(asked, os.environ["ORT_DISABLE_TELEMETRY"])
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert run.stdout == "[] 1\n"
