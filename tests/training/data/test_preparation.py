"""Examples are made once; a resumed run uses the same ones, and incomplete ones are made again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from report_gen_training.data import example_encoding as encoding
from report_gen_training.data import preparation
from report_gen_training.data.preparation import PreparedCorpora, prepare
from report_gen_training.recipe.schema import Recipe
from report_gen_training.run.events import ignore_progress
from report_gen_training.run.folder import Run

from report_gen.errors import CorpusError, OutputError
from tests.builders import PROMPT, tiny_recipe, write_corner_corpus, write_manifest


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_corner_corpus(tmp_path, copies=2)


def prepare_run(data: Path, recipe: Recipe | None = None, name: str = "run") -> PreparedCorpora:
    (data / name).mkdir(exist_ok=True)
    return prepare(recipe or tiny_recipe(data), Run(data / name), PROMPT, on_progress=ignore_progress)


def contents(data: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((data / "run" / "cache" / "examples" / "contents.json").read_bytes())
    return found


def no_reading(*_: object, **__: object) -> None:
    pytest.fail("the corpus was read again")


def test_every_split_has_its_examples(data: Path) -> None:
    prepared = prepare_run(data)
    splits = prepared.encoded.examples["images"]
    assert {name: len(store) for name, store in splits.items()} == {"train": 8, "val": 8}
    assert prepared.encoded.counts == {"images": {"train": 8, "val": 8, "test": 8}}
    first = splits["val"][0]
    assert (first.study_id, first.images[0].name) == ("val-0", "val-0.png")
    assert prepared.tokenizer.decode(first.report_ids) == " ".join(first.reference.split())
    assert prepared.images.read(first.images[0]).shape == (32, 32)


def test_the_columns_of_a_store_match_its_examples(data: Path) -> None:
    store = prepare_run(data).encoded.examples["images"]["train"]
    for index, example in enumerate(store):
        assert len(example.report_ids) == len(example.abnormal) == store.lengths[index]
        assert len(example.images) == store.views[index]
        np.testing.assert_array_equal(example.states, store.states[index])
    chosen = store.select(np.array([5, 2]))
    assert [one.study_id for one in chosen] == [store[5].study_id, store[2].study_id]
    assert [one.study_id for one in chosen.select(np.array([1]))] == [store[2].study_id]


def test_a_resumed_run_uses_the_examples_it_made(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = prepare_run(data)
    (data / "images" / "manifest.jsonl").unlink()  # the corpus may have changed meanwhile
    monkeypatch.setattr(preparation, "read_studies", no_reading)
    after = prepare_run(data)
    for split in ("train", "val"):
        old, new = before.encoded.examples["images"][split], after.encoded.examples["images"][split]
        assert [(one.study_id, one.report_ids) for one in old] == [(one.study_id, one.report_ids) for one in new]
    assert after.encoded.counts == before.encoded.counts
    assert after.tokenizer.to_bytes() == before.tokenizer.to_bytes()


def test_a_resumed_run_needs_no_images(data: Path) -> None:
    first = prepare_run(data).encoded.examples["images"]["train"][0].images[0]
    for image in (data / "images").glob("*.png"):
        image.unlink()
    assert prepare_run(data).images.read(first).shape == (32, 32)


@pytest.mark.parametrize("name", ["0-train.arrow", "0-val.arrow", "contents.json"])
@pytest.mark.parametrize("damage", ["truncated", "gone"])
def test_incomplete_examples_are_made_again(data: Path, name: str, damage: str) -> None:
    prepare_run(data)
    file = data / "run" / "cache" / "examples" / name
    whole = file.read_bytes()
    file.unlink()
    if damage == "truncated":
        file.write_bytes(whole[: len(whole) // 2])
    assert len(prepare_run(data).encoded.examples["images"]["train"]) == 8
    assert file.read_bytes() == whole


@pytest.mark.parametrize(
    "content",
    ["[" * 100_000, "[]", "null", "7", '{"fingerprint": 1}', '{"sizes": 1, "sizes": 1}'],
    ids=["nested", "list", "null", "number", "incomplete", "doubled"],
)
def test_a_malformed_table_of_contents_is_written_again(data: Path, content: str) -> None:
    prepare_run(data)
    file = data / "run" / "cache" / "examples" / "contents.json"
    whole = file.read_bytes()
    for text in (
        content,
        json.dumps(json.loads(whole) | {"sizes": 7}),
        json.dumps(json.loads(whole) | {"counts": [1]}),
    ):
        file.write_text(text)
        prepare_run(data)
        assert file.read_bytes() == whole


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 1},
        {"text": {"vocabulary_size": 200, "max_report_tokens": 50, "sections": ["FINDINGS"]}},
        {"corpora": [{"name": "images", "path": "images", "exclude": ["train-0"]}]},
        {"unreadable": "leave-out"},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_examples_of_another_recipe_are_made_again(data: Path, changes: dict[str, Any]) -> None:
    prepare_run(data)
    before = contents(data)["fingerprint"]
    prepare_run(data, tiny_recipe(data, **changes))
    assert contents(data)["fingerprint"] != before


@pytest.mark.parametrize("changes", [{"precision": "bf16"}, {"workers": 3}, {"stage": {"steps": 9}}], ids=str)
def test_keys_that_do_not_affect_the_examples_keep_them(
    data: Path, changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare_run(data)
    monkeypatch.setattr(preparation, "read_studies", no_reading)
    prepare_run(data, tiny_recipe(data, **changes))


def test_a_run_killed_while_encoding_starts_over(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(encoding, "write_atomically", killed)
        with pytest.raises(KeyboardInterrupt):
            prepare_run(data)
    assert not (data / "run" / "cache" / "examples").exists()
    assert len(prepare_run(data).encoded.examples["images"]["train"]) == 8
    assert sorted(path.name for path in (data / "run" / "cache").iterdir()) == [
        "corpora",
        "examples",
        "files",
        "images-32-4",
    ]


def test_no_intermediate_files_are_left(data: Path) -> None:
    prepare_run(data)
    cache = data / "run" / "cache"
    assert not (cache / "studies").exists()
    assert list((cache / "corpora").iterdir()) == []


def test_runs_may_share_their_images(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare_run(data, tiny_recipe(data, cache="shared"))
    for image in (data / "images").glob("train-*.png"):
        image.touch()
    monkeypatch.setattr("report_gen_training.data.image_decoding.load_image", no_reading)
    prepare_run(data, tiny_recipe(data, cache="shared"), name="other")
    assert (data / "shared" / "images-32-4").is_dir()
    assert not (data / "other" / "cache" / "images-32-4").exists()


def test_unreadable_images_are_refused_with_their_number(data: Path) -> None:
    for name in ("train-1.png", "val-3.png"):
        (data / "images" / name).write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(CorpusError, match=r"train-1\.png: .*broken.* - the first of 2 unreadable images; .*leave-out"):
        prepare_run(data)


def test_studies_with_unreadable_images_may_be_left_out(data: Path) -> None:
    (data / "images" / "train-1.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    prepared = prepare_run(data, tiny_recipe(data, unreadable="leave-out"))
    assert prepared.encoded.left_out == {"images": 1}
    assert prepared.encoded.counts["images"]["train"] == 7
    assert "train-1" not in [one.study_id for one in prepared.encoded.examples["images"]["train"]]


def test_a_corpus_of_which_no_image_can_be_read_is_refused_with_the_cause(data: Path) -> None:
    for image in (data / "images").glob("*.png"):
        image.unlink()
    with pytest.raises(
        CorpusError, match=r"no study of the corpus 'images' is left, because each has a missing or unr"
    ):
        prepare_run(data, tiny_recipe(data, unreadable="leave-out"))


def test_images_of_the_test_split_are_not_read(data: Path) -> None:
    (data / "images" / "test-1.png").write_bytes(b"")
    assert prepare_run(data).encoded.counts["images"]["test"] == 8


def test_a_folder_that_cannot_be_written_is_one_sentence(data: Path) -> None:
    (data / "run").mkdir()
    (data / "run" / "cache").write_text("in the way")
    with pytest.raises(
        OutputError, match=r"cannot be written, because a file has the name of a folder; choose another path"
    ):
        prepare_run(data)


def test_progress_is_reported(data: Path) -> None:
    reports: list[tuple[str, int, int]] = []
    (data / "run").mkdir()
    prepare(tiny_recipe(data), Run(data / "run"), PROMPT, on_progress=lambda *now: reports.append(now))
    assert [now for now in reports if now[0] != "images"] == [
        ("cleaning images", 24, 24),
        ("encoding images, train", 8, 8),
        ("encoding images, val", 8, 8),
    ]


def test_a_corpus_of_reports_only(tmp_path: Path) -> None:
    rows = [{"study_id": str(n), "findings": "Clear lungs.", "impression": "Normal chest."} for n in range(3)]
    write_manifest(tmp_path / "images", rows)
    recipe = tiny_recipe(tmp_path, corpora=[{"name": "images", "path": "images", "use_images": False}])
    store = prepare_run(tmp_path, recipe).encoded.examples["images"]["train"]
    assert store.kinds.tolist() == [[False, True]] * 3
    assert list(store.image_paths()) == []
    assert [example.patient_id for example in store] == ["0", "1", "2"]  # no patients are named


def test_a_corpus_name_need_not_be_a_valid_file_name(data: Path) -> None:
    recipe = tiny_recipe(data, corpora=[{"name": "a/b: c", "path": "images"}], stage={"corpora": ["a/b: c"]})
    assert len(prepare_run(data, recipe).encoded.examples["a/b: c"]["val"]) == 8


def test_corpora_with_the_same_name_are_refused(data: Path) -> None:
    with pytest.raises(ValueError, match="corpora have duplicate names: images, images"):
        tiny_recipe(data, corpora=[{"name": "images", "path": path} for path in ("a", "b")])
