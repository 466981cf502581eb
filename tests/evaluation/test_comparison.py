"""Comparison of models with fixed texts: against the evaluation of one model, and against hand-computed values."""

from __future__ import annotations

import csv
import gc
import json
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from html.parser import HTMLParser
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from rich.console import Console

from report_gen.corpora import read_corpus
from report_gen.drafting import Drafter
from report_gen.errors import CheckpointError, CorpusError
from report_gen.evaluation import (
    Comparer,
    Comparison,
    EvaluationCorpus,
    FailedModel,
    ModelRun,
    ModelRuns,
    RunOptions,
    evaluate,
    render_comparison,
    select_studies,
    write_comparison,
    write_comparison_csv,
    write_comparison_page,
)
from report_gen.evaluation.corpus_drafts import share_batches
from report_gen.evaluation.model_runs import unique_names
from report_gen.evaluation.peak_memory import measure_memory
from report_gen.evaluation.results import evaluation_to_dict
from report_gen.generation import DecodingChoice
from report_gen.labeling import chest_xray, load_schema
from report_gen.metrics import MetricSuite, ReportTexts, ScoreMethod, compare, load_preset
from report_gen.records import BANNER, FindingSchema
from tests.builders import CORNERS, corner_image, write_manifest, write_png
from tests.fixed_generator import FixedGenerator, loads

LABELS = ("Cardiomegaly", "Pleural Effusion", "No Finding", "Fracture")
"""The finding of each of `CORNERS`."""
METHOD = ScoreMethod(draws=200, java=False)
NORMAL = "FINDINGS: The lungs are clear. The heart is normal in size."
MICRO, MACRO = (f"{average} F1, 14 findings, uncertain-" for average in ("micro", "macro"))

Loaders = Mapping[str, Callable[[], Drafter]]


def draft(place: int) -> str:
    findings, impression = CORNERS[place]
    return f"FINDINGS: {findings} IMPRESSION: {impression}"


RIGHT = {f"test-{place}": draft(place) for place in range(4)}
"""The reports of the four studies."""
SAME = dict.fromkeys(RIGHT, NORMAL)
TURNED = {f"test-{place}": draft((place + 1) % 4) for place in range(4)}
"""The report of another study for each."""


