"""Checkpoints of schema version 1 load as they were: the same weights, thresholds and drafts."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from report_gen.labeling import chest_xray
from report_gen.model import load_checkpoint
from report_gen.model.migration import CURRENT_VERSION, migrate_config
from tests.builders import THRESHOLDS, tiny_config, tiny_model, write_checkpoint
from tests.checkpoint_damage import edit_config

VERSION_1_FINDINGS = (
    *("No Finding", "Enlarged Cardiomediastinum", "Cardiomegaly", "Lung Opacity", "Lung Lesion", "Edema"),
    *("Consolidation", "Pneumonia", "Atelectasis", "Pneumothorax", "Pleural Effusion", "Pleural Other", "Fracture"),
    *("Support Devices", "Emphysema", "Fibrosis", "Hernia"),
)
"""The global order of findings when version 1 was written: rows of its weights are in it."""


def write_version_1(folder: Path) -> Path:
    """A checkpoint as version 1 wrote it: `format`, `taught`, and no schema of findings."""
    trained = [name != "Hernia" for name in VERSION_1_FINDINGS]
    model = tiny_model(tiny_config(findings={"present": THRESHOLDS, "trained": trained}))
    write_checkpoint(folder, model=model)
    config: dict[str, Any] = json.loads((folder / "config.json").read_text())
    del config["schema_version"], config["finding_schema"], config["scope"]
    config["findings"]["taught"] = config["findings"].pop("trained")
    content = json.dumps({"format": 1} | config, indent=2)
    (folder / "config.json").write_text(content)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["config.json"] = hashlib.sha256(content.encode()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def test_a_checkpoint_of_version_1_has_the_findings_of_the_chest(tmp_path: Path) -> None:
    loaded = load_checkpoint(write_version_1(tmp_path / "tiny")).model
    assert loaded.config.schema_version == CURRENT_VERSION
    assert loaded.config.finding_schema == chest_xray()
    assert loaded.config.finding_schema.findings == VERSION_1_FINDINGS
    assert loaded.config.findings.present == THRESHOLDS
    assert loaded.config.findings.reported == tuple(name != "Hernia" for name in VERSION_1_FINDINGS)


def test_the_weights_of_version_1_are_used_as_they_are(tmp_path: Path) -> None:
    loaded = load_checkpoint(write_version_1(tmp_path / "tiny")).model.state_dict()
    written = tiny_model(tiny_config(findings={"present": THRESHOLDS})).state_dict()
    assert loaded.keys() == written.keys()
    assert all(torch.equal(tensor, written[name]) for name, tensor in loaded.items())


def test_a_migrated_checkpoint_round_trips(tmp_path: Path) -> None:
    model = load_checkpoint(write_version_1(tmp_path / "old")).model
    assert load_checkpoint(write_checkpoint(tmp_path / "new", model=model)).model.config == model.config
    assert "finding_schema" in json.loads((tmp_path / "new" / "config.json").read_text())


def test_migration_leaves_its_argument_alone() -> None:
    config = {"format": 1, "findings": {"taught": [True]}}
    migrate_config(config)
    assert config == {"format": 1, "findings": {"taught": [True]}}


@pytest.mark.parametrize("config", [{"schema_version": 7}, {"format": 0}, {}])
def test_an_unknown_version_is_refused(config: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"schema version (7|0|None) is not known; this release reads 1 to 6"):
        migrate_config(config)


def test_modalities_and_views_of_version_2_become_the_scope() -> None:
    config = {"schema_version": 2, "name": "tiny", "modalities": ["CR"], "views": ["PA", "AP"]}
    scope = {"modalities": ["CR"], "views": ["PA", "AP"]}
    assert migrate_config(config) == {"schema_version": CURRENT_VERSION, "name": "tiny", "scope": scope}
    assert migrate_config({"schema_version": 2})["scope"] == {}


def test_a_checkpoint_of_version_4_contains_all_weights(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "tiny")
    assert json.loads((folder / "config.json").read_text())["schema_version"] == CURRENT_VERSION
    edit_config(folder, lambda config: (config.update(schema_version=4), config.pop("adapter")))
    assert load_checkpoint(folder).model.config.adapter is None


def test_a_checkpoint_of_version_5_has_no_sequence_encoder(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "tiny")
    edit_config(folder, lambda config: (config.update(schema_version=5), config.pop("sequence")))
    assert load_checkpoint(folder).model.sequence is None


@torch.inference_mode()
def test_the_embedded_checkpoint_computes_what_it_did_before_there_were_sequence_encoders() -> None:
    model = load_checkpoint().model
    pixel_values = torch.randn(1, 2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    positions, mask = torch.zeros(1, 2, dtype=torch.long), torch.ones(1, 2, dtype=torch.bool)
    found = model.encode_images(pixel_values, positions, mask, None, torch.tensor([[[0.0, 0, 0], [5, 9, -1]]]))
    patch_features = model.encoder(pixel_values[0])[None]  # from the encoder to the projector, as in version 5
    expected = model.projector(patch_features, positions, mask)
    for name in ("finding_logits", "finding_attention", "patch_tokens", "location_logits"):
        assert torch.equal(getattr(found, name), getattr(expected, name))


def test_a_model_of_version_5_has_no_notice(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "tiny")
    edit_config(folder, lambda config: (config.update(schema_version=5), config.pop("notice")))
    assert load_checkpoint(folder).model.config.notice == ""


@pytest.mark.parametrize("config", [[], [["schema_version", 2]], 2, None])
def test_a_configuration_that_is_no_object_is_refused(config: Any) -> None:
    with pytest.raises(ValueError, match="the configuration is not a JSON object"):
        migrate_config(config)


def test_version_1_under_the_later_key_is_migrated_as_well() -> None:
    """The old value of the key must not survive: the migration would never end."""
    assert migrate_config({"schema_version": 1})["schema_version"] == CURRENT_VERSION
