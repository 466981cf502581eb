"""`draft --engine ray`: the drafts of a cluster of two nodes, one of which is killed, are those of one process."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from pydicom.uid import JPEG2000Lossless

from report_gen.batch import StudyTask
from report_gen.batch.ray_engine import read_refused
from report_gen.cli import main
from report_gen.drafting import DraftRequest
from report_gen.errors import UsageError
from report_gen.imaging import read_study
from tests.builders import noise_image, write_checkpoint, write_png
from tests.dicom_files import dicom

STUDIES = 40


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a checkpoint, studies, two copies of one study, and one that is broken behind its header."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    write_checkpoint(tmp_path / "tiny")
    for number in range(STUDIES - 2):
        write_png(tmp_path / "in" / f"study-{number:02}" / "chest.png", noise_image(number))
    write_png(tmp_path / "in" / "study-copy" / "chest.png", noise_image(0))
    file = dicom(noise_image(STUDIES).astype(np.uint16), StudyInstanceUID="1.2.3")
    file.compress(JPEG2000Lossless, encoding_plugin="pylibjpeg", generate_instance_uid=False)
    file.PixelData = file.PixelData[:60] + bytes(len(file.PixelData) - 68) + file.PixelData[-8:]
    file.save_as(tmp_path / "in" / "broken.dcm")
    return tmp_path


def draft(folder: Path, output: str, *options: str) -> int:
    """Run `report-gen draft`, and return its exit code."""
    sys.argv = ["report-gen", "draft", str(folder / "in"), "-o", str(folder / output), "--candidates", "2"]
    sys.argv += ["--checkpoint", str(folder / "tiny"), "--format", "txt", "--format", "json", *options]
    with pytest.raises(SystemExit) as stop:
        main()
    return int(stop.value.code or 0)


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Two Ray nodes on this computer: one that reads and writes, and one that drafts."""
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    ray = pytest.importorskip("ray", reason="Ray is not installed; pip install 'report-gen[ray]'")
    from ray.cluster_utils import Cluster

    memory = 100 * 2**20
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "object_store_memory": memory})
    node = cluster.add_node(num_cpus=1, object_store_memory=memory)
    ray.init(address=cluster.address, log_to_driver=False)
    yield cluster, node
    ray.shutdown()
    cluster.shutdown()