@pytest.fixture(scope="module", autouse=True)
def quick_collections() -> Iterator[None]:
    """Leave the objects of all imported modules out of garbage collections, which would take half a second each."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """Four studies with reports and labels."""
    tmp_path = tmp_path_factory.mktemp("corpus")
    manifest = [
        {
            "study_id": name,
            "images": [str(write_png(tmp_path / f"{name}.png", corner_image(place)))],
            "split": "test",
            "findings": CORNERS[place][0],
            **{label: int(number == place) for number, label in enumerate(LABELS)},
        }
        for place, name in enumerate(RIGHT)
    ]
    return select_studies(read_corpus(write_manifest(tmp_path, manifest)), "test")


def run_models(
    rows: Sequence[Any], models: Loaders, schema: FindingSchema | None = None
) -> tuple[list[ModelRun], list[FailedModel], EvaluationCorpus]:
    def read(schema: FindingSchema) -> EvaluationCorpus:
        return EvaluationCorpus.collect(rows, rows, schema, nearest=True, nih_labels=None)

    options = RunOptions(
        read_corpus=read,
        schema=schema,
        decoding=DecodingChoice(),
        seed=0,
        track=lambda _: lambda items, _total, _what: items,
    )
    runs = ModelRuns(options)
    results = list(runs.run(models))
    finished = [one for one in results if isinstance(one, ModelRun)]
    return finished, [one for one in results if isinstance(one, FailedModel)], finished[0].corpus


def compared(rows: Sequence[Any], models: Loaders) -> Comparison:
    runs, failed, corpus = run_models(rows, models)
    return Comparer(METHOD, corpus).compare(runs, failed)


THREE: Loaders = {
    "a": loads(name="right", texts=RIGHT),
    "b": loads(name="normal", texts=SAME),
    "c": loads(name="turned", texts=TURNED),
}


@pytest.fixture(scope="module")
def three(rows: list[Any]) -> Comparison:
    return compared(rows, THREE)


def test_each_model_has_the_numbers_of_its_own_evaluation(rows: list[Any], three: Comparison) -> None:
    comparison = three
    assert [model.name for model in comparison.models] == ["right", "normal", "turned"]
    of_reports, of_labels = comparison.parts
    for model, load in zip(comparison.models, THREE.values(), strict=True):
        drafter = load()
        alone = evaluate(drafter, rows, decoding=drafter.info.decoding, method=METHOD)
        assert evaluation_to_dict(model.evaluation) == evaluation_to_dict(alone)
        assert alone.reports is not None
        assert of_reports.models[model.name]["ROUGE-L (coco)"] == alone.reports.model["ROUGE-L (coco)"]
        by_name = {one.name: one for one in alone.labels["shuffled"]}
        assert of_labels.models[model.name][MICRO].value == by_name[MICRO].second
        assert set(of_labels.image_use[model.name]["shuffled"]) == {by_name[MICRO], by_name[MACRO]}


def test_scores_against_labels_are_those_computed_by_hand(three: Comparison) -> None:
    _, labels = three.parts
    # Four studies with one label each. A normal draft for all of them has 1 true positive, 3 false ones and misses 3.
    assert {name: scores[MICRO].value for name, scores in labels.models.items()} == {
        "right": 1,
        "normal": pytest.approx(2 / (2 + 3 + 3)),
        "turned": 0,
    }
    assert labels.models["normal"][MACRO].value == pytest.approx((2 / 5) / 4)
    low, high = labels.models["normal"][MICRO].interval or (1, 0)
    assert 0 <= low <= 0.25 <= high
    assert labels.uses_images("right", "shuffled")
    assert not labels.uses_images("normal", "shuffled")


def test_pairs_are_the_comparison_of_their_measures(rows: list[Any], three: Comparison) -> None:
    reports, labels = three.parts
    preset = load_preset("raw")
    references = [row["findings"] for row in rows]
    prepared = preset.prepare_references(references, None)
    suite = MetricSuite(ReportTexts(name="references", texts=references, prepared=prepared))
    texts = {"right": RIGHT, "normal": SAME, "turned": TURNED}
    measures = {}
    for name, drafts in texts.items():
        findings = [text.removeprefix("FINDINGS: ").partition(" IMPRESSION")[0] for text in drafts.values()]
        measured = suite.measure(ReportTexts(name=name, texts=findings, prepared=preset.prepare_predictions(findings)))
        measures[name] = measured.measures
    assert len(reports.pairs) == 3 * len(reports.names)
    assert "CIDEr-D" in reports.names
    for test in reports.pairs:
        expected = {one.name: one for one in compare(measures[test.first], measures[test.second], 200, 0)}
        assert test.difference == expected[test.difference.name]
    (pair,) = [
        one for one in labels.pairs if (one.first, one.second, one.difference.name) == ("right", "turned", MICRO)
    ]
    assert (pair.difference.first, pair.difference.second) == (1, 0)


def test_the_order_of_the_models_does_not_change_their_numbers(rows: list[Any], three: Comparison) -> None:
    forward, backward = three, compared(rows, dict(reversed(THREE.items())))
    for one, other in zip(forward.parts, backward.parts, strict=True):
        assert one.models == other.models
        assert one.image_use == other.image_use
        changes = {
            frozenset((test.first, test.second)): abs(test.difference.second - test.difference.first)
            for test in one.pairs
        }
        assert changes == {
            frozenset((test.first, test.second)): abs(test.difference.second - test.difference.first)
            for test in other.pairs
        }


def test_a_study_that_one_model_refuses_is_left_out_for_all(rows: list[Any]) -> None:
    models = {**THREE, "d": loads(name="choosy", texts=RIGHT, refused={"test-1"})}
    comparison = compared(rows, models)
    assert [row["study_id"] for row in comparison.studies] == ["test-0", "test-2", "test-3"]
    assert all(list(model.evaluation.drafts) == ["test-0", "test-2", "test-3"] for model in comparison.models)
    assert [list(model.run.drafts.refused) for model in comparison.models] == [[], [], [], ["test-1"]]
    # The normal draft is now right for 1 of 3 studies.
    assert comparison.parts[1].models["normal"][MICRO].value == pytest.approx(2 / (2 + 2 + 2))
    assert "choosy: studies that it refused, left out for all models: 1" in comparison.notices


def test_a_study_whose_control_draft_is_refused_is_left_out(rows: list[Any]) -> None:
    comparison = compared(rows, {"a": loads(name="a", texts=RIGHT, refused_blank={"test-2"}), "b": THREE["b"]})
    assert [row["study_id"] for row in comparison.studies] == ["test-0", "test-1", "test-3"]


def test_fewer_than_two_shared_studies_are_an_error_that_says_which_model_refuses(rows: list[Any]) -> None:
    first = loads(name="first", texts=RIGHT, refused={"test-0", "test-1"})
    second = loads(name="second", texts=RIGHT, refused={"test-2"})
    with pytest.raises(CorpusError) as raised:
        compared(rows, {"a": first, "b": second})
    assert str(raised.value) == (
        "fewer than two of 4 studies were drafted by all models, so they cannot be compared; refused by first 2, "
        "second 1; leave out the model that refuses most"
    )


def test_models_that_fail_do_not_stop_the_others(rows: list[Any]) -> None:
    def missing() -> Drafter:
        raise CheckpointError("model.safetensors: is truncated; copy it again")

    models = {
        "missing": missing,
        "faulty": loads(name="x", texts=RIGHT, fault=KeyError("text of a patient")),
        "large": loads(name="x", texts=RIGHT, fault=RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")),
        "choosy": loads(name="x", texts=RIGHT, refused={"test-0", "test-1", "test-2"}),
        "good": THREE["a"],
    }
    runs, failed, _ = run_models(rows, models)
    assert [run.given for run in runs] == ["good"]
    assert {one.given: one.exit_code for one in failed} == {"missing": 4, "faulty": 1, "large": 5, "choosy": 3}
    reasons = [one.reason for one in failed]
    assert reasons[0] == "model.safetensors: is truncated; copy it again"
    assert reasons[1] == "a fault of report-gen or of the model (KeyError); -vv shows where"
    assert reasons[2].startswith("memory is exhausted; choose a smaller --dtype")
    assert reasons[3] == "fewer than two studies could be drafted; the first error: test-0: is refused"


def test_an_error_of_the_corpus_is_not_one_of_the_model() -> None:
    def read(_: FindingSchema) -> EvaluationCorpus:
        raise CorpusError("no corpus")

    options = RunOptions(read_corpus=read, schema=None, decoding=DecodingChoice(), seed=0, track=lambda _: None)  # type: ignore[arg-type, return-value]
    with pytest.raises(CorpusError, match="no corpus"):
        list(ModelRuns(options).run(THREE))


def test_a_model_is_released_before_the_next_one_is_loaded(rows: list[Any]) -> None:
    loaded: list[weakref.ref[Drafter]] = []

    def load(name: str) -> Callable[[], Drafter]:
        def make() -> Drafter:
            assert [one() for one in loaded] == [None] * len(loaded)
            drafter = Drafter(FixedGenerator(name=name, texts=RIGHT))  # type: ignore[arg-type]
            loaded.append(weakref.ref(drafter))
            return drafter

        return make

    runs, failed, _ = run_models(rows, {name: load(name) for name in "abc"})
    assert (len(runs), failed, len(loaded)) == (3, [], 3)


@pytest.mark.parametrize(
    ("models", "names"),
    [
        ({"a": "net", "b": "other"}, ["net", "other"]),
        (
            {"runs/one/best": "net", "runs/two/best": "net", "runs/three/": "net", "runs/four": "other"},
            ["net (runs/one/best)", "net (runs/two/best)", "net (three)", "other"],
        ),
        ({"x": "net", "y": "net", "z": "net (x)"}, ["net (x)", "net (y)", "net (x) (z)"]),
    ],
)
def test_names_are_unique(models: dict[str, str], names: list[str]) -> None:
    runs = [SimpleNamespace(given=given, info=SimpleNamespace(name=name)) for given, name in models.items()]
    assert unique_names(runs) == names  # type: ignore[arg-type]


def test_findings_of_another_kind_are_refused_unless_the_user_names_those_to_score(rows: list[Any]) -> None:
    models = {"chest": THREE["a"], "head": loads(name="head", texts=RIGHT, schema=load_schema(Path("ct_mr")))}
    runs, failed, _ = run_models(rows, models)
    assert [run.given for run in runs] == ["chest"]
    assert failed[0].exit_code == 2
    assert failed[0].reason == (
        "none of its findings (ct_mr) is among those of the first model (chest_xray), which are scored; name the "
        "findings to be scored with --findings"
    )
    runs, failed, corpus = run_models(rows, models, chest_xray())
    assert (len(runs), failed, corpus.schema.name) == (2, [], "chest_xray")


def test_the_decoding_of_each_model_is_its_own(rows: list[Any]) -> None:
    runs, _, _ = run_models(rows, THREE)
    assert [run.decoding.max_tokens for run in runs] == [77, 77, 77]


def test_the_time_of_a_batch_is_shared() -> None:
    assert share_batches([6, 0, 0, 3, 0, 0, 5], 3) == [2, 2, 2, 1, 1, 1, 5]
    assert share_batches([1, 2], 1) == [1, 2]


def test_peak_memory_contains_what_was_freed() -> None:
    with measure_memory() as memory:
        block = bytearray(b"x") * 200_000_000
        time.sleep(0.5)  # five samples
        del block
    with measure_memory() as later:
        pass
    assert memory.added > 150_000_000
    assert memory.resident - memory.before == memory.added
    assert later.added < 100_000_000


def test_memory_of_all_cuda_devices_is_summed(monkeypatch: pytest.MonkeyPatch) -> None:
    reset: list[int] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", reset.append)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: 1000 + device)
    with measure_memory() as memory:
        assert reset == [0, 1]
    assert memory.gpu == 2001


class Texts(HTMLParser):
    """Collects the text and the tags of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_shows_models_studies_notices_and_provenance(rows: list[Any], tmp_path: Path) -> None:
    changes = {"remote": "gpu.example", "notice": "a test of notices", "revision": "c0ffee", "weights_sha256": ""}
    hostile = dict.fromkeys(RIGHT, "FINDINGS: <script>alert(1)</script> effusion.")
    models = {**THREE, "d": loads(name="<b>remote</b>", texts=hostile, changes=changes)}
    path = tmp_path / "page.html"
    comparison = compared(rows, models)
    write_comparison_page(comparison, path)
    page = Texts(path.read_text())
    assert f"{BANNER}. The texts of the models on this page are drafts." in page.text
    assert "script" not in page.tags
    for text in (
        "<b>remote</b>: images and prompt were sent to another computer: gpu.example",
        "<b>remote</b>: a test of notices",
        "c0ffee",
        "ab" * 32,
        "max_tokens 77",
        "<script>alert(1)</script> effusion.",
        "macro F1, 14 findings, uncertain-",
        "Seconds per study",
        "models differ most",
        CORNERS[1][0],
    ):
        assert text in page.text
    shown = page.tags.count("img")
    assert shown == 4  # the four studies
    charts = sum(2 * len(part.names) for part in comparison.parts) + 2  # scores and image use, seconds and memory
    assert page.tags.count("svg") == charts


