"""Texts of `report-gen corpus --help`: the columns of a table, and a minimal recipe."""

from __future__ import annotations

MINIMAL_RECIPE = """name = "first"
[[corpora]]
name = "mine"
path = "my_corpus"
[model]
encoder = { name = "resnet18", image_size = 224 }
scope = { modalities = ["CR", "DX"], body_parts = ["chest"] }  # other studies are refused
[[stages]]
name = "all"
corpora = ["mine"]
steps = 2000
rates = { encoder = 1e-4, projector = 1e-3, decoder = 1e-3 }
"""
"""A recipe that trains on one corpus; the README shows the same text."""

COLUMNS_HELP = """A table has one row per study or image. Usual names of columns are recognized, others are given with
--columns FIELD=COLUMN:

\b
  image       file name or path; several are separated by ;
  report      the whole report, or findings and impression
  patient     patient id: keep each patient in one split
  study       study id; rows with the same id are one study
  view        PA, AP, frontal, lateral ...
  split       train, val or test; default train
  indication, comparison, modality, plane, body_part
  a finding   its label: 1, 0, or empty for unknown"""

RECIPE_HELP = "\b\nA minimal recipe for `report-gen train`:\n" + "".join(
    f"  {line}\n" for line in MINIMAL_RECIPE.splitlines()
)
