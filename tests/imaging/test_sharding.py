"""Shards: every study and every broken file is in exactly one shard, whatever folder it lies in."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from report_gen.imaging import Shard, read_studies, study_identity
from report_gen.records import Study
from tests.builders import noise_image, write_png
from tests.dicom_files import write_dicom

SHARDS = 3


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Twelve DICOM studies of two files in two folders, ten pictures, three of them in one study, and broken files."""
    folder = tmp_path / "archive"
    for number in range(12):
        for image in (1, 2):
            uids = {"StudyInstanceUID": f"1.2.3.{number}", "SOPInstanceUID": f"1.2.3.{number}.{image}"}
            path = folder / f"station-{image}" / f"{number}.dcm"
            write_dicom(path, noise_image(10 * number + image).astype(np.uint16), **uids)
    for number in range(7):
        write_png(folder / f"patient-{number}" / "chest.png", noise_image(200 + number))
    for name in ("pa", "lateral", "oblique"):
        write_png(folder / "views" / f"{name}.png", noise_image(len(name) + 300))
    for number in range(6):
        (folder / "station-1" / f"broken-{number}.dcm").write_bytes(bytes([number]) * 128 + b"DICM\x02\x00")
    (folder / "notes.txt").write_text("no image")
    return folder


def by_identity(studies: tuple[Study, ...]) -> dict[str, Study]:
    return {study_identity(study): study for study in studies}


def test_every_study_is_in_one_shard(archive: Path) -> None:
    whole = read_studies(archive)
    assert len(whole.studies) == 12 + 7 + 1
    assert len(whole.refused) == 6
    shards = [read_studies(archive, shard=Shard(index, SHARDS)) for index in range(SHARDS)]
    assert Counter(study for shard in shards for study in shard.studies) == Counter(whole.studies)
    assert sorted(error.path for shard in shards for error in shard.refused) == sorted(
        error.path for error in whole.refused
    )
    assert all(2 <= len(shard.studies) <= 12 for shard in shards)


def test_a_shard_does_not_depend_on_folders_and_other_studies(archive: Path, tmp_path: Path) -> None:
    """The archive moves, the files get other names, and half of the studies are missing."""
    other = tmp_path / "other"
    for number, path in enumerate(sorted(archive.rglob("*"), reverse=True)):
        if path.suffix == ".dcm" and path.stem in "02468" and path.is_file():
            (other / str(number)).mkdir(parents=True)
            shutil.copy(path, other / str(number) / "image")
    shutil.copytree(archive / "patient-3", other / "patient-8")
    for index in range(SHARDS):
        shard = Shard(index, SHARDS)
        here, there = (by_identity(read_studies(folder, shard=shard).studies) for folder in (archive, other))
        assert there.keys() <= here.keys()
        assert [len(there[key].images) for key in there] == [len(here[key].images) for key in there]
    identities = by_identity(read_studies(other).studies)
    assert len(identities) == 6


def test_a_shard_is_chosen_by_the_study_instance_uid() -> None:
    """SHA-256 of the UID, its first eight bytes as a number, modulo the number of shards: printf UID | sha256sum."""
    assert Shard(0x6694F83C9F476DA3 % 7, 7).contains("1.2.3.4")
    assert sum(Shard(index, 7).contains("1.2.3.4") for index in range(7)) == 1


def test_shards_have_similar_sizes() -> None:
    sizes = Counter(index for uid in range(4000) for index in range(8) if Shard(index, 8).contains(f"1.2.840.{uid}"))
    assert len(sizes) == 8
    assert all(abs(size - 500) < 90 for size in sizes.values())  # four standard deviations


def test_files_of_other_shards_are_not_hashed(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    described = []
    from report_gen.imaging import reading

    describe = reading.describe_file
    monkeypatch.setattr(reading, "describe_file", lambda path: (described.append(path), describe(path))[1])
    shard = Shard(1, SHARDS)
    studies = read_studies(archive, shard=shard).studies
    dicom = [path for path in described if path.suffix == ".dcm" and "broken" not in path.name]
    assert sorted(dicom) == sorted(
        image.path for study in studies for image in study.images if study.study_instance_uid
    )


def test_an_empty_shard_is_no_error(tmp_path: Path) -> None:
    write_dicom(tmp_path / "a" / "a.dcm", noise_image(1).astype(np.uint16), StudyInstanceUID="1.2.3.4")
    index = next(index for index in range(2) if not Shard(index, 2).contains("1.2.3.4"))
    found = read_studies(tmp_path / "a", shard=Shard(index, 2))
    assert (found.studies, found.refused) == ((), ())


def test_a_broken_file_without_uid_counts_as_in_the_whole_folder(tmp_path: Path) -> None:
    """Beside two studies it belongs to neither, also where the shard has only one of them."""
    for number in (0, 2):
        uids = {"StudyInstanceUID": f"1.2.3.{number}", "SOPInstanceUID": f"1.2.3.{number}.1"}
        write_dicom(tmp_path / "in" / f"{number}.dcm", noise_image(number).astype(np.uint16), **uids)
    (tmp_path / "in" / "broken.dcm").write_bytes(b"\0" * 128 + b"DICM\x02\x00")
    shards = [read_studies(tmp_path / "in", shard=Shard(index, 5)).studies for index in range(5)]
    assert max(map(len, shards)) == 1  # in different shards
    assert [study.unreadable_images for of_shard in shards for study in of_shard] == [0, 0]
