"""A complete score run on a corpus of a few reports, and its results."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from report_gen.errors import CorpusError, OutputError, UsageError
from report_gen.metrics import (
    ScoreOptions,
    ScoreRun,
    render_table,
    run_score,
    score_reports,
    write_csv,
    write_html,
    write_json,
)

NORMAL = "The lungs are clear. No effusion."
TRAIN = [NORMAL, NORMAL, "Small pleural effusion is seen.", "Stable cardiomegaly. No pneumothorax."]
TEST = [f"{NORMAL} Note {number}." for number in range(8)] + ["Large pleural effusion.", "Cardiomegaly & edema <b>."]


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    splits = {
        "train": [{"id": f"t{number}", "report": text} for number, text in enumerate(TRAIN)],
        "val": [{"id": "v0", "report": NORMAL}, {"id": "v1", "report": NORMAL}],
        "test": [{"id": f"s{number}", "report": text} for number, text in enumerate(TEST)],
    }
    path = tmp_path / "annotation.json"
    path.write_text(json.dumps(splits))
    return path


def options(corpus: Path, drafts: list[str], name: str = "drafts.jsonl", **changes) -> ScoreOptions:
    predictions = corpus.parent / name
    lines = (json.dumps({"id": f"s{number}", "report": text}) for number, text in enumerate(drafts))
    predictions.write_text("\n".join(lines))
    standard = ScoreOptions(predictions=predictions, references=corpus, java=False, draws=50)
    return replace(standard, **changes)


def printed(run: ScoreRun) -> str:
    console = Console(width=200, file=io.StringIO())
    console.print(render_table(run))
    return console.file.getvalue()


def test_a_copier_of_one_report_is_collapsed_and_beats_nothing(corpus: Path) -> None:
    run = run_score(options(corpus, [NORMAL] * 10))
    assert run.fails
    assert run.model.diversity.distinct == 1
    assert run.model.diversity.copied_share == 1
    assert run.reference_diversity.copied_share == 0
    assert [verdict.text.split(":")[0].split(" on ")[0] for verdict in run.verdicts] == [
        "collapsed",
        "does not beat the constant report",
    ]
    names = [baseline.name for baseline in run.baselines]
    assert names == ["constant", "most frequent", "random"]
    assert run.baselines[0]["BLEU-4"].value == run.model["BLEU-4"].value


def test_a_good_drafter_fails_nothing(corpus: Path) -> None:
    run = run_score(options(corpus, TEST))
    assert not run.fails
    assert run.model["BLEU-4"].value > 0.9
    assert run.model["micro F1, 14 findings, uncertain+"].value == 1


def test_cases_name_missed_and_invented_findings(corpus: Path) -> None:
    drafts = [*TEST[:8], "The lungs are clear. Small pneumothorax.", "Cardiomegaly. Possible edema."]
    cases = {case.study_id: case for case in run_score(options(corpus, drafts)).cases}
    assert (cases["s0"].missed, cases["s0"].invented) == ((), ())
    assert cases["s8"].missed == ("Pleural Effusion",)
    assert cases["s8"].invented == ("Pneumothorax",)
    assert (cases["s9"].missed, cases["s9"].invented) == ((), ())  # an uncertain finding counts as positive


def test_scores_are_those_of_score_reports(corpus: Path) -> None:
    drafts = [NORMAL] * 10
    by_name = {score.name: score for score in run_score(options(corpus, drafts, preset="r2gen-iu")).model.scores}
    for score in score_reports(drafts, TEST, preset="r2gen-iu", train=TRAIN, draws=50):
        assert by_name[score.name] == score
        assert score.interval is not None
        assert score.interval[0] <= score.value <= score.interval[1]
        assert score.signature.startswith(
            "preset:r2gen-iu|case:lc|tok:whitespace|cut:59|rare:train>=3|refs:1|reports:10"
        )


def test_without_draws_there_are_no_intervals(corpus: Path) -> None:
    run = run_score(options(corpus, TEST, draws=0))
    assert {score.interval for score in run.model.scores} == {None}
    assert "BLEU-4" in printed(run)


def test_two_systems_are_compared_on_the_same_studies(corpus: Path) -> None:
    other = options(corpus, [NORMAL] * 10, "other.jsonl").predictions
    run = run_score(options(corpus, TEST, compare=other))
    assert [one.name for one in run.comparison] == [name for name in run.headline if name != "METEOR 1.5"]
    rouge = next(difference for difference in run.comparison if difference.name == "ROUGE-L (coco)")
    assert rouge.second > rouge.first
    assert rouge.interval[0] > 0
    assert rouge.p_randomization < 0.05
    assert "Against another system" in printed(run)
    short = options(corpus, TEST[:3], "short.jsonl").predictions
    with pytest.raises(CorpusError, match=r"short\.jsonl: no prediction for 7 ids"):
        run_score(options(corpus, TEST, compare=short))


def test_nearest_image_is_a_baseline_when_features_are_given(corpus: Path) -> None:
    features = corpus.parent / "features.npz"
    ids = [f"t{number}" for number in range(4)] + [f"s{number}" for number in range(10)]
    rows = np.eye(4)[[0, 1, 2, 3] + [0] * 8 + [2, 3]]
    np.savez(features, ids=np.array(ids), features=rows)
    nearest = run_score(options(corpus, TEST, features=features)).baselines[-1]
    assert nearest.name == "image 1-NN"
    assert nearest.diversity.distinct == 3
    np.savez(features, ids=np.array(ids[:-1]), features=rows[:-1])
    with pytest.raises(CorpusError, match=r"features\.npz: no features of 1 id \(s9\)"):
        run_score(options(corpus, TEST, features=features))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"ids": np.array(["x"]), "features": np.eye(1)}, "no features of a training report"),
        ({"ids": np.array("t0"), "features": np.eye(1)}, "one row for each"),
        ({"ids": np.array(["t0"]), "features": np.array([["a"]])}, "finite numbers"),
        ({"ids": np.array(["t0"]), "features": np.array([[1j]])}, "finite numbers"),
        ({"ids": np.array(["t0"]), "features": np.array([[np.inf]])}, "finite numbers"),
        ({"ids": np.array(["t0"])}, "not an .npz file"),
        ({"ids": np.array([None]), "features": np.eye(1)}, "not an .npz file"),
    ],
)
def test_features_that_do_not_fit_are_refused_with_their_file(
    corpus: Path, tmp_path: Path, arrays: dict[str, np.ndarray], message: str
) -> None:
    np.savez(tmp_path / "features.npz", **arrays)
    with pytest.raises(CorpusError, match=rf"features\.npz: .*{message}"):
        run_score(options(corpus, TEST, features=tmp_path / "features.npz"))


def test_damaged_archives_of_features_are_refused(corpus: Path, tmp_path: Path) -> None:
    file = tmp_path / "features.npz"
    np.savez_compressed(file, ids=np.array(["t0"]), features=np.eye(1))
    whole = file.read_bytes()
    flags = whole.index(b"PK\1\2") + 8
    encrypted = whole[:flags] + b"\1" + whole[flags + 1 :]
    broken = whole[:60] + bytes(20) + whole[80:]
    for content in (b"", b"x", whole[:-10], broken, encrypted, b"\x93NUMPY\1\0\x04\0{[(("):
        file.write_bytes(content)
        with pytest.raises(CorpusError, match=r"features\.npz: not an \.npz file"):
            run_score(options(corpus, TEST, features=file))


def test_notices_name_missing_inputs(corpus: Path, tmp_path: Path) -> None:
    references = tmp_path / "references.csv"
    with references.open("w", newline="") as file:
        csv.writer(file).writerows([("id", "report"), *((f"s{number}", text) for number, text in enumerate(TEST))])
    run = run_score(options(corpus, TEST, references=references, preset="r2gen-iu"))
    assert any("no baselines" in notice for notice in run.notices)
    assert any("replaces no rare words" in notice for notice in run.notices)
    assert "rare:kept" in run.signature
    assert run.baselines == ()
    train = tmp_path / "train.txt"
    train.write_text("\n".join(TRAIN))
    run = run_score(options(corpus, TEST, references=references, train=train))
    assert [baseline.name for baseline in run.baselines] == ["constant", "most frequent", "random"]
    assert any("no val split" in notice for notice in run.notices)


def test_different_casing_is_warned_of_under_raw_only(corpus: Path) -> None:
    drafts = [text.lower() for text in TEST]
    raw, protocol = (run_score(options(corpus, drafts, preset=preset)) for preset in ("raw", "r2gen-iu"))
    assert any("cased differently" in notice for notice in raw.notices)
    assert not any("cased differently" in notice for notice in protocol.notices)


def test_files_contain_the_run_and_html_is_escaped(corpus: Path, tmp_path: Path) -> None:
    drafts = ["Clear <script>alert(1)</script>", *TEST[1:]]
    run = run_score(options(corpus, drafts))
    write_json(run, tmp_path / "run.json")
    write_csv(run, tmp_path / "run.csv")
    write_html(run, tmp_path / "run.html")
    table = json.loads((tmp_path / "run.json").read_text())
    assert table["model"]["scores"][0]["name"] == "BLEU-1"
    assert table["fails"] is False
    assert table["schema_version"] == 2
    assert NORMAL not in (tmp_path / "run.json").read_text()
    with (tmp_path / "run.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == [f"s{number}" for number in range(10)]
    assert float(rows[1]["BLEU-1"]) == pytest.approx(run.cases[1].scores["BLEU-1"], abs=1e-6)
    page = (tmp_path / "run.html").read_text()
    assert "<script" not in page
    assert page.count("<svg") == page.count("</svg>") > 5
    assert "<mark>&lt;b&gt;.</mark>" not in page
    assert run.support["uncertain+"]["Fracture"] == 0
    assert re.search(r">Fracture</text>.{0,200}>not measurable \(no such report\)</text>", page)
    assert "support 0<" not in page
    assert_balanced(page)
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []


def assert_balanced(page: str) -> None:
    class Balance(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.open: list[str] = []

        def handle_starttag(self, tag: str, attrs: object) -> None:
            if tag not in ("meta", "br"):
                self.open.append(tag)

        def handle_endtag(self, tag: str) -> None:
            assert self.open.pop() == tag

        def handle_startendtag(self, tag: str, attrs: object) -> None:
            pass

    parser = Balance()
    parser.feed(page)
    assert parser.open == []


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t=", "\r=", "\n=", "\uff1d", "\uff0b", "\uff0d", "\uff20"])
def test_no_cell_of_the_table_is_a_formula_or_a_control_character(corpus: Path, tmp_path: Path, start: str) -> None:
    """https://owasp.org/www-community/attacks/CSV_Injection, a spreadsheet that separates cells by ; included."""
    drafts = [f'{start}HYPERLINK("x")', f";{start}1+1;\x1b[31m\u202e", *TEST[2:]]
    write_csv(run_score(options(corpus, drafts)), tmp_path / "run.csv")
    lines = (tmp_path / "run.csv").read_text(encoding="utf-8")
    assert all(character.isprintable() or character in "\t\n" for character in lines)
    with (tmp_path / "run.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    shown = start.replace("\r", r"\r")
    assert rows[0]["prediction"] == f'\'{shown}HYPERLINK("x")'
    assert rows[1]["prediction"] == rf";{shown}1+1;\u001b[31m\u202e"
    assert rows[1]["prediction"].join('""') in lines
    assert rows[2]["prediction"] == TEST[2]


def test_a_failed_write_raises_and_leaves_no_temporary_file(corpus: Path, tmp_path: Path) -> None:
    run = run_score(options(corpus, TEST))
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be written"):
        write_json(run, tmp_path / "file" / "run.json")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError, match="cannot be written"):
        write_csv(run, tmp_path / "folder")
    assert not list(tmp_path.glob(".*"))


