"""Greedy decoding with a decoder that was exported to ONNX and runs in ONNX Runtime or OpenVINO.

This is a comparison only. All texts stay in the batch until the last one ends, as in `generate` of transformers.
"""

from __future__ import annotations

import os
import sys
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from report_gen.errors import UsageError
from report_gen.generation import CacheShape, find_cached_decoder
from report_gen.model import ReportModel

RUNTIMES = ("onnxruntime", "openvino")
"""Other software that runs an exported decoder."""

Floats = NDArray[np.float32]
_HIDDEN = np.finfo(np.float32).min
"""Added to the products of queries and keys that a text must not attend to."""
_HEAD_WIDTH = 8
"""`GroupQueryAttention` supports multiples of it."""


def import_runtime(runtime: str) -> None:
    """Import the packages of a runtime without their telemetry.

    Args:
        runtime: `onnxruntime` or `openvino`.

    Raises:
        UsageError: A package is missing.
    """
    # Only `send` uses the network. ONNX Runtime reports to Microsoft unless this variable is set before its import (its
    # Privacy.md), and the import of OpenVINO to Google Analytics unless the package that does so cannot be imported.
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    try:
        for name in (runtime, "onnx", "onnxscript"):
            __import__(name)
    except ImportError as error:
        raise UsageError(
            f"--against {runtime} needs {error.name}; install it with: pip install 'report-gen[bench]'"
        ) from error


def with_exported_decoder(model: ReportModel, runtime: str, folder: Path) -> ReportModel:
    """Replace the decoder of a model by one whose texts a runtime generates, and return the model.

    Args:
        model: The model, in float32 on the CPU.
        runtime: `onnxruntime` or `openvino`.
        folder: Folder for the exported decoder.

    Raises:
        UsageError: The decoder cannot be exported, or a package is missing.
    """
    from .decoder_export import export_step  # loads torch.onnx

    import_runtime(runtime)
    language_model = model.decoder.language_model
    decoder = find_cached_decoder(language_model)
    if decoder is None or model.conditioning.adds_cross_attention:
        raise UsageError(f"--against {runtime} is for GPT-2, Llama, Mistral and Qwen2 decoders without cross-attention")
    if runtime == "onnxruntime" and decoder.shape.head_width % _HEAD_WIDTH:
        raise UsageError(
            f"the decoder's heads are {decoder.shape.head_width} wide; ONNX Runtime needs a multiple of {_HEAD_WIDTH}"
        )
    own = Path(tempfile.mkdtemp(dir=folder))  # a session may read the weights from the file as long as it lives
    session: _Session
    if runtime == "onnxruntime":
        export_step(decoder, model.decoder.width, own / "step.onnx", "grouped")
        session = _OnnxRuntimeSession(own / "step.onnx", decoder.shape)
    else:
        export_step(decoder, model.decoder.width, own / "step.onnx", "concatenated")
        session = _OpenVinoSession(own / "step.onnx")
    model.decoder.language_model = _ExportedLanguageModel(language_model, session)
    return model


class _ExportedLanguageModel(nn.Module):
    """Takes the place of a language model of transformers: it has the parts that `generate_tokens` needs.

    Args:
        language_model: The language model that was exported.
        session: Computes its forward passes.
    """

    def __init__(self, language_model: Any, session: _Session) -> None:
        super().__init__()
        self.config = language_model.config
        self._embeddings: nn.Embedding = language_model.get_input_embeddings()
        self._session = session

    def get_input_embeddings(self) -> nn.Embedding:
        """Return the token embeddings."""
        return self._embeddings

    def generate(
        self,
        *,
        inputs_embeds: torch.Tensor,
        attention_mask: torch.Tensor,
        max_new_tokens: int,
        eos_token_id: int,
        suppress_tokens: Sequence[int],
        num_beams: int,
        **_: object,
    ) -> torch.Tensor:
        """Return the token ids [B,R] of texts; the arguments are those of `generate` of transformers.

        Raises:
            UsageError: A beam search is asked for.
        """
        if num_beams > 1:
            raise UsageError("an exported decoder decodes greedily only")
        embeddings = self._embeddings.weight.detach().numpy()
        texts, length, _width = inputs_embeds.shape
        tokens = np.full((texts, max_new_tokens), eos_token_id)
        ended = np.zeros(texts, dtype=bool)
        room = length + max_new_tokens
        logits = self._session.begin(inputs_embeds.numpy(), attention_mask.bool().numpy(), room)
        for column in range(max_new_tokens):
            logits[:, suppress_tokens] = -np.inf
            chosen = logits.argmax(-1)
            tokens[~ended, column] = chosen[~ended]
            ended |= chosen == eos_token_id
            if ended.all() or column + 1 == max_new_tokens:
                break
            logits = self._session.step(embeddings[chosen[:, None]])
        return torch.from_numpy(tokens)


class _Session(ABC):
    """Computes the forward passes of an exported decoder for B texts, whose keys and values it keeps."""

    def begin(self, embedded: Floats, visible: NDArray[np.bool_], room: int) -> Floats:
        """Compute what the texts begin with and return the logits [B,vocabulary] of the next tokens.

        Args:
            embedded: Token embeddings [B,P,D].
            visible: [B,P], False for padding.
            room: Largest number of tokens T of a text, P included.
        """
        self._filled = embedded.shape[1]
        counts = visible.cumsum(1)
        self._positions = counts[:, -1:].copy()  # [B,1], of the token after these
        bias = np.zeros((len(visible), 1, 1, room), dtype=np.float32)
        bias[:, 0, 0, : self._filled][~visible] = _HIDDEN
        return self._begin(embedded, np.maximum(counts - 1, 0), bias)

    def step(self, embedded: Floats) -> Floats:
        """Append one token [B,1,D] to every text and return the logits [B,vocabulary] of the next tokens."""
        self._filled += 1
        logits = self._step(embedded)
        self._positions += 1
        return logits

    @abstractmethod
    def _begin(self, embedded: Floats, positions: NDArray[np.int64], bias: Floats) -> Floats:
        """Compute P tokens at positions [B,P]; bias [B,1,1,T] hides padding."""

    @abstractmethod
    def _step(self, embedded: Floats) -> Floats:
        """Compute one token at `_positions`."""


