"""`read_corpus`: auto-detected layouts, refused corpora, and that it leaves no files behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from report_gen.corpora import LAYOUTS, Example, corpus_features, read_corpus
from report_gen.corpora.examples import build_dataset
from report_gen.errors import CorpusError, OutputError, UsageError
from report_gen.labeling import chest_xray

FINDINGS = chest_xray().findings

KEYS = st.sampled_from(["id", "findings", "report", "images", "view", "split", "edema", "train", "test", "image_path"])
FILES = st.sampled_from(["manifest.jsonl", "manifest.csv", "annotation.json", "indiana_reports.csv", "labels.csv"])


def write_rows(path: Path, *rows: dict[str, object]) -> Path:
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return path


def test_every_column_has_the_type_of_features(tmp_path: Path) -> None:
    manifest = write_rows(tmp_path / "manifest.jsonl", {"id": 7, "findings": "Clear lungs.", "edema": 0})
    corpus = read_corpus(manifest)
    assert corpus.features == corpus_features(chest_xray())
    assert corpus[0] == {
        "study_id": "7",
        "patient_id": "",
        "images": [],
        "view_positions": [],
        "offsets_mm": [],
        "offsets_seconds": [],
        "offsets_days": [],
        "is_prior": [],
        "prior_report": "",
        "study_description": "",
        "admitting_diagnoses": "",
        "indication": "",
        "comparison": "",
        "modality": "",
        "plane": "",
        "body_part": "",
        "findings": "Clear lungs.",
        "impression": "",
        "labels": [0.0 if name == "Edema" else None for name in FINDINGS],
        "soft_labels": [None] * 17,
        "adjudicated_findings": [],
        "finding_boxes": [],
        "source": "",
        "stored_px": 0,
        "split": "train",
    }


def test_no_report_text_is_left_on_disk(tmp_path: Path) -> None:
    manifest = write_rows(tmp_path / "manifest.jsonl", {"id": "1", "findings": "Quokka-shaped opacity."})
    home = tmp_path / "home"
    program = (
        "import sys; from pathlib import Path; from report_gen.corpora import read_corpus\n"
        "corpus = read_corpus(Path(sys.argv[1])).map(lambda study: {'report': study['findings']})\n"
        "sys.exit(corpus.cache_files != [] or 'torch' in sys.modules)"
    )
    places = dict.fromkeys(("HF_HOME", "HF_DATASETS_CACHE", "HOME", "XDG_CACHE_HOME"), str(home))
    subprocess.run([sys.executable, "-c", program, str(manifest)], env={**os.environ, **places}, check=True)
    left = [path for path in home.rglob("*") if path.is_file() and b"Quokka" in path.read_bytes()]
    assert left == []


def test_an_unknown_layout_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=", ".join(LAYOUTS)):
        read_corpus(tmp_path, layout="mimic")


def test_a_folder_without_a_known_layout_lists_the_known_ones(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text("<x/>")
    with pytest.raises(CorpusError, match=", ".join(LAYOUTS)):
        read_corpus(tmp_path)


def test_a_missing_path_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="no such file"):
        read_corpus(tmp_path / "absent")
    with pytest.raises(CorpusError, match="no such file"):
        read_corpus(tmp_path / ("x" * 5000))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_given_layout_that_does_not_match_is_refused(tmp_path: Path, layout: str) -> None:
    with pytest.raises(CorpusError, match=str(tmp_path)):
        read_corpus(tmp_path, layout=layout)


def test_two_layouts_in_one_folder_are_ambiguous(tmp_path: Path) -> None:
    (tmp_path / "annotation.json").write_text('{"train": [{"id": "1", "report": "Clear.", "image_path": []}]}')
    (tmp_path / "indiana_reports.csv").write_text("uid,indication,comparison,findings,impression\n2,,,Dim.,\n")
    (tmp_path / "indiana_projections.csv").write_text("uid,filename,projection\n")
    with pytest.raises(CorpusError, match=r"r2gen or indiana; choose with --layout"):
        read_corpus(tmp_path)
    assert read_corpus(tmp_path, layout="r2gen")["findings"][:] == ["Clear."]
    assert read_corpus(tmp_path, layout="indiana")["findings"][:] == ["Dim."]
    assert read_corpus(tmp_path / "annotation.json")["findings"][:] == ["Clear."]
    assert read_corpus(tmp_path / "indiana_reports.csv")["findings"][:] == ["Dim."]


def test_missing_images_are_counted_and_the_first_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    row = {"id": "1", "findings": "Clear.", "images": "a.png;b.png;c.png", "views": "PA;lateral;AP"}
    manifest = write_rows(tmp_path / "manifest.jsonl", row)
    with pytest.raises(CorpusError, match=r"2 of 3 images are missing: .*b\.png, .*c\.png; add the files"):
        read_corpus(manifest)
    study = read_corpus(manifest, require_images=False)[0]
    assert (study["images"], study["view_positions"]) == ([str(tmp_path / "a.png")], ["PA"])
    study = read_corpus(manifest, require_images=None)[0]
    assert study["images"] == [str(tmp_path / name) for name in ("a.png", "b.png", "c.png")]


def test_a_store_has_the_same_rows_in_a_file_without_name(tmp_path: Path) -> None:
    rows = [{"id": str(n), "findings": f"Clear {n}.", "edema": n % 2, "split": "test"} for n in range(2500)]
    manifest, store = write_rows(tmp_path / "manifest.jsonl", *rows), tmp_path / "new" / "store"
    stored = read_corpus(manifest, store=store)
    assert stored.features == corpus_features(chest_xray())
    assert stored[:] == read_corpus(manifest)[:]
    write_rows(manifest, *rows[:7])
    assert len(read_corpus(manifest, store=store)) == 7
    assert stored[2499]["findings"] == "Clear 2499."  # the older table is still mapped
    assert list(store.iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "O_TMPFILE"), reason="elsewhere the file has a name until it is open")
def test_the_table_has_no_name_while_it_is_written(tmp_path: Path) -> None:
    """What has no name cannot be left behind by a process that is killed."""
    found: list[Path] = []

    def examples() -> Iterator[Example]:
        for number in range(2500):
            found.extend(tmp_path.iterdir())
            yield Example(study_id=str(number), findings="Clear.")

    assert len(build_dataset(examples(), tmp_path)) == 2500
    assert found == []


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of a process is read from /proc")
def test_with_a_store_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    """Five times as many rows of 2,000 characters need hardly more memory: 40 MB of text are in the file."""
    program = (
        "import sys; from pathlib import Path; from report_gen.corpora import read_corpus\n"
        "for manifest in sys.argv[1:]:\n"
        "    read_corpus(Path(manifest), store=Path(f'{manifest}.store'))\n"
        "    print(Path('/proc/self/status').read_text().partition('VmHWM:')[2].split()[0])"
    )
    row = json.dumps({"id": "%d", "findings": "x" * 2000})
    manifests = [tmp_path / f"{count}.jsonl" for count in (5_000, 25_000)]
    for manifest in manifests:
        manifest.write_text("".join(row.replace("%d", str(n)) + "\n" for n in range(int(manifest.stem))))
    call = [sys.executable, "-c", program, *map(str, manifests)]
    first, second = map(int, subprocess.run(call, check=True, capture_output=True, text=True).stdout.split())  # kB
    assert second - first < 20_000


def test_a_failure_leaves_nothing_in_the_store(tmp_path: Path) -> None:
    for second in ({"id": ""}, {"id": "2", "findings": "x", "split": "holdout"}):
        manifest = write_rows(tmp_path / "manifest.jsonl", {"id": "1", "findings": "x"}, second)
        with pytest.raises(CorpusError, match=r"row 2|unknown split"):
            read_corpus(manifest, store=tmp_path / "store")
        assert list((tmp_path / "store").iterdir()) == []


def test_a_store_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    manifest = write_rows(tmp_path / "manifest.jsonl", {"id": "1", "findings": "x"})
    with pytest.raises(
        OutputError, match=r"manifest\.jsonl: cannot be written, because a file has the name of a folder"
    ):
        read_corpus(manifest, store=manifest)


@pytest.mark.parametrize("require_images", [True, False])
def test_a_name_too_long_for_a_file_is_a_missing_image(tmp_path: Path, require_images: bool) -> None:
    manifest = write_rows(tmp_path / "manifest.jsonl", {"id": "1", "findings": "x", "image": "x" * 5000 + ".png"})
    if require_images:
        with pytest.raises(CorpusError, match="1 of 1 images are missing"):
            read_corpus(manifest)
    else:
        assert read_corpus(manifest, require_images=False)["images"][:] == [[]]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "no studies"),
        ([{"id": "1", "findings": "\ud800"}], "half a character"),
        ([{"id": "1", "findings": "x" * 200_000}], "1 studies have a text of more than 131072 characters"),
        ([{"id": "1", "findings": "a\0b"}], "1 studies have NUL"),
        ([{"id": "1", "findings": "a", "split": "holdout"}], "unknown split 'holdout'; use train, val, test"),
        (
            [{"id": str(n), "patient_id": "Z", "findings": "a", "split": s} for n, s in enumerate(("train", "test"))],
            "1 patients have studies in more than one split",
        ),
    ],
)
def test_faulty_corpora_are_refused(tmp_path: Path, rows: list[dict[str, object]], message: str) -> None:
    with pytest.raises(CorpusError, match=message):
        read_corpus(write_rows(tmp_path / "manifest.jsonl", *rows))


def test_faulty_corpora_are_read_without_checks(tmp_path: Path) -> None:
    rows = [
        {"id": str(n), "patient_id": "Z", "findings": "a\0b", "split": s} for n, s in enumerate(("train", "holdout"))
    ]
    manifest = write_rows(tmp_path / "manifest.jsonl", *rows)
    assert read_corpus(manifest, check=False)["split"][:] == ["train", "holdout"]
    with pytest.raises(CorpusError, match="no studies"):
        read_corpus(write_rows(tmp_path / "empty.jsonl"), check=False)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | st.text(), inner, max_size=4),
    max_leaves=12,
)
CSV_TEXTS = st.lists(st.sampled_from(["id", "findings", "image", "edema", ",", "\n", "\r", '"', ";", "1", "é"])).map(
    "".join
)


@given(content=st.binary() | JSON_VALUES.map(json.dumps).map(str.encode) | CSV_TEXTS.map(str.encode), file=FILES)
@settings(max_examples=300)
def test_any_content_gives_a_corpus_or_a_corpus_error(content: bytes, file: str) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / file
        path.write_bytes(content)
        (Path(folder) / "indiana_projections.csv").write_text("uid,filename,projection\n")
        with suppress(CorpusError):
            assert read_corpus(path, require_images=False).features == corpus_features(chest_xray())
