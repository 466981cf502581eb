"""8-bit weights: how far results are from those of float32, by hand and for a whole draft."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import LoraConfig, inject_adapter_in_model
from torch import nn

from report_gen.drafting import Drafter
from report_gen.errors import CheckpointError, UsageError
from report_gen.generation import Decoding, generate_tokens
from report_gen.imaging import read_study
from report_gen.model import int8_linear, quantize_linear_layers
from report_gen.model.gpt2 import TransposedLinear
from report_gen.model.int8_linear import Int8Linear
from tests.builders import LLAMA, noise_image, tiny_checkpoint, tiny_config, tiny_model, write_png


def test_weights_are_rounded_to_multiples_of_a_scale_per_output() -> None:
    """Inputs 1 and 0 are exact. The scales are 1 and 0.01; 0.0149 is the 1.49-fold of its scale, so it becomes 1."""
    layer = Int8Linear(torch.tensor([[127.0, -3.4], [0.0149, 1.27]]), torch.tensor([0.5, 0.0]))
    outputs = layer(torch.tensor([[1.0, 0.0]])), layer(torch.tensor([[0.0, 1.0]]))
    assert torch.allclose(torch.cat(outputs), torch.tensor([[127.5, 0.01], [-2.5, 1.27]]), rtol=1e-3)


def test_an_output_without_weights_is_its_bias() -> None:
    layer = Int8Linear(torch.zeros(2, 3), torch.tensor([1.0, -2.0]))
    assert torch.allclose(layer(torch.randn(4, 5, 3)), torch.tensor([1.0, -2.0]).expand(4, 5, 2))
    assert torch.allclose(Int8Linear(torch.zeros(2, 3), None)(torch.randn(1, 3)), torch.zeros(1, 2))


@pytest.mark.parametrize("bias", [True, False])
def test_results_are_close_to_float32(bias: bool) -> None:
    torch.manual_seed(0)
    exact = nn.Linear(256, 512, bias=bias)
    inputs = torch.randn(7, 256)
    difference = Int8Linear(exact.weight, exact.bias)(inputs) - exact(inputs)
    assert difference.std() < 0.02 * exact(inputs).std()
    assert difference.std() > 0


def test_linear_layers_at_any_depth_are_replaced() -> None:
    torch.manual_seed(0)
    transposed = TransposedLinear(8, 4)
    module = nn.Sequential(nn.Linear(6, 8), nn.Sequential(nn.GELU(), transposed), nn.LayerNorm(4))
    inputs = torch.randn(3, 6)
    expected = module(inputs)
    quantize_linear_layers(module)
    assert isinstance(module[0], Int8Linear)
    assert isinstance(module[1][1], Int8Linear)
    assert isinstance(module[2], nn.LayerNorm)
    assert torch.allclose(module(inputs), expected, atol=0.15)


@pytest.mark.parametrize(
    ("transformer", "adapter"), [(None, False), (LLAMA, False), (LLAMA, True)], ids=["gpt2", "llama", "adapter"]
)
def test_a_rounded_decoder_gives_similar_probabilities(transformer: dict[str, Any] | None, adapter: bool) -> None:
    model = tiny_model(tiny_config(decoder={"width": 32, "layers": 2, "heads": 2, "transformer": transformer}))
    if adapter:
        lora = LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False)
        inject_adapter_in_model(lora, model.decoder.language_model)
        model.eval()
    arguments: dict[str, Any] = {
        "visual_tokens": torch.randn(2, 3, 32, generator=torch.Generator().manual_seed(0)),
        "visual_mask": torch.ones(2, 3, dtype=torch.bool),
        "prompt_ids": [[9], [9, 10]],
        "decoding": Decoding(max_tokens=1),
    }
    before = [text.probabilities[0] for text in generate_tokens(model, **arguments)]
    quantize_linear_layers(model.decoder.language_model)
    after = [text.probabilities[0] for text in generate_tokens(model, **arguments)]
    assert after == pytest.approx(before, rel=0.1)
    assert after != before


def test_drafts_with_8_bit_weights_say_so(tmp_path: Path) -> None:
    image = write_png(tmp_path / "chest.png", np.zeros((40, 30), np.uint8))
    drafter = Drafter.from_checkpoint(tiny_checkpoint(), device="cpu", dtype="int8")
    provenance = drafter.draft(read_study(image), decoding=Decoding(max_tokens=5)).provenance
    assert provenance is not None
    assert provenance.decoding["dtype"] == "int8"


def test_a_gpu_has_no_8_bit_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("report_gen.drafting.checkpoint_generator.resolve_device", lambda _: torch.device("cuda"))
    with pytest.raises(UsageError, match="dtype int8 is for the CPU only"):
        Drafter.from_checkpoint(tiny_checkpoint(), dtype="int8")


def test_a_build_without_8_bit_layers_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(int8_linear, "_is_available", lambda: False)
    with pytest.raises(UsageError, match=r"dtype int8: this build .* choose auto, float32 or bfloat16"):
        Drafter.from_checkpoint(tiny_checkpoint(), device="cpu", dtype="int8")


def test_inputs_that_are_not_finite_give_outputs_that_are_not() -> None:
    layer = Int8Linear(torch.ones(2, 3), None)
    for number in (math.nan, math.inf):
        outputs = layer(torch.tensor([[1.0, number, 1.0], [1.0, 1.0, 1.0]]))
        assert outputs.shape == (2, 2)
        assert not outputs[0].isfinite().any()


def test_weights_that_overflow_in_8_bits_end_in_a_sentence(tmp_path: Path) -> None:
    model = tiny_model()
    with torch.no_grad():
        weight = model.decoder.language_model.transformer.h[0].mlp.c_fc.weight
        weight.copy_(weight.sign() * 1e38)
    drafter = Drafter.from_checkpoint(replace(tiny_checkpoint(), model=model), dtype="int8")
    write_png(tmp_path / "chest.png", noise_image(0))
    fault = r"values that are not finite; use another checkpoint, or dtype float32 instead of int8$"
    with pytest.raises(CheckpointError, match=fault):
        drafter.draft(read_study(tmp_path / "chest.png"), decoding=Decoding(max_tokens=4))


def test_quantized_weights_are_not_called_float32() -> None:
    checkpoint = tiny_checkpoint()
    Drafter.from_checkpoint(checkpoint, dtype="int8")
    with pytest.raises(UsageError, match=r"^the decoder has 8-bit weights, and dtype is auto; choose int8 or reload"):
        Drafter.from_checkpoint(checkpoint)
    assert Drafter.from_checkpoint(checkpoint, dtype="int8").info.dtype == "int8"
