"""The run folder: files are complete or absent, leftovers of a crash are removed, and only one process uses it."""

from __future__ import annotations

import errno
import json
import math
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from report_gen_training.run import Run, TrainProgress, TrainState, ValidationScore
from safetensors.torch import load_file

from report_gen.errors import OutputError, RecipeError, UsageError
from report_gen.tokenizer import convert
from tests.builders import tiny_recipe
from tests.pretrained_models import byte_level_bpe, source_of


def state(step: int = 3, **changes: Any) -> TrainState:
    weights = {"w": torch.full((2,), float(step))}
    return TrainState(
        TrainProgress(stage=1, step=step, best=ValidationScore(0.5, -math.inf), bf16=True), weights, **changes
    )


def test_a_state_comes_back_as_it_was(tmp_path: Path) -> None:
    kept = state(best={"w": torch.ones(2)}, optimizer={"0.step": torch.tensor(3.0)}, ema={"w": torch.zeros(2)})
    Run(tmp_path).save(kept)
    found = Run(tmp_path).load()
    assert found is not None
    assert found.progress == kept.progress
    for name in ("weights", "best", "optimizer", "ema"):
        ours, theirs = getattr(kept, name), getattr(found, name)
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_a_folder_without_a_state_has_none(tmp_path: Path) -> None:
    assert Run(tmp_path).load() is None


def test_leftovers_of_a_killed_process_are_cleaned_up(tmp_path: Path) -> None:
    """Killed between the two renames, after logging a step that was not saved, and while writing another line."""
    recipe = tiny_recipe(tmp_path)
    with Run.open(tmp_path, recipe, resume=False) as run:
        run.log("step", step=1)
        run.save(state(1))
        run.log("step", step=2)
        with (tmp_path / "log.jsonl").open("a") as log:
            log.write('{"kind": "st')
    (tmp_path / "last").rename(tmp_path / ".last-0123456789abcdef.old")
    (tmp_path / ".last-0123456789abcdef.tmp").mkdir()
    with Run.open(tmp_path, recipe, resume=True) as run:
        found = run.load()
        assert found is not None
        assert found.progress.step == 1
        run.log("step", step=2)
    records = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [record["step"] for record in records] == [1, 2]
    assert not list(tmp_path.glob(".last-*"))


def test_temporary_files_of_a_killed_process_are_removed_and_no_others(tmp_path: Path) -> None:
    """A process killed with SIGKILL leaves what it was writing: a page, a shard of the cache, a checkpoint."""
    recipe = tiny_recipe(tmp_path)
    with Run.open(tmp_path, recipe, resume=False):
        pass
    digits = "0123456789abcdef"
    ours = [f".{digits}.tmp", f"cache/files/.{digits}.tmp", f"cache/images-32-2/.{digits}.tmp", f".best-{digits}.tmp/a"]
    others = ["notes.tmp", ".mine.tmp", ".best-mine.tmp/a", "cache/images-32-2/0.arrow", "best.old", f"{digits}.tmp"]
    for name in (*ours, *others):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    with Run.open(tmp_path, recipe, resume=True):
        left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {*others, "recipe.json", "lock"}


@pytest.mark.parametrize("content", [b"", b"999999999\n", b"\xff\xfe\x1b[31m", b"9" * 10**6])
def test_the_lock_file_of_a_dead_process_does_not_matter(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "lock").write_bytes(content)
    with Run.open(tmp_path, tiny_recipe(tmp_path), resume=False):
        assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"


@pytest.mark.parametrize(
    "content",
    ["[" * 100_000, '{"model":' * 100_000, '{"name": "a", "name": "b"}', "[]", "7", ""],
    ids=["list", "object", "doubled", "array", "number", "empty"],
)
def test_a_malformed_recipe_of_a_run_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "recipe.json").write_text(content)
    with (
        pytest.raises(UsageError, match=r"recipe\.json: damaged or of another version; start a new run"),
        Run.open(tmp_path, tiny_recipe(tmp_path), resume=True),
    ):
        pass
    assert (tmp_path / "recipe.json").read_text() == content


def test_a_damaged_or_missing_vocabulary_of_a_run_is_refused(tmp_path: Path) -> None:
    run = Run(tmp_path)
    assert run.load_tokenizer() is None
    run.save(state())
    with pytest.raises(UsageError, match=r"tokenizer\.model: damaged .*the file is missing"):
        run.load_tokenizer()
    (tmp_path / "tokenizer.model").write_bytes(b"x")
    with pytest.raises(UsageError, match=r"tokenizer\.model: damaged .*start a new run with another --output"):
        run.load_tokenizer()


