"""METEOR 1.5 against the Java program's own score, and exact+stem F against nltk."""

from __future__ import annotations

import gc
import os
import time
from pathlib import Path

import evaluate
import numpy as np
import pytest
from nltk.translate.meteor_score import exact_match, single_meteor_score

from report_gen.errors import UsageError
from report_gen.metrics import Pairs, ScoreMethod, metric_folder, score_texts
from report_gen.metrics.exact_stem import exact_stem, stem
from report_gen.metrics.joining import JoinedReports
from report_gen.metrics.meteor import Meteor, MeteorError, _finish, _parse, find_meteor, missing_for_meteor

WORDS = ["no", "pleural", "effusion", "effusions", "is", "seen", ".", "the", "lungs", "lung", "clear", "clearing", "肺"]


def random_pairs(count: int) -> Pairs:
    rng = np.random.default_rng(3)
    pairs = [("the lungs are clear .", "the lungs are clear ."), ("", "clear"), ("clear", ""), ("a ||| b", "b")]
    pairs += [
        (" ".join(rng.choice(WORDS, rng.integers(1, 15))), " ".join(rng.choice(WORDS, rng.integers(1, 15))))
        for _ in range(count)
    ]
    return Pairs(*zip(*pairs, strict=True))


class OurStemmer:
    def stem(self, word: str) -> str:
        return stem(word)


class NoSynonyms:
    def synsets(self, _word: str) -> list[str]:
        return []


def test_exact_stem_is_nltk_without_synonyms() -> None:
    pairs = random_pairs(1000)
    theirs = [
        single_meteor_score(reference.split(), prediction.split(), stemmer=OurStemmer(), wordnet=NoSynonyms())
        for prediction, reference in zip(pairs.predictions, pairs.references, strict=True)
    ]
    np.testing.assert_allclose(exact_stem(pairs).per_report[:, 0], theirs, atol=1e-12)


def test_exact_stem_never_takes_the_name_of_meteor() -> None:
    assert not any("METEOR" in name for name in exact_stem(random_pairs(1)).names)
    assert exact_match(["effusion"], ["effusions"])[0] == []
    assert exact_stem(Pairs(["effusion"], ["effusions"])).values[0] == 0.5


def test_the_score_is_computed_from_the_counts_of_the_program() -> None:
    answer = "10.0 10.0 5.0 5.0 2.0 2.0 4.0 4.0 2.0 2.0 0.0 0.0 0.0 0.0 1.0 1.0 0.0 0.0 0.0 0.0 2.0 9.0 9.0"
    assert _finish(np.array(_parse(answer)))[0] == pytest.approx(0.4002274029710995, abs=1e-12)
    with pytest.raises(UsageError, match="2 counts instead of 23"):
        _parse("1.0 2.0")


def test_without_java_there_is_no_meteor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert find_meteor() is None
    with pytest.raises(UsageError, match=r"METEOR 1\.5 needs Java \(Debian: apt-get install"):
        Meteor()


@pytest.mark.realdata  # needs none, but loading the paraphrases of the program takes ten seconds
@pytest.mark.usefixtures("shared")
@pytest.mark.skipif(find_meteor() is None, reason="needs Java and pycocoevalcap")
def test_meteor_is_the_score_of_the_program() -> None:
    pairs = random_pairs(60)
    with Meteor() as meteor:
        ours = meteor(pairs)
        again = meteor(Pairs(pairs.predictions[3:6], pairs.references[3:6]))
        # As pycocoevalcap: the counts of each pair back to the program, which answers with all scores and their whole.
        counts = [
            meteor._ask(f"SCORE ||| {there.replace('|||', '')} ||| {here.replace('|||', '')}\n").strip()
            for here, there in zip(pairs.predictions, pairs.references, strict=True)
        ]
        per_report = [meteor._ask(f"EVAL ||| {' ||| '.join(counts)}\n"), *(meteor._ask("") for _ in counts)]
    np.testing.assert_allclose(ours.per_report[:, 0], [float(score) for score in per_report[:-1]], atol=1e-9)
    assert ours.values[0] == pytest.approx(float(per_report[-1]), abs=1e-9)
    np.testing.assert_array_equal(again.statistics, ours.statistics[3:6])


