"""No patient is in two splits over all corpora, and only chosen sources are validation and test data."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest
from report_gen_training.data.patient_split import LEFT_OUT, assign_splits
from report_gen_training.recipe import CorpusRecipe

from report_gen.corpora import Example, read_corpus
from report_gen.corpora.examples import build_dataset
from report_gen.errors import CorpusError, RecipeError

Study = tuple[str, str, str]
"""Patient, split of the corpus, source."""


def assign(corpora: dict[str, list[Study]], **keys: dict[str, Any]) -> dict[str, list[str]]:
    """Return the splits of corpora by name; `keys` are the keys of their recipes by name."""
    recipes = [CorpusRecipe(name=name, path=name, **keys.get(name, {})) for name in corpora]
    datasets = {
        name: build_dataset(
            Example(study_id=str(number), patient_id=patient, split=split, source=source)
            for number, (patient, split, source) in enumerate(studies)
        )
        for name, studies in corpora.items()
    }
    return {name: splits.tolist() for name, splits in assign_splits(recipes, datasets).items()}


def test_without_keys_the_splits_of_the_corpora_are_kept() -> None:
    one = [("1", "train", "a"), ("2", "val", "b"), ("", "test", "")]
    assert assign({"one": one, "two": [("1", "test", "")]}) == {"one": ["train", "val", "test"], "two": ["test"]}


def test_a_patient_of_two_corpora_is_on_one_side() -> None:
    """A study of the earlier split is left out, so that the published validation and test data stay as they are."""
    one = [("1", "train", ""), ("2", "val", ""), ("3", "train", "")]
    two = [("1", "test", ""), ("2", "train", ""), ("3", "train", "")]
    shared = {"patient_ids": "nih"}
    assert assign({"one": one, "two": two}, one=shared, two=shared) == {
        "one": [LEFT_OUT, "val", "train"],
        "two": ["test", LEFT_OUT, "train"],
    }
    other = {"patient_ids": "other"}
    assert assign({"one": one, "two": two}, one=shared, two=other)["one"] == ["train", "val", "train"]


def test_a_corpus_and_a_numbering_may_have_the_same_name() -> None:
    corpora = {"nih": [("1", "train", "")], "two": [("1", "test", "")]}
    assert assign(corpora, two={"patient_ids": "nih"}) == {"nih": ["train"], "two": ["test"]}


def test_only_chosen_sources_are_held_out() -> None:
    studies = [
        ("1", "test", "a/x@1"),
        ("2", "val", "a/x@1"),
        ("3", "test", "b/y@2"),  # no study of this patient may be test data, so that it trains
        ("4", "test", "a/x@1"),
        ("4", "test", "b/y@2"),  # a test patient: left out
        ("5", "train", "b/y@2"),
    ]
    expected = ["test", "val", "train", "test", LEFT_OUT, "train"]
    assert assign({"one": studies}, one={"held_out_sources": ["a"]})["one"] == expected
    assert assign({"one": studies}, one={"held_out_sources": ["a/x@1"]})["one"] == expected
    assert assign({"one": studies}, one={"held_out_sources": []})["one"] == ["train"] * 6


def test_a_test_patient_of_one_corpus_does_not_train_in_a_corpus_without_test_data() -> None:
    corpora = {"one": [("1", "test", "")], "two": [("1", "test", "c"), ("2", "test", "c")]}
    found = assign(corpora, one={"patient_ids": "p"}, two={"patient_ids": "p", "held_out_sources": []})
    assert found == {"one": ["test"], "two": [LEFT_OUT, "train"]}


def test_held_out_patients_are_held_out_in_all_corpora() -> None:
    studies = [(str(number), "train", "") for number in range(100)]
    keys = {"patient_ids": "p", "hold_out": 0.3}
    found = assign({"one": studies, "two": studies}, one=keys, two={"patient_ids": "p", "held_out_sources": []})
    assert 15 < found["one"].count("val") < 45
    assert [split == "val" for split in found["one"]] == [split == LEFT_OUT for split in found["two"]]


def test_splits_that_are_not_used_are_left_out_and_their_patients_do_not_train() -> None:
    one, two = [("1", "val", ""), ("2", "test", ""), ("3", "train", "")], [("1", "train", ""), ("3", "train", "")]
    keys = {"patient_ids": "p"}
    found = assign({"one": one, "two": two}, one=keys | {"use_splits": ["train", "test"]}, two=keys)
    assert found == {"one": [LEFT_OUT, "test", "train"], "two": [LEFT_OUT, "train"]}


def test_an_unknown_source_is_refused_with_the_known_ones() -> None:
    with pytest.raises(RecipeError, match=r"held_out_sources: the corpus 'one' has no source 'b'; its sources are 'a'"):
        assign({"one": [("1", "test", "a")]}, one={"held_out_sources": ["b"]})
    with pytest.raises(RecipeError, match=r"no source 'b'; its sources are none: it has no column 'source'"):
        assign({"one": [("1", "test", "")]}, one={"held_out_sources": ["b"]})


def test_a_study_without_a_patient_cannot_be_compared() -> None:
    with pytest.raises(CorpusError, match=r"'one' has studies without a patient id.*remove patient_ids"):
        assign({"one": [("", "test", "")]}, one={"patient_ids": "p"})


PACKS: dict[str, dict[str, Any]] = {
    "nih_cxr": {},
    "nih_more": {"held_out_sources": ["rm93"]},
    "nih_128": {"held_out_sources": []},
}
"""The packs of ChestX-ray14, and the recipe keys of their split."""


@pytest.mark.realdata
def test_the_packs_of_chestxray14_share_no_patient_between_splits(shared: Path) -> None:
    """One split, fixed by the hash of the patient id: validation and test from rm93 and nih_cxr only."""
    datasets = {name: read_corpus(shared / "data" / name) for name in PACKS}
    recipes = [CorpusRecipe(name=name, path=name, patient_ids="nih", **keys) for name, keys in PACKS.items()]
    splits = assign_splits(recipes, datasets)
    sides: dict[str, set[str]] = defaultdict(set)
    held_out = Counter()
    for name, dataset in datasets.items():
        for patient, source, split in zip(dataset["patient_id"], dataset["source"], splits[name], strict=True):
            if split != LEFT_OUT:
                sides[patient].add(split)
            if split in ("val", "test"):
                held_out[name, source.partition("/")[0], split] += 1
    assert all(len(side) == 1 for side in sides.values())
    assert splits["nih_cxr"].tolist() == datasets["nih_cxr"]["split"][:]  # the published split stays
    assert held_out == {
        ("nih_cxr", "", "val"): 97,
        ("nih_cxr", "", "test"): 103,
        ("nih_more", "rm93", "val"): 168,
        ("nih_more", "rm93", "test"): 187,
    }
    counts = Counter(split for one in splits.values() for split in one.tolist())
    assert counts == {"train": 9882, "val": 265, "test": 290, LEFT_OUT: 424}