def test_several_training_seeds_have_a_mean_and_a_deviation(corpus: Path) -> None:
    """Mean and sample deviation by hand, over the drafts of this model and of two other seeds."""
    others = [
        options(corpus, drafts, f"seed-{number}.jsonl").predictions
        for number, drafts in enumerate([TEST, [NORMAL] * 10])
    ]
    run = run_score(options(corpus, TEST, other_seeds=tuple(others)))
    alone = [
        run_score(options(corpus, drafts, "one.jsonl")).model["BLEU-1"].value for drafts in (TEST, TEST, [NORMAL] * 10)
    ]
    spread = next(one for one in run.training_seeds if one.name == "BLEU-1")
    assert spread.values == pytest.approx(alone)
    assert spread.mean == pytest.approx(sum(alone) / 3)
    assert spread.deviation == pytest.approx((sum((value - sum(alone) / 3) ** 2 for value in alone) / 2) ** 0.5)
    assert "Over 3 training seeds" in printed(run)


def test_the_table_quotes_no_report(corpus: Path) -> None:
    text = printed(run_score(options(corpus, [NORMAL] * 10)))
    assert "does not beat the constant report" in text
    assert "lungs are clear" not in text
    assert "preset:raw|" in text


def test_an_unknown_optional_metric_is_refused_and_a_missing_one_omitted(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="bertscore, chexbert, radgraph"):
        run_score(options(corpus, TEST, optional={"bleurt": tmp_path}))
    run = run_score(options(corpus, TEST, optional={"radgraph": tmp_path}))
    assert any(notice.startswith("RadGraph left out: `pip install radgraph`") for notice in run.notices)
    assert run.model["BLEU-1"].value > 0.9