def test_what_is_missing_is_named_with_its_source(monkeypatch: pytest.MonkeyPatch) -> None:
    java = "Java (Debian: apt-get install default-jre-headless, macOS: brew install openjdk)"
    program = "its program meteor-1.5.jar, which the package pycocoevalcap contains (pip install"
    monkeypatch.setattr("report_gen.metrics.meteor.shutil.which", lambda _: None)
    monkeypatch.setattr("report_gen.metrics.meteor.find_spec", lambda _: object())
    assert missing_for_meteor() == f"METEOR 1.5 needs {java}"
    monkeypatch.setattr("report_gen.metrics.meteor.find_spec", lambda _: None)
    assert missing_for_meteor().startswith(f"METEOR 1.5 needs {java} and {program}")
    monkeypatch.setattr("report_gen.metrics.meteor.shutil.which", lambda _: "/usr/bin/java")
    assert missing_for_meteor().startswith(f"METEOR 1.5 needs {program}")


COUNTS = " ".join(["1.0"] * 23)


@pytest.fixture
def stub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program named java that answers with counts and ends after the word "die"; the file of its starts."""
    starts = tmp_path / "starts"
    answer = f'case "$line" in *die*) exit 9;; *) echo "{COUNTS}";; esac'
    write_java(tmp_path / "bin", f"echo $$ >> {starts}; while read line; do {answer}; done")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setattr("report_gen.metrics.meteor.find_meteor", lambda: tmp_path / "meteor-1.5.jar")
    return starts


def is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_the_module_keeps_one_program_for_all_calls_and_ends_it(stub: Path) -> None:
    module = evaluate.load(metric_folder("report_meteor"))
    first = module.compute(predictions=["a b"], references=["a c"])
    assert module.compute(predictions=["a b"], references=["a d"]) == first
    (process,) = map(int, stub.read_text().split())
    assert is_running(process)
    del module
    gc.collect()
    assert not is_running(process)


def test_a_program_that_died_is_reported_and_started_anew(stub: Path) -> None:
    module = evaluate.load(metric_folder("report_meteor"))
    with pytest.raises(MeteorError, match="java ended with exit code 9"):
        module.compute(predictions=["die"], references=["a"])
    assert set(module.compute(predictions=["a"], references=["a"])) == {"METEOR 1.5"}
    first, second = map(int, stub.read_text().split())
    assert not is_running(first)
    assert is_running(second)


@pytest.mark.usefixtures("stub")
def test_equal_pairs_are_sent_once() -> None:
    with Meteor() as meteor:
        sent: list[str] = []
        meteor._ask = lambda line: (sent.append(line), COUNTS)[1]  # type: ignore[method-assign]
        assert meteor(Pairs(["a", "b", "a"], ["c", "c", "c"])).statistics.shape == (3, 23)
    assert sent == ["SCORE ||| c ||| a\n", "SCORE ||| c ||| b\n"]


def write_java(folder: Path, script: str) -> None:
    """Write a program named java that is not Java."""
    folder.mkdir(parents=True)
    (folder / "java").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "java").chmod(0o755)


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo 'Unable to locate a Java Runtime.' >&2; exit 3", "java ended with exit code 3 (Unable to locate a Java"),
        ("exit 0", "java ended with exit code 0"),
        ("sleep 600", "java gave no answer within 1 seconds"),
        ("while read line; do echo 1.0 2.0; done", "METEOR 1.5 returned 2 counts instead of 23"),
        ("while read line; do echo Picked up JAVA_TOOL_OPTIONS; done", "java answered 'Picked up JAVA_TOOL_OPTIONS'"),
        ("read line; kill -9 $$", "java ended with exit code -9"),
    ],
)
def test_a_java_that_fails_or_hangs_costs_meteor_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, message: str
) -> None:
    write_java(tmp_path / "bin", script)
    jar = tmp_path / "meteor-1.5.jar"
    jar.touch()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setattr("report_gen.metrics.meteor.find_meteor", lambda: jar)
    monkeypatch.setattr("report_gen.metrics.score_setup.find_meteor", lambda: jar)
    monkeypatch.setattr("report_gen.metrics.meteor.TIME_LIMIT", 1.0)
    joined = JoinedReports(ids=("1", "2"), predictions=("a b", "c d"), references=("a b", "c e"), notices=())
    start = time.monotonic()
    run = score_texts(joined, ScoreMethod(draws=0))
    assert time.monotonic() - start < 20
    names = [score.name for score in run.model.scores]
    assert "BLEU-1" in names
    assert "METEOR 1.5" not in names
    assert [score.name for score in score_texts(joined, ScoreMethod(draws=0, java=False)).model.scores] == names
    (notice,) = (notice for notice in run.notices if "METEOR" in notice)
    assert message in notice
    assert "--no-java" in notice