def test_a_run_has_the_tokenizer_of_its_pretrained_decoder(tmp_path: Path) -> None:
    words = convert(source_of(byte_level_bpe()))
    with Run.open(tmp_path, tiny_recipe(tmp_path), resume=False) as run:
        run.save_tokenizer(words)
        found = run.load_tokenizer()
        assert found is not None
        assert (found.to_bytes(), found.file_name) == (words.to_bytes(), "tokenizer.json")
    with (
        pytest.raises(UsageError, match="already holds a run"),
        Run.open(tmp_path, tiny_recipe(tmp_path), resume=False),
    ):
        pass
    (tmp_path / "tokenizer.json").write_bytes(b"{}")
    with pytest.raises(UsageError, match=r"tokenizer\.json: damaged"):
        run.load_tokenizer()


def test_a_run_killed_before_its_first_save_starts_a_new_log(tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path)
    with Run.open(tmp_path, recipe, resume=False) as run:
        run.log("step", step=1)
    with Run.open(tmp_path, recipe, resume=True):
        assert (tmp_path / "log.jsonl").read_text() == ""


def test_a_run_in_use_by_another_process_is_refused(tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path)
    (tmp_path / "recipe.json").write_text(recipe.model_dump_json())
    holder = f"import fcntl, time; f = open({str(tmp_path / 'lock')!r}, 'a+'); fcntl.lockf(f, fcntl.LOCK_EX); "
    holder += "f.write('4711'); f.flush(); print(flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", holder], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(UsageError, match="in use by process 4711"), Run.open(tmp_path, recipe, resume=True):
            pass
        other.kill()
    with Run.open(tmp_path, recipe, resume=True):  # the lock ended with its process
        assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"


def test_keys_that_do_not_affect_the_weights_may_change(tmp_path: Path) -> None:
    with Run.open(tmp_path, tiny_recipe(tmp_path), resume=False):
        pass
    with Run.open(tmp_path, tiny_recipe(tmp_path, workers=2, save_minutes=1.0), resume=True):
        assert json.loads((tmp_path / "recipe.json").read_text())["workers"] == 2
    other = tiny_recipe(tmp_path, seed=1, stage={"steps": 7})
    with (
        pytest.raises(UsageError, match="another recipe; seed and 1 more keys changed"),
        Run.open(tmp_path, other, resume=True),
    ):
        pass


def test_a_run_with_recipe_keys_of_an_earlier_version_is_refused_by_key(tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path)
    tree = recipe.model_dump(mode="json")
    tree["stages"][0]["rarity"] = tree["stages"][0].pop("rare_finding_weight")
    (tmp_path / "recipe.json").write_text(json.dumps(tree))
    message = r"recipe\.json: the key 'stages\.0\.rarity' is now called 'rare_finding_weight', so this run .* --output"
    with pytest.raises(RecipeError, match=message), Run.open(tmp_path, recipe, resume=True):
        pass


def test_a_full_disk_keeps_the_earlier_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(tmp_path)
    run.save(state(1))

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match=r"last: cannot be written \(No space left on device\)"):
        run.save(state(2))
    monkeypatch.undo()
    assert torch.equal(load_file(tmp_path / "last" / "model.safetensors")["w"], torch.ones(2))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["last"]


def test_a_full_disk_while_logging_stops_the_run(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").symlink_to("/dev/full")
    with pytest.raises(OutputError, match=r"log.jsonl: cannot be written \(No space left on device\); free some space"):
        Run(tmp_path).log("step", step=1)


def test_a_run_that_failed_before_it_learned_anything_is_started_again_with_another_recipe(tmp_path: Path) -> None:
    with Run.open(tmp_path, tiny_recipe(tmp_path), resume=False):
        pass  # as if the corpus were missing
    other = tiny_recipe(tmp_path, seed=1)
    with Run.open(tmp_path, other, resume=False) as run:
        run.log("step", step=1)
    with pytest.raises(UsageError, match="already holds a run"), Run.open(tmp_path, other, resume=False):
        pass


@pytest.mark.parametrize("stepped", [False, True])
def test_only_a_run_refused_before_its_first_step_may_be_started_again(tmp_path: Path, stepped: bool) -> None:
    recipe = tiny_recipe(tmp_path)
    with suppress(RecipeError), Run.open(tmp_path / "run", recipe, resume=False) as run:
        (run.folder / "tokenizer.model").touch()  # the vocabulary is learned before the decoder's positions are checked
        run.log("stage")
        if stepped:
            run.log("step")
        raise RecipeError("too few positions")
    if stepped:
        with pytest.raises(UsageError, match="already holds a run"), Run.open(run.folder, recipe, resume=False):
            pass
    else:
        assert [path.name for path in run.folder.iterdir()] == ["lock"]
        with Run.open(run.folder, recipe, resume=False):
            pass
