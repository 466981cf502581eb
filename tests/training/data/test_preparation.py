"""What a run learns from is made once; it goes on with the same examples, or anew where they are not whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from report_gen_training.data import example_encoding as encoding
from report_gen_training.data import preparation as preparing
from report_gen_training.data.preparation import Prepared, prepare
from report_gen_training.recipe.schema import Recipe
from report_gen_training.run.folder import Run
from report_gen_training.run.reporting import unheard

from report_gen.errors import CorpusError, OutputError
from tests.builders import PROMPT, tiny_recipe, write_corner_corpus, write_manifest


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_corner_corpus(tmp_path, copies=2)


def get_ready(data: Path, recipe: Recipe | None = None, name: str = "run") -> Prepared:
    (data / name).mkdir(exist_ok=True)
    return prepare(recipe or tiny_recipe(data), Run(data / name), PROMPT, on_progress=unheard)


def contents(data: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((data / "run" / "cache" / "examples" / "contents.json").read_bytes())
    return found


def no_reading(*_: object, **__: object) -> None:
    pytest.fail("the corpus was read again")


def test_every_split_has_its_examples(data: Path) -> None:
    ready = get_ready(data)
    splits = ready.encoded.examples["films"]
    assert {name: len(store) for name, store in splits.items()} == {"train": 8, "val": 8}
    assert ready.encoded.counts == {"films": {"train": 8, "val": 8, "test": 8}}
    first = splits["val"][0]
    assert (first.study_id, first.images[0].name) == ("val-0", "val-0.png")
    assert ready.tokenizer.decode(first.report_ids) == " ".join(first.reference.split())
    assert ready.images.read(first.images[0]).shape == (32, 32)


def test_what_a_store_tells_of_all_it_tells_of_one(data: Path) -> None:
    store = get_ready(data).encoded.examples["films"]["train"]
    for place, example in enumerate(store):
        assert len(example.report_ids) == len(example.abnormal) == store.lengths[place]
        assert len(example.images) == store.views[place]
        np.testing.assert_array_equal(example.states, store.states[place])
    chosen = store.select(np.array([5, 2]))
    assert [one.study_id for one in chosen] == [store[5].study_id, store[2].study_id]
    assert [one.study_id for one in chosen.select(np.array([1]))] == [store[2].study_id]


def test_a_run_goes_on_with_what_it_read(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = get_ready(data)
    (data / "films" / "manifest.jsonl").unlink()  # even if the corpus has changed meanwhile
    monkeypatch.setattr(preparing, "read_studies", no_reading)
    after = get_ready(data)
    for split in ("train", "val"):
        old, new = before.encoded.examples["films"][split], after.encoded.examples["films"][split]
        assert [(one.study_id, one.report_ids) for one in old] == [(one.study_id, one.report_ids) for one in new]
    assert after.encoded.counts == before.encoded.counts
    assert after.tokenizer.to_bytes() == before.tokenizer.to_bytes()


def test_it_needs_no_images_any_more(data: Path) -> None:
    first = get_ready(data).encoded.examples["films"]["train"][0].images[0]
    for film in (data / "films").glob("*.png"):
        film.unlink()
    assert get_ready(data).images.read(first).shape == (32, 32)


@pytest.mark.parametrize("name", ["0-train.arrow", "0-val.arrow", "contents.json"])
@pytest.mark.parametrize("damage", ["truncated", "gone"])
def test_examples_that_are_not_whole_are_made_anew(data: Path, name: str, damage: str) -> None:
    get_ready(data)
    file = data / "run" / "cache" / "examples" / name
    whole = file.read_bytes()
    file.unlink()
    if damage == "truncated":
        file.write_bytes(whole[: len(whole) // 2])
    assert len(get_ready(data).encoded.examples["films"]["train"]) == 8
    assert file.read_bytes() == whole


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 1},
        {"text": {"vocabulary_size": 200, "longest": 50, "sections": ["FINDINGS"]}},
        {"corpora": [{"name": "films", "path": "films", "exclude": ["train-0"]}]},
        {"unreadable": "leave-out"},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_examples_of_another_recipe_are_made_anew(data: Path, changes: dict[str, Any]) -> None:
    get_ready(data)
    before = contents(data)["mark"]
    get_ready(data, tiny_recipe(data, **changes))
    assert contents(data)["mark"] != before


@pytest.mark.parametrize("changes", [{"precision": "bf16"}, {"workers": 3}, {"stage": {"steps": 9}}], ids=str)
def test_what_does_not_touch_the_examples_leaves_them(
    data: Path, changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    get_ready(data)
    monkeypatch.setattr(preparing, "read_studies", no_reading)
    get_ready(data, tiny_recipe(data, **changes))


def test_a_run_killed_while_it_encodes_starts_over(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(encoding, "write_atomically", killed)
        with pytest.raises(KeyboardInterrupt):
            get_ready(data)
    assert not (data / "run" / "cache" / "examples").exists()
    assert len(get_ready(data).encoded.examples["films"]["train"]) == 8
    assert sorted(path.name for path in (data / "run" / "cache").iterdir()) == [
        "corpora",
        "examples",
        "files",
        "images-32-1",
    ]


def test_nothing_of_the_way_there_is_left(data: Path) -> None:
    get_ready(data)
    cache = data / "run" / "cache"
    assert not (cache / "studies").exists()
    assert list((cache / "corpora").iterdir()) == []


def test_runs_may_share_their_images(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    get_ready(data, tiny_recipe(data, cache="shared"))
    for film in (data / "films").glob("train-*.png"):
        film.touch()
    monkeypatch.setattr("report_gen_training.data.image_decoding.read_pixels", no_reading)
    get_ready(data, tiny_recipe(data, cache="shared"), name="other")
    assert (data / "shared" / "images-32-1").is_dir()
    assert not (data / "other" / "cache" / "images-32-1").exists()


def test_unreadable_images_are_refused_with_their_number(data: Path) -> None:
    for name in ("train-1.png", "val-3.png"):
        (data / "films" / name).write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(CorpusError, match=r"train-1\.png: .*broken.* - the first of 2 unreadable images; .*leave-out"):
        get_ready(data)


def test_studies_with_unreadable_images_may_be_left_out(data: Path) -> None:
    (data / "films" / "train-1.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    ready = get_ready(data, tiny_recipe(data, unreadable="leave-out"))
    assert ready.encoded.left_out == {"films": 1}
    assert ready.encoded.counts["films"]["train"] == 7
    assert "train-1" not in [one.study_id for one in ready.encoded.examples["films"]["train"]]


def test_images_of_the_test_split_are_left_alone(data: Path) -> None:
    (data / "films" / "test-1.png").write_bytes(b"")
    assert get_ready(data).encoded.counts["films"]["test"] == 8


def test_a_folder_that_cannot_be_written_is_one_sentence(data: Path) -> None:
    (data / "run").mkdir()
    (data / "run" / "cache").write_text("in the way")
    with pytest.raises(OutputError, match=r"cannot be written \(.*\); free the disk or name another"):
        get_ready(data)


def test_long_work_tells_how_far_it_is(data: Path) -> None:
    told: list[tuple[str, int, int]] = []
    (data / "run").mkdir()
    prepare(tiny_recipe(data), Run(data / "run"), PROMPT, on_progress=lambda *now: told.append(now))
    assert [now for now in told if now[0] != "images"] == [
        ("cleaning films", 24, 24),
        ("encoding films, train", 8, 8),
        ("encoding films, val", 8, 8),
    ]


def test_corpora_of_texts_alone_have_no_images(tmp_path: Path) -> None:
    rows = [{"study_id": str(n), "findings": "Clear lungs.", "impression": "Normal chest."} for n in range(3)]
    write_manifest(tmp_path / "films", rows)
    store = get_ready(tmp_path).encoded.examples["films"]["train"]
    assert store.kinds.tolist() == [[False, True]] * 3
    assert list(store.image_paths()) == []
    assert store[0].patient_id == ""


def test_a_corpus_may_be_called_what_no_file_may(data: Path) -> None:
    recipe = tiny_recipe(data, corpora=[{"name": "a/b: c", "path": "films"}], stage={"corpora": ["a/b: c"]})
    assert len(get_ready(data, recipe).encoded.examples["a/b: c"]["val"]) == 8


def test_two_corpora_of_one_name_are_refused(data: Path) -> None:
    with pytest.raises(ValueError, match="two corpora have one name; there are films, films"):
        tiny_recipe(data, corpora=[{"name": "films", "path": path} for path in ("a", "b")])