def test_a_page_without_reports_shows_the_first_studies(rows: list[Any], tmp_path: Path) -> None:
    comparison = compared([{**row, "findings": ""} for row in rows], THREE)
    assert [part.against for part in comparison.parts] == ["labels"]
    write_comparison_page(comparison, tmp_path / "page.html")
    assert "test-0 first" in Texts((tmp_path / "page.html").read_text()).text
    write_comparison_csv(comparison, tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()


def test_the_files_have_every_model(three: Comparison, tmp_path: Path) -> None:
    write_comparison(three, tmp_path / "out.json")
    document = json.loads((tmp_path / "out.json").read_text())
    assert list(document["models"]) == ["right", "normal", "turned"]
    right = document["models"]["right"]
    assert right["drafts"]["test-0"] == "\n".join(CORNERS[0])
    assert right["model"]["decoding"]["max_tokens"] == 77
    assert right["normal_share"] == 0.25
    assert right["peak_resident_bytes"] >= right["resident_bytes_before"] > 0
    found = document["comparison"]
    assert found["studies"] == list(RIGHT)
    assert found["labels"]["models"]["normal"][MICRO]["value"] == pytest.approx(0.25)
    assert found["labels"]["uses_images"]["normal"] == {"shuffled": False, "blank": False}
    assert len(found["reports"]["pairs"]) == 3 * len(found["reports"]["scores"])
    write_comparison_csv(three, tmp_path / "out.csv")
    table = list(csv.DictReader(StringIO((tmp_path / "out.csv").read_text())))
    assert [(row["model"], row["id"]) for row in table] == [
        (model, study) for model in ("right", "normal", "turned") for study in RIGHT
    ]
    assert table[0]["prediction"] == table[0]["reference"] == CORNERS[0][0]


def test_the_table_fits_a_terminal_and_names_no_report(three: Comparison) -> None:
    reports, labels = three.parts
    # Where Java is installed there is one more column.
    models = {
        name: scores | {"METEOR 1.5": replace(scores["BLEU-1"], name="METEOR 1.5")}
        for name, scores in reports.models.items()
    }
    part = replace(reports, names=(*reports.names, "METEOR 1.5"), models=models)
    console = Console(width=80, file=StringIO())
    console.print(render_comparison(replace(three, parts=(part, labels))))
    lines = console.file.getvalue().splitlines()
    for name in models:
        assert sum(line.split()[:1] == [name] for line in lines) >= 4  # wording, findings, labels, costs
    shown = "\n".join(lines)
    assert "normal minus right, against the labels" in shown
    assert "4 studies, drafted by all 3 models" in shown
    assert "…" not in shown
    assert "enlarged" not in shown
