"""Tiny random vision-language models with processors, which tests write and load offline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModelForImageTextToText,
    Blip2Processor,
    BlipImageProcessor,
    CLIPImageProcessor,
    Gemma3ImageProcessor,
    Gemma3Processor,
    LlavaProcessor,
    PaliGemmaProcessor,
    PreTrainedTokenizerFast,
    Qwen2_5_VLProcessor,
    Qwen2VLImageProcessor,
    Qwen2VLVideoProcessor,
    SiglipImageProcessor,
    VisionEncoderDecoderModel,
    ViTImageProcessor,
)

from tests.pretrained_models import byte_level_bpe

CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}IMAGE{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""The template of ChatML, with `IMAGE` where a model has its token of an image."""

_IMAGE, _PAD, _END = "<image>", "<|endoftext|>", "<|im_end|>"
_SIZE = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
_TEXT = {**_SIZE, "tie_word_embeddings": False}
_VISION = {**_SIZE, "image_size": 28, "patch_size": 14}


def write_llava(folder: Path, *, template: str | None = CHAT_TEMPLATE, **text: Any) -> Path:
    """Write a LLaVA: a CLIP of 4 patches, and a Llama."""
    tokenizer = _tokenizer(image_token=_IMAGE)
    processor = LlavaProcessor(
        image_processor=CLIPImageProcessor(size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28}),
        tokenizer=tokenizer,
        patch_size=14,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=None if template is None else template.replace("IMAGE", "<image>"),
    )
    config = {
        "model_type": "llava",
        "text_config": {"model_type": "llama", **_TEXT, **_vocabulary(tokenizer), **text},
        "vision_config": {"model_type": "clip_vision_model", **_VISION},
        "image_token_index": tokenizer.convert_tokens_to_ids("<image>"),
    }
    return _write(folder, config, processor)


def write_gemma3(folder: Path) -> Path:
    """Write a Gemma 3: a SigLIP of 16 patches, of which 4 tokens are made, and a Gemma with a sliding window."""
    names = {"boi_token": "<start_of_image>", "eoi_token": "<end_of_image>", "image_token": "<image_soft_token>"}
    tokenizer = _tokenizer(**names)
    size = {"height": 56, "width": 56}
    processor = Gemma3Processor(
        image_processor=Gemma3ImageProcessor(size=size, image_seq_length=4),
        tokenizer=tokenizer,
        image_seq_length=4,
        chat_template=CHAT_TEMPLATE.replace("IMAGE", "<start_of_image>"),
    )
    text = {**_TEXT, "head_dim": 16, "num_key_value_heads": 1, "sliding_window": 16, **_vocabulary(tokenizer)}
    config = {
        "model_type": "gemma3",
        "tie_word_embeddings": False,
        "text_config": {"model_type": "gemma3_text", **text},
        "vision_config": {"model_type": "siglip_vision_model", **_VISION, "image_size": 56},
        "mm_tokens_per_image": 4,
        "image_token_index": tokenizer.convert_tokens_to_ids("<image_soft_token>"),
        "boi_token_index": tokenizer.convert_tokens_to_ids("<start_of_image>"),
        "eoi_token_index": tokenizer.convert_tokens_to_ids("<end_of_image>"),
    }
    return _write(folder, config, processor)


def write_paligemma(folder: Path) -> Path:
    """Write a PaliGemma, which has no chat template: a SigLIP of 4 patches, and a Gemma."""
    tokenizer = _tokenizer(image_token=_IMAGE)
    image_processor = SiglipImageProcessor(size={"height": 28, "width": 28})
    image_processor.image_seq_length = 4
    processor = PaliGemmaProcessor(image_processor=image_processor, tokenizer=tokenizer)
    text = {**_TEXT, "head_dim": 16, "num_key_value_heads": 1, **_vocabulary(tokenizer)}
    config = {
        "model_type": "paligemma",
        "tie_word_embeddings": False,
        "text_config": {"model_type": "gemma", **text},
        "vision_config": {"model_type": "siglip_vision_model", **_VISION, "projection_dim": 32},
        "image_token_index": tokenizer.convert_tokens_to_ids("<image>"),
        "projection_dim": 32,
        "hidden_size": 32,
    }
    return _write(folder, config, processor)


