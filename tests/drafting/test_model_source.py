"""What the name of a model means: a checkpoint, a description, a folder of transformers, or a model of a hub."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from report_gen.backends import built_in_descriptions
from report_gen.drafting import Drafter, find_source
from report_gen.drafting.model_source import CheckpointSource, DescribedSource
from report_gen.errors import CheckpointError, UsageError
from report_gen.model import EMBEDDED, embedded_checkpoints
from report_gen.records import FindingState
from tests.builders import write_checkpoint

MODEL = 'name = "Mine"\nbackend = "image-text"\nmodel = "weights"\n'


def described(name: str | Path) -> DescribedSource:
    source = find_source(name)
    assert isinstance(source, DescribedSource)
    return source


def write_folder(folder: Path, **config: Any) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_nothing_is_the_embedded_checkpoint() -> None:
    assert find_source() == CheckpointSource(EMBEDDED)


@pytest.mark.parametrize("name", embedded_checkpoints())
def test_an_embedded_name_is_its_checkpoint(name: str) -> None:
    assert find_source(name) == CheckpointSource(embedded_checkpoints()[name])


def test_a_folder_of_report_gen_is_a_checkpoint_also_in_a_run(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "run" / "best")
    assert find_source(tmp_path / "run") == find_source(tmp_path / "run" / "best")


@pytest.mark.parametrize("name", built_in_descriptions())
def test_a_description_of_the_package_has_a_name(name: str) -> None:
    settings = described(name).model.settings
    assert settings.name
    assert settings.license or settings.backend == "endpoint"


def test_a_description_is_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(MODEL + '[scope]\nmodalities = ["dx"]\n')
    source = described(path)
    assert (source.model.settings.name, source.model.folder) == ("Mine", tmp_path)
    assert source.scope().scope.modalities == ("DX",)
    assert not source.scope().volumes


def test_a_folder_in_the_place_of_a_description_has_precedence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_checkpoint(tmp_path / "medgemma")
    assert isinstance(find_source("medgemma"), CheckpointSource)


@pytest.mark.parametrize(
    ("model_type", "backend"), [("vision-encoder-decoder", "encoder-decoder"), ("llava", "image-text")]
)
def test_a_folder_of_transformers_gets_a_description(tmp_path: Path, model_type: str, backend: str) -> None:
    source = described(write_folder(tmp_path / "weights", model_type=model_type))
    assert (source.model.settings.backend, source.model.settings.name) == (backend, "weights")


def test_a_hub_name_is_marked_as_such() -> None:
    settings = described("hf:google/medgemma-1.5-4b-it").model.settings
    assert (settings.backend, settings.model) == ("image-text", "google/medgemma-1.5-4b-it")


def test_a_missing_model_names_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"absent: no such checkpoint folder; .*chest_xray.*medgemma.*or hf:NAME"):
        find_source(tmp_path / "absent")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("name = ", "not TOML"),
        ('name = "Mine"', "key 'backend' is missing; add it"),
        (MODEL + 'colour = "red"', "unknown key 'colour'; remove it or correct its spelling"),
        (MODEL + "[images]\nsize = 0", "images.size: Input should be greater than or equal to 28"),
        (MODEL + 'url = "http://127.0.0.1:1/v1"', 'url and backend = "endpoint" belong together; give both or none'),
        (MODEL + '[scope]\nbody_parts = ["thorax"]', "body part 'thorax' is not known; choose from abdomen"),
        (MODEL + '[scope]\nviews = ["foo"]', "view 'FOO' is not known; choose from AP"),
        (MODEL + '[scope]\nmodalities = ["XX"]', "modality 'XX' is not known; choose from"),
        (MODEL + "[scope]\nmin_age = 9\nmax_age = 2", "min_age 9 is above max_age 2; exchange them"),
        (MODEL + 'prompt = "absent"', "absent: cannot be read"),
        (MODEL + 'findings = "absent"', "absent: cannot be read"),
        (MODEL + "[images]\nmax_images = 20", "images.max_images is above scope.max_images; raise scope.max_images"),
        (
            MODEL.replace("image-text", "magic"),
            "backend: Input should be 'image-text', 'encoder-decoder' or 'endpoint'",
        ),
    ],
)
def test_a_fault_of_a_description_is_one_sentence(tmp_path: Path, text: str, error: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(UsageError) as found:
        find_source(path)
    assert error in str(found.value)
    assert "\n" not in str(found.value)


def test_the_digest_changes_with_the_prompt(tmp_path: Path) -> None:
    path, prompt = tmp_path / "mine.toml", tmp_path / "ask.toml"
    path.write_text(MODEL + 'prompt = "ask.toml"')
    digests = set()
    for text in ("Describe.", "Write a report.", "Describe."):
        prompt.write_text(f'user = "{text}"')
        digests.add(find_source(path).digest())
    assert len(digests) == 2


def test_a_described_model_takes_no_findings_and_no_base() -> None:
    source = described("vit_gpt2")
    source.check_overrides({}, {}, {})
    with pytest.raises(UsageError, match="takes no findings"):
        source.check_overrides({"Edema": FindingState.PRESENT}, {}, {})
    with pytest.raises(UsageError, match="a base is for adapters"):
        Drafter.load("vit_gpt2", base="base")
    assert source.model_card() == ""
    assert not source.takes_base()


def test_adapters_take_a_base(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(MODEL + '[adapter]\nfolder = "lora"\n')
    assert find_source(tmp_path / "mine.toml").takes_base()
    assert not find_source().takes_base()


def test_the_files_of_a_description_are_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "other folder"
    folder.mkdir()
    (folder / "prompt.toml").write_text('user = "Describe."\n')
    (folder / "findings.toml").write_text('name = "own"\n[[finding]]\nname = "Fracture"\nphrases = ["fracture"]\n')
    (folder / "mine.toml").write_text(MODEL + 'prompt = "prompt.toml"\nfindings = "findings.toml"\n')
    monkeypatch.chdir(tmp_path)
    model = described("other folder/mine.toml").model
    assert (model.prompt.user.text, model.schema.findings) == ("Describe.", ("Fracture",))


def test_the_digest_changes_with_the_findings_file_and_the_folder_of_the_model(tmp_path: Path) -> None:
    digests = set()
    for name, finding in (("a", "Fracture"), ("a", "Nodule"), ("b", "Nodule")):
        folder = tmp_path / name
        (folder / "weights").mkdir(parents=True, exist_ok=True)
        (folder / "f.toml").write_text(
            f'name = "own"\n[[finding]]\nname = "{finding}"\nphrases = ["{finding.lower()}"]\n'
        )
        (folder / "mine.toml").write_text(MODEL + 'findings = "f.toml"\n')
        digests.add(find_source(folder / "mine.toml").digest())
    assert len(digests) == 3


@pytest.mark.parametrize("name", ["hf:", "hf: "])
def test_a_hub_prefix_without_a_name_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="hf: is followed by no name"):
        find_source(name)


@pytest.mark.parametrize(
    ("line", "message"), [('name = " "', "name: is empty"), ('notice = "\\u001b[31m"', "notice: has a line break")]
)
def test_a_text_that_no_draft_can_show_is_refused(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("\n".join([line, *(one for one in MODEL.splitlines() if one[:4] != line[:4])]))
    with pytest.raises(UsageError, match=message):
        find_source(path)