@pytest.mark.skipif(
    "REPORT_GEN_RAY" not in os.environ,
    reason="takes a minute, and Ray notices a dead node late on a busy machine; set REPORT_GEN_RAY=1",
)
@pytest.mark.filterwarnings("ignore")  # those of Ray
def test_a_node_that_is_killed_loses_and_doubles_nothing(
    folder: Path, cluster: Any, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", [])
    assert draft(folder, "here", "--workers", "1", "--quiet") == 3
    two_nodes, node = cluster

    def kill() -> None:
        while not any((folder / "ray").glob("*.parquet")):
            time.sleep(0.01)
        two_nodes.remove_node(node, allow_graceful=False)

    thread = threading.Thread(target=kill)
    thread.start()
    assert draft(folder, "ray", "--engine", "ray", "--workers", "2") == 3
    thread.join()
    rows = parquet.read_table(folder / "ray").to_pylist()
    names = [row["study"] for row in rows]
    assert sorted(names) == sorted(["1.2.3", *(path.name for path in (folder / "in").iterdir() if path.is_dir())])
    assert len({row["id"] for row in rows}) == STUDIES
    errors = {row["study"]: row["error"] for row in rows if row["exit_code"]}
    assert list(errors) == ["1.2.3"]
    assert errors["1.2.3"].startswith(f"{folder / 'in' / 'broken.dcm'}: ")
    assert errors["1.2.3"] in capfd.readouterr().err
    for row in rows:
        for suffix in ("txt", "json"):
            draft_here = folder / "here" / f"{row['study']}.{suffix}"
            assert row[suffix] == (draft_here.read_text() if draft_here.exists() else None)
    before = sorted((folder / "ray").glob("*.parquet"))
    assert draft(folder, "here", "--engine", "ray") == 2
    assert "has drafts that were written without --engine ray; choose another folder" in capfd.readouterr().err
    assert draft(folder, "ray") == 2
    assert "has drafts of --engine ray; continue with --engine ray" in capfd.readouterr().err
    assert draft(folder, "ray", "--engine", "ray") == 2
    assert "has drafts of --engine ray; continue with --resume" in capfd.readouterr().err
    assert draft(folder, "ray", "--engine", "ray", "--resume", "--seed", "1") == 2
    assert draft(folder, "ray", "--engine", "ray", "--resume") == 3  # the broken study is named again
    assert f"nothing was written to {folder / 'ray'}; studies refused: 1" in capfd.readouterr().err
    assert sorted((folder / "ray").glob("*.parquet")) == before


@pytest.mark.skipif("REPORT_GEN_RAY" not in os.environ, reason="takes minutes; set REPORT_GEN_RAY=1")
@pytest.mark.filterwarnings("ignore")  # those of Ray
def test_a_batch_goes_on_after_a_stop(
    folder: Path, cluster: Any, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write was cut off; one study has a new copy under a name that is not UTF-8 and sorts before it."""
    monkeypatch.setattr(sys, "argv", [])
    options = ("--engine", "ray", "--workers", "1")
    assert draft(folder, "ray", *options) == 3
    recorded = next((folder / "ray" / ".ray" / "written").glob("*.parquet"))
    (written,) = (folder / "ray").glob(f"{recorded.stem}*.parquet")
    lost = parquet.read_table(written).num_rows
    written.write_bytes(written.read_bytes()[:100])
    recorded.rename(recorded.with_suffix(".pending.parquet"))
    assert draft(folder, "ray", *options, "--resume") == 3
    assert f"{STUDIES - lost} of {STUDIES} studies were drafted before" in capfd.readouterr().err
    assert not written.exists()
    copy = Path(os.fsdecode(os.fsencode(folder / "in") + b"/a-\xe9"))
    write_png(copy / "chest.png", noise_image(0))
    assert draft(folder, "ray", *options, "--resume") == 3
    assert f"{STUDIES} of {STUDIES + 1} studies were drafted before" in capfd.readouterr().err
    rows = parquet.read_table(folder / "ray").to_pylist()
    assert len({row["id"] for row in rows}) == len({row["study"] for row in rows}) == len(rows) == STUDIES + 1
    assert [row["txt"] for row in rows if row["study"] == r"a-\udce9"] == [
        row["txt"] for row in rows if row["study"] == "study-00"
    ]


@pytest.mark.parametrize("content", [b"", b"PAR1 cut off", None])
def test_files_of_other_programs_are_refused(
    folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, content: bytes | None
) -> None:
    monkeypatch.setattr(sys, "argv", [])
    foreign = folder / "ray" / "foreign.parquet"
    foreign.parent.mkdir()
    if content is None:
        parquet.write_table(pa.table({"id": ["1"]}), foreign)
    else:
        foreign.write_bytes(content)
    assert draft(folder, "ray", "--engine", "ray") == 2
    assert f"{folder / 'ray'}: has Parquet files of another program; choose another folder" in capfd.readouterr().err
    assert [path.name for path in foreign.parent.iterdir()] == ["foreign.parquet"]
    with pytest.raises(UsageError, match=r"foreign\.parquet: is not a table of drafts; move it to another folder"):
        list(read_refused(foreign.parent))


def test_other_files_beside_the_rows_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("of the user", encoding="utf-8")
    assert list(read_refused(tmp_path)) == []
    rows = {"id": ["a", "b"], "study": ["A", "B"], "error": ["", "B: broken"], "exit_code": [0, 3]}
    parquet.write_table(pa.table(rows), tmp_path / "rows.parquet")
    assert [(str(error), error.exit_code) for error in read_refused(tmp_path)] == [("B: broken", 3)]


@pytest.mark.parametrize("content", ["damaged \udce9", None])
def test_a_damaged_record_of_the_request_is_not_continued(
    folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, content: str | None
) -> None:
    monkeypatch.setattr(sys, "argv", [])
    request = folder / "ray" / ".ray" / "request"
    request.parent.mkdir(parents=True)
    if content is None:
        request.mkdir()
    else:
        request.write_bytes(os.fsencode(content))
    assert draft(folder, "ray", "--engine", "ray", "--resume") == 2
    assert "has drafts of other options or of another release" in capfd.readouterr().err


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nonsense", "host:port", "auto"])
def test_a_cluster_that_does_not_answer(
    folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    pytest.importorskip("ray", reason="Ray is not installed; pip install 'report-gen[ray]'")
    monkeypatch.setattr(sys, "argv", [])
    monkeypatch.setenv("RAY_ADDRESS", address)
    monkeypatch.setenv("RAY_TMPDIR", str(folder / "no-cluster-here"))
    assert draft(folder, "ray", "--engine", "ray") == 5
    assert f"no Ray cluster answers at {address}, the value of RAY_ADDRESS" in capfd.readouterr().err
    assert not (folder / "ray").exists()


def test_ids_of_copies(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="Ray is not installed; pip install 'report-gen[ray]'")
    from report_gen.batch.ray_drafting import study_ids

    def task(name: str, seed: int) -> StudyTask:
        study = read_study(write_png(tmp_path / name / "chest.png", noise_image(seed)).parent)
        return StudyTask(number=0, request=DraftRequest(study), models=(), formats=())

    first, other, copy = task("first", 0), task("other", 1), task("copy", 0)
    ids = list(study_ids([first, other, copy, first]))
    assert len(set(ids)) == 4
    assert list(study_ids([copy, first, first])) == [ids[2], ids[0], ids[3]]


def test_written_studies_are_read_again_if_a_node_dies(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="Ray is not installed; pip install 'report-gen[ray]'")
    from ray.exceptions import RayError

    from report_gen.batch.ray_drafting import _read_written

    class Manager:
        def __init__(self, failures: int) -> None:
            self.failures = failures

        def load_checkpoint(self, *_: Any) -> tuple[None, int]:
            self.failures -= 1
            if self.failures >= 0:
                raise RayError("the node has died")
            return None, 0

    assert _read_written(Manager(2), tmp_path) == set()
    with pytest.raises(RayError):
        _read_written(Manager(3), tmp_path)


def test_without_ray_the_error_says_what_to_install(
    folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.setattr(sys, "argv", [])
    assert draft(folder, "ray", "--engine", "ray") == 2
    assert "--engine ray needs Ray; install it with: pip install 'report-gen[ray]'" in capfd.readouterr().err


@pytest.mark.parametrize("option", [["--attention", "a.png"], ["--overwrite"]])
def test_options_that_the_engine_does_not_have(
    folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, option: list[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [])
    assert draft(folder, "ray", "--engine", "ray", *option) == 2
    assert f"{option[0]}: --engine ray does not have this option" in capfd.readouterr().err
