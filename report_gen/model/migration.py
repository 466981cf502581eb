"""Migrate the configuration of older checkpoints to the current schema version.

Each function lifts a parsed `config.json` from one version to the next and returns a new dictionary. `load_checkpoint`
applies them in turn, so a checkpoint of any earlier version loads. The files of the checkpoint are not changed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from report_gen.labeling import chest_xray

Config = dict[str, Any]

CURRENT_VERSION = 6
"""Schema version of `config.json` that this release writes."""


def migrate_config(config: Mapping[str, Any]) -> Config:
    """Return the configuration in the current schema version.

    Raises:
        ValueError: The configuration is no JSON object, or its version is unknown, for example because a later release
            wrote the checkpoint.
    """
    if not isinstance(config, Mapping):
        raise ValueError("the configuration is not a JSON object")
    migrated = dict(config)
    while (version := schema_version(migrated)) != CURRENT_VERSION:
        if version not in _MIGRATIONS:
            raise ValueError(f"schema version {version!r} is not known; this release reads 1 to {CURRENT_VERSION}")
        migrated = _MIGRATIONS[version](migrated)
    return migrated


def schema_version(config: Mapping[str, Any]) -> object:
    """Return the schema version of a configuration, which version 1 called `format`; None if it has none."""
    return config.get("schema_version", config.get("format"))


def _from_version_1(config: Config) -> Config:
    """Migrate version 1, which called the version `format` and the findings with a trained head `taught`.

    The findings of version 1 were fixed: the 17 of chest radiographs, in the order of the schema `chest_xray`.
    """
    migrated = {key: value for key, value in config.items() if key != "format"} | {"schema_version": 2}
    findings = migrated.get("findings", {})
    if isinstance(findings, Mapping) and "taught" in findings:  # another type is refused with its key later
        findings = {"trained" if key == "taught" else key: value for key, value in findings.items()}
    return migrated | {"finding_schema": asdict(chest_xray()), "findings": findings}


def _from_version_2(config: Config) -> Config:
    """Migrate version 2, in which the scope of a model was its modalities and views."""
    names = ("modalities", "views")
    scope = {name: config[name] for name in names if name in config}
    return {key: value for key, value in config.items() if key not in names} | {"schema_version": 3, "scope": scope}


def _from_version_3(config: Config) -> Config:
    """Migrate version 3, whose models did not know where a finding is."""
    return {**config, "schema_version": 4}


def _from_version_4(config: Config) -> Config:
    """Migrate version 4, whose checkpoints contain all weights."""
    return {**config, "schema_version": 5}


def _from_version_5(config: Config) -> Config:
    """Migrate version 5, whose models had no sequence encoder, no volumes, no notice and no changes."""
    return {**config, "schema_version": 6}


_MIGRATIONS: Mapping[object, Callable[[Config], Config]] = {
    1: _from_version_1,
    2: _from_version_2,
    3: _from_version_3,
    4: _from_version_4,
    5: _from_version_5,
}