def write_blip2(folder: Path) -> Path:
    """Write a BLIP-2, which has no chat template and no place for a second image: a ViT of 4 patches, and an OPT."""
    tokenizer = _tokenizer()
    processor = Blip2Processor(
        image_processor=BlipImageProcessor(size={"height": 28, "width": 28}), tokenizer=tokenizer, num_query_tokens=4
    )
    text = {"ffn_dim": 64, "word_embed_proj_dim": 32, "max_position_embeddings": 128, **_vocabulary(tokenizer)}
    config = {
        "model_type": "blip-2",
        "tie_word_embeddings": False,
        "text_config": {"model_type": "opt", **_TEXT, **text},
        "vision_config": {"model_type": "blip_2_vision_model", **_VISION},
        "qformer_config": {"model_type": "blip_2_qformer", **_SIZE, "encoder_hidden_size": 32, "vocab_size": 9},
        "num_query_tokens": 4,
        "image_token_index": tokenizer.convert_tokens_to_ids("<image>"),
    }
    return _write(folder, config, processor)


def write_qwen2_5_vl(folder: Path) -> Path:
    """Write a Qwen2.5-VL, whose number of image tokens follows from the size of the image."""
    names = ("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
    roles = ("vision_bos_token", "vision_eos_token", "image_token", "video_token")
    tokenizer = _tokenizer(**dict(zip(roles, names, strict=True)))
    pixels = {"shortest_edge": 28 * 28, "longest_edge": 4 * 28 * 28}
    template = CHAT_TEMPLATE.replace("IMAGE", "<|vision_start|><|image_pad|><|vision_end|>")
    processor = Qwen2_5_VLProcessor(
        image_processor=Qwen2VLImageProcessor(size=pixels),
        tokenizer=tokenizer,
        video_processor=Qwen2VLVideoProcessor(size=pixels),
        chat_template=template,
    )
    start, end, image, video = tokenizer.convert_tokens_to_ids(list(names))
    vision = {"depth": 2, "hidden_size": 32, "intermediate_size": 64, "num_heads": 2, "patch_size": 14}
    rope = {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 10_000.0}
    config = {
        "model_type": "qwen2_5_vl",
        "text_config": {**_TEXT, "num_key_value_heads": 1, "rope_parameters": rope, **_vocabulary(tokenizer)},
        "vision_config": {**vision, "out_hidden_size": 32, "fullatt_block_indexes": [1], "window_size": 56},
        "vision_start_token_id": start,
        "vision_end_token_id": end,
        "image_token_id": image,
        "video_token_id": video,
    }
    return _write(folder, config, processor)


def write_vit_gpt2(folder: Path, **decoder: Any) -> Path:
    """Write a VisionEncoderDecoderModel of a ViT of 4 patches and a GPT-2."""
    tokenizer = _tokenizer()
    vocabulary = _vocabulary(tokenizer)
    config = AutoConfig.for_model(
        "vision-encoder-decoder",
        encoder=AutoConfig.for_model("vit", **_VISION).to_dict(),
        decoder=AutoConfig.for_model(
            "gpt2",
            n_embd=32,
            n_layer=2,
            n_head=2,
            is_decoder=True,
            add_cross_attention=True,
            tie_word_embeddings=False,
            **vocabulary,
            **decoder,
        ).to_dict(),
    )
    config.tie_word_embeddings = False
    config.decoder_start_token_id, config.pad_token_id, config.eos_token_id = 1, 2, 2
    torch.manual_seed(5)
    model = VisionEncoderDecoderModel(config)
    _save(model, folder)
    tokenizer.save_pretrained(folder)
    ViTImageProcessor(size={"height": 28, "width": 28}).save_pretrained(folder)
    return folder


def _tokenizer(**extra: str) -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast(
        tokenizer_object=byte_level_bpe(),
        bos_token=_PAD,
        eos_token=_END,
        pad_token=_PAD,
        extra_special_tokens=extra,
    )


def _vocabulary(tokenizer: PreTrainedTokenizerFast) -> dict[str, int]:
    return {"vocab_size": len(tokenizer) + 5, "bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 0}


def _write(folder: Path, config: dict[str, Any], processor: Any) -> Path:
    torch.manual_seed(5)
    model = AutoModelForImageTextToText.from_config(AutoConfig.for_model(**config))
    _save(model, folder)
    processor.save_pretrained(folder)
    return folder


def _save(model: Any, folder: Path) -> None:
    """Write a model whose distributions are not flat, and which images change, so that both are worth a test."""
    decoder = model.decoder if isinstance(model, VisionEncoderDecoderModel) else model
    with torch.no_grad():
        decoder.get_output_embeddings().weight.normal_(std=0.3)
        for name, parameter in model.named_parameters():
            if name.endswith("mm_input_projection_weight"):  # of Gemma 3, zeros in a new model
                parameter.normal_(std=0.3)
    model.save_pretrained(folder)
