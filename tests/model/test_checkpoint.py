"""Checkpoints: round trips, every kind of damage, and replacement of an older checkpoint."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from report_gen.errors import CheckpointError, OutputError
from report_gen.generation import Decoding, GeneratedTokens, generate_tokens
from report_gen.model import Checkpoint, Continuations, ReportModel, load_checkpoint, replace_config, save_checkpoint
from report_gen.model.checkpoint_files import CARD, CONTINUATIONS, MANIFEST, PROMPT, TOKENIZER, TRAINING, WEIGHTS
from tests.builders import PROMPT as TINY_PROMPT
from tests.builders import tiny_config, tiny_model, tokenizer, write_checkpoint
from tests.checkpoint_damage import SEALED_FILES, edit_config, edit_weights, reseal
from tests.image_steps import step


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("checkpoint") / "tiny")


@pytest.fixture
def folder(pristine: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(pristine, tmp_path / "tiny"))


def generate(model: ReportModel) -> list[GeneratedTokens]:
    with torch.inference_mode():
        pixel_values = torch.randn(2, 1, 1, 32, 32, generator=torch.Generator().manual_seed(0))
        visual = model.encode_images(
            pixel_values, torch.zeros(2, 1, dtype=torch.long), torch.ones(2, 1, dtype=torch.bool)
        )
        visual_tokens, visual_mask = model.visual_tokens(torch.zeros(2, 17, dtype=torch.long), visual)
    return generate_tokens(
        model,
        visual_tokens=visual_tokens,
        visual_mask=visual_mask,
        prompt_ids=[[9], [9, 10]],
        decoding=Decoding(max_tokens=20),
    )


@pytest.mark.parametrize("conditioning", ["prefix", "cross_attention", "numbers"])
@pytest.mark.parametrize("encoder", ["test_vit", "test_resnet"])
def test_a_round_trip_generates_the_same_tokens(conditioning: str, encoder: str, tmp_path: Path) -> None:
    model = tiny_model(tiny_config(conditioning=conditioning, encoder=encoder))
    loaded = load_checkpoint(write_checkpoint(tmp_path / "tiny", model=model))
    assert generate(loaded.model) == generate(model)
    assert not loaded.model.training
    assert loaded.model.config == model.config
    assert loaded.prompt == TINY_PROMPT
    assert loaded.tokenizer.to_bytes() == tokenizer().to_bytes()


@pytest.mark.parametrize("kind", ["mean", "recurrent", "attention"])
def test_a_sequence_encoder_is_part_of_a_checkpoint(kind: str, tmp_path: Path) -> None:
    model = tiny_model(tiny_config(sequence={"kind": kind, "width": 16}))
    folder = write_checkpoint(tmp_path / "tiny", model=model)
    loaded = load_checkpoint(folder).model
    assert loaded.config.sequence == model.config.sequence
    assert generate(loaded) == generate(model)
    if kind != "mean":
        edit_config(folder, lambda config: config.update(sequence=None))
        with pytest.raises(CheckpointError, match=r"tensors do not fit config\.json, such as sequence\."):
            load_checkpoint(folder)


def test_preprocessing_steps_are_part_of_a_checkpoint(tmp_path: Path) -> None:
    steps = (step("crop_bands", depth=0.1), step("clahe", tiles=4))
    write_checkpoint(tmp_path / "tiny", model=tiny_model(tiny_config(preprocessing=steps)))
    assert load_checkpoint(tmp_path / "tiny").model.config.preprocessing == steps


def test_a_checkpoint_from_before_there_were_preprocessing_steps_has_none(folder: Path) -> None:
    edit_config(folder, lambda config: config.pop("preprocessing"))
    assert load_checkpoint(folder).model.config.preprocessing == ()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_weights_rounded_once_stay_the_same(dtype: torch.dtype, tmp_path: Path) -> None:
    first = load_checkpoint(write_checkpoint(tmp_path / "1", weights_dtype=dtype))
    assert {parameter.dtype for parameter in first.model.parameters()} == {torch.float32}
    again = load_checkpoint(write_checkpoint(tmp_path / "2", model=first.model, weights_dtype=dtype))
    assert again.weights_sha256 == first.weights_sha256
    assert generate(again.model) == generate(first.model)


def test_the_digest_is_that_of_the_weights_file(pristine: Path) -> None:
    digest = hashlib.sha256((pristine / WEIGHTS).read_bytes()).hexdigest()
    assert load_checkpoint(pristine).weights_sha256 == digest == json.loads((pristine / MANIFEST).read_text())[WEIGHTS]


def test_the_folder_has_all_files_and_no_pickle(pristine: Path) -> None:
    files = {path.name: path.read_bytes() for path in pristine.iterdir()}
    assert files.keys() == {*SEALED_FILES, MANIFEST, CARD}
    assert all(not content.startswith((b"\x80", b"PK")) for content in files.values())
    with safe_open(pristine / WEIGHTS, framework="pt") as weights:
        assert weights.metadata() == {"format": "pt"}
    assert json.loads(files[TRAINING]) == {"steps": 0}


def test_a_tied_output_layer_is_stored_once(pristine: Path) -> None:
    names = load_file(pristine / WEIGHTS).keys()
    assert "decoder.language_model.transformer.wte.weight" in names
    assert "decoder.language_model.lm_head.weight" not in names
    language_model = load_checkpoint(pristine).model.decoder.language_model
    assert language_model.lm_head.weight is language_model.transformer.wte.weight


def test_the_model_card_may_be_edited(folder: Path) -> None:
    (folder / CARD).write_text("# Mine\n", encoding="utf-8")
    assert isinstance(load_checkpoint(folder), Checkpoint)


@pytest.mark.parametrize("name", [*SEALED_FILES, MANIFEST])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(CheckpointError, match=rf"tiny/{name}: cannot be read \(No such file"):
        load_checkpoint(folder)


@pytest.mark.parametrize("name", SEALED_FILES)
@pytest.mark.parametrize("place", [0, -1])
def test_one_altered_byte_is_found(folder: Path, name: str, place: int) -> None:
    content = bytearray((folder / name).read_bytes())
    content[place] ^= 1
    (folder / name).write_bytes(content)
    # The first bytes of the weights are the length of their header, which is read before the hash is compared.
    fault = "not a safetensors file" if (name, place) == (WEIGHTS, 0) else "altered since the checkpoint was written"
    with pytest.raises(CheckpointError, match=rf"tiny/{name}: {fault}"):
        load_checkpoint(folder)


def test_continuations_are_part_of_a_checkpoint(tmp_path: Path) -> None:
    assert load_checkpoint(write_checkpoint(tmp_path / "without")).continuations is None
    folder = write_checkpoint(tmp_path / "tiny", continuations=Continuations({(5, 6): 7}))
    for _ in range(2):
        checkpoint = load_checkpoint(folder)
        assert checkpoint.continuations is not None
        assert checkpoint.continuations.next_token([5, 6]) == 7
        replace_config(folder, checkpoint.model.config)  # keeps the other files
    (folder / CONTINUATIONS).write_bytes(Continuations({(5, 6): 8}).to_bytes())
    with pytest.raises(CheckpointError, match=r"tiny/continuations\.safetensors: altered"):
        load_checkpoint(folder)
    (folder / CONTINUATIONS).unlink()
    with pytest.raises(CheckpointError, match=r"tiny/continuations\.safetensors: cannot be read"):
        load_checkpoint(folder)


@pytest.mark.parametrize("content", ["", "[]", '"text"', "\x00", "{}"])
def test_a_malformed_manifest_is_refused(folder: Path, content: str) -> None:
    (folder / MANIFEST).write_text(content, encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"tiny/(manifest\.json: not valid JSON|config\.json: altered)"):
        load_checkpoint(folder)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"absent: no such checkpoint folder; give the folder that contains"):
        load_checkpoint(tmp_path / "absent")


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda config: config.update(unexpected=1), "unexpected: Extra inputs"),
        (lambda config: config["decoder"].update(unexpected=1), "decoder.unexpected: Extra inputs"),
        (lambda config: config["decoder"].update(heads=3), "decoder: .*3 heads"),
        (lambda config: config["findings"].update(trained=[True]), "findings.trained has 1 values"),
    ],
)
def test_a_configuration_of_another_version_is_refused(
    folder: Path, change: Callable[[dict[str, Any]], object], fault: str
) -> None:
    edit_config(folder, change)
    with pytest.raises(CheckpointError, match=rf"tiny/config\.json: {fault}.*use another checkpoint"):
        load_checkpoint(folder)


@pytest.mark.parametrize("vocabulary", ["of_a_later_release", "../schemas/chest_xray"])
def test_a_vocabulary_that_this_release_lacks_is_refused(folder: Path, vocabulary: str) -> None:
    edit_config(folder, lambda config: config["finding_schema"].update(vocabulary=vocabulary))
    with pytest.raises(CheckpointError, match=r"tiny/config\.json: the vocabulary '.*' is not part of this release"):
        load_checkpoint(folder)


@pytest.mark.parametrize(
    ("change", "first"),
    [
        (lambda config: config["decoder"].update(layers=3), r"decoder\.language_model\.transformer\.h\.2\."),
        (lambda config: config["decoder"].update(layers=1), r"decoder\.language_model\.transformer\.h\.1\."),
        (lambda config: config["projector"].update(patch_tokens=3), r"projector\.patch_queries"),
        (lambda config: config["encoder"].update(channels=3), r"encoder\.backbone\.patch_embed"),
    ],
)
def test_a_configuration_of_another_shape_is_refused(
    folder: Path, change: Callable[[dict[str, Any]], object], first: str
) -> None:
    edit_config(folder, change)
    with pytest.raises(
        CheckpointError, match=rf"tiny/model\.safetensors: \d+ tensors do not fit config\.json, such as {first}"
    ):
        load_checkpoint(folder)


@pytest.mark.parametrize(
    "change",
    [
        lambda weights: weights.pop("projector.finding_bias"),
        lambda weights: weights.update(unexpected=torch.zeros(1)),
        lambda weights: weights.update({"projector.finding_bias": torch.zeros(13)}),
    ],
)
def test_weights_that_do_not_fit_are_refused(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    edit_weights(folder, change)
    with pytest.raises(CheckpointError, match=r"tiny/model\.safetensors: 1 tensors do not fit"):
        load_checkpoint(folder)


@pytest.mark.parametrize("kept", [0, 4, 1000, -1])
def test_truncated_weights_are_refused_even_with_their_digest(folder: Path, kept: int) -> None:
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:kept])
    reseal(folder)
    with pytest.raises(CheckpointError, match=r"tiny/model\.safetensors: not a safetensors file"):
        load_checkpoint(folder)


def test_another_vocabulary_is_refused(folder: Path) -> None:
    edit_config(folder, lambda config: config.update(vocabulary_size=300))
    with pytest.raises(CheckpointError, match=r"tiny/tokenizer\.model: \d+ pieces, but config\.json says 300"):
        load_checkpoint(folder)


def test_a_damaged_vocabulary_is_refused_by_its_path(folder: Path) -> None:
    (folder / TOKENIZER).write_bytes(b"nothing")
    reseal(folder)
    with pytest.raises(CheckpointError, match=r"tiny/tokenizer\.model: not a sentencepiece model"):
        load_checkpoint(folder)


@pytest.mark.parametrize("content", [b"Age: {age}", b"\xff"])
def test_a_malformed_prompt_is_refused(folder: Path, content: bytes) -> None:
    (folder / PROMPT).write_bytes(content)
    reseal(folder)
    with pytest.raises(CheckpointError, match=r"tiny/prompt\.txt: not a valid prompt .*; copy the checkpoint again"):
        load_checkpoint(folder)


def test_an_older_checkpoint_is_replaced(folder: Path) -> None:
    (folder / "left-over").touch()
    write_checkpoint(folder, model=tiny_model(seed=1))
    assert not (folder / "left-over").exists()
    assert load_checkpoint(folder).model.config == tiny_config()
    assert [path.name for path in folder.parent.iterdir()] == ["tiny"]


@pytest.mark.parametrize("completed", [0, 2, 6])
def test_an_older_checkpoint_survives_a_failed_write(
    folder: Path, monkeypatch: pytest.MonkeyPatch, completed: int
) -> None:
    before, calls, replace = load_checkpoint(folder), [], Path.replace

    def failing(self: Path, target: Path) -> Path:
        calls.append(target)
        if len(calls) > completed:
            raise OSError(28, "No space left on device")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", failing)
    with pytest.raises(OutputError, match=r"tiny: cannot be written \(No space left"):
        write_checkpoint(folder, model=tiny_model(seed=1))
    monkeypatch.undo()
    assert load_checkpoint(folder).weights_sha256 == before.weights_sha256
    assert [path.name for path in folder.parent.iterdir()] == ["tiny"]


def test_a_training_record_that_is_not_json_leaves_the_older_checkpoint(folder: Path) -> None:
    model = tiny_model()
    with pytest.raises(TypeError):
        save_checkpoint(
            folder,
            model=model,
            config=model.config,
            tokenizer=tokenizer(),
            prompt=TINY_PROMPT,
            training={"no": object()},
            card="",
        )
    assert isinstance(load_checkpoint(folder), Checkpoint)


def test_the_folder_of_a_training_run_contains_its_checkpoint(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    shutil.copytree(folder, tmp_path / "run" / "best")
    assert load_checkpoint(tmp_path / "run").weights_sha256 == load_checkpoint(folder).weights_sha256


def test_a_file_that_changes_after_it_was_loaded_does_not_change_the_model(folder: Path) -> None:
    """The file is mapped into the memory while it is loaded, and its tensors are copied."""
    model = load_checkpoint(folder).model
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with (folder / WEIGHTS).open("r+b") as file:
        file.seek(-4096, 2)
        file.write(bytes(4096))
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name]), name