class _OnnxRuntimeSession(_Session):
    """Keeps keys and values in arrays that are inputs and outputs at once, so that nothing is copied."""

    def __init__(self, path: Path, shape: CacheShape) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = torch.get_num_threads(), 1
        # Threads that wait busily after a call would take time from the other way.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self._vocabulary: int = self._session.get_outputs()[0].shape[1]
        self._shape = shape

    def _begin(self, embedded: Floats, positions: NDArray[np.int64], bias: Floats) -> Floats:
        texts, length, width = embedded.shape
        shape = self._shape
        sizes = (texts, shape.key_value_heads, bias.shape[3], shape.head_width)
        self._cache = [np.zeros(sizes, dtype=np.float32) for _ in range(2 * shape.layers)]
        self._last = np.full(texts, length - 1, dtype=np.int32)
        self._total = np.array(length, dtype=np.int32)
        self._logits = np.empty((texts, self._vocabulary), dtype=np.float32)
        self._embedded = np.empty((texts, 1, width), dtype=np.float32)
        # The operator is causal, so that all tokens of a text have the same bias.
        whole = np.repeat(bias[..., :length], length, axis=2)
        self._session.run_with_iobinding(self._bind(embedded, positions, whole))
        self._bias = bias
        self._binding = self._bind(self._embedded, self._positions, bias)
        return self._logits

    def _step(self, embedded: Floats) -> Floats:
        self._embedded[:] = embedded
        self._last += 1
        self._total += 1
        seen = np.ascontiguousarray(self._bias[..., : self._filled])  # the operator rejects a longer one
        _bind_input(self._binding, "bias", seen)
        self._session.run_with_iobinding(self._binding)
        return self._logits

    def _bind(self, embedded: Floats, positions: NDArray[np.int64], bias: Floats) -> Any:
        """Return a binding of all inputs and outputs to arrays. It does not keep the arrays alive."""
        binding = self._session.io_binding()
        inputs: dict[str, NDArray[Any]] = {"embedded": embedded, "positions": positions, "bias": bias}
        inputs |= {"last": self._last, "total": self._total}
        cache = dict(enumerate(self._cache))
        for name, array in {**inputs, **{f"past_{n}": array for n, array in cache.items()}}.items():
            _bind_input(binding, name, array)
        for name, array in {"logits": self._logits, **{f"present_{n}": array for n, array in cache.items()}}.items():
            binding.bind_output(name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)
        return binding


def _bind_input(binding: Any, name: str, array: NDArray[Any]) -> None:
    binding.bind_input(name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)


class _OpenVinoSession(_Session):
    """Keeps keys and values as variables of the model, as OpenVINO's own language models do."""

    def __init__(self, path: Path) -> None:
        import openvino
        from openvino._offline_transformations import apply_make_stateful_transformation

        core = openvino.Core()
        model = core.read_model(path)
        cache = [name for port in model.inputs for name in port.names if name.startswith("past_")]
        apply_make_stateful_transformation(model, {name: name.replace("past", "present") for name in cache})
        _start_empty(model)
        settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            # All arithmetic in float32: the default quantizes keys and values, and may compute in bfloat16.
            "INFERENCE_PRECISION_HINT": "f32",
            "KV_CACHE_PRECISION": "f32",
            "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0,
        }
        self._request = core.compile_model(model, "CPU", settings).create_infer_request()

    def _begin(self, embedded: Floats, positions: NDArray[np.int64], bias: Floats) -> Floats:
        self._request.reset_state()
        self._bias = bias
        self._order = np.arange(len(embedded), dtype=np.int32)
        length = embedded.shape[1]
        later = np.triu(np.full((length, length), _HIDDEN, dtype=np.float32), 1)
        return self._infer(embedded, positions, np.minimum(bias[..., :length], later))

    def _step(self, embedded: Floats) -> Floats:
        return self._infer(embedded, self._positions, np.ascontiguousarray(self._bias[..., : self._filled]))

    def _infer(self, embedded: Floats, positions: NDArray[np.int64], bias: Floats) -> Floats:
        inputs = {"embedded": embedded, "positions": positions, "bias": bias, "order": self._order}
        logits: Floats = self._request.infer(inputs, share_inputs=True, share_outputs=True)["logits"]
        return logits


def _start_empty(model: Any) -> None:
    """Let the variables of an OpenVINO model [B,heads,T,head_width] begin with B texts and T = 0."""
    from openvino import opset13 as ops

    whole = ops.shape_of(model.input("embedded"), output_type="i64")
    texts = ops.gather(whole, ops.constant(np.array([0], dtype=np.int64)), ops.constant(0))
    for operation in model.get_ops():
        if operation.get_type_name() == "ReadValue":
            heads, _, head_width = (
                dimension.min_length for dimension in list(operation.get_output_partial_shape(0))[1:]
            )
            rest = ops.constant(np.array([heads, 0, head_width], dtype=np.int64))
            empty = ops.broadcast(ops.constant(np.float32(0)), ops.concat([texts, rest], axis=0))
            operation.set_arguments([empty.output(0)])
    model.validate_nodes_and_infer_types()
