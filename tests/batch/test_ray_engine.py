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
import pyarrow.parquet as parquet
import pytest
from pydicom.uid import JPEG2000Lossless

from report_gen.cli import main
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
    assert draft(folder, "ray", "--engine", "ray") == 2
    assert "has drafts of --engine ray; continue with --resume" in capfd.readouterr().err
    assert draft(folder, "ray", "--engine", "ray", "--resume", "--seed", "1") == 2
    assert draft(folder, "ray", "--engine", "ray", "--resume") == 3  # the broken study is named again
    assert sorted((folder / "ray").glob("*.parquet")) == before


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
