"""Targets of the readers of checkpoints, recipes, prompts, findings files, presets, drafts and references."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from report_gen_training.recipe.loading import RECIPES, load_recipe

from report_gen.labeling import load_schema
from report_gen.labeling.labeler import finding_labeler
from report_gen.metrics import ScoreOptions, run_score
from report_gen.metrics.preset import load_preset
from report_gen.model import load_checkpoint
from report_gen.model.checkpoint import CONFIG, MANIFEST, WEIGHTS
from report_gen.prompting import PLACEHOLDERS, PromptValues, load_prompt, render
from tests.builders import write_checkpoint
from tests.checkpoint_damage import SEALED_FILES
from tests.fuzz.example import Example, Files, Target
from tests.fuzz.values import ODD_TEXTS, SCALARS, VALUES, changed_toml, changed_trees, to_json

FINDINGS_FILE = b"""name = "head_ct"
scored = "acute"

[[finding]]
name = "Hemorrhage"
phrases = ["(haemorrhage*|hemorrhage*)", "(subdural|epidural) (haematoma*|hematoma*)"]
hints = ["hyperdens*"]
aliases = ["bleed"]

[[finding]]
name = "No Finding"
phrases = ["normal head"]
paired = false

[no_finding]
finding = "No Finding"
ignored = []

[subsets]
acute = ["Hemorrhage"]

[mappings.rsna]
any = "Hemorrhage"
"""
PRESET = b"""name = "mine"

[references]
steps = [{ find = "\\\\s+", put = " ", regex = true }, { find = "--", put = "-", times = 2 }]

[references.sentences]
split = ". "
delete = ",;"
join = " . "
"""
PROMPT = b"# comment\nChest.\n{views}\n{indication}\n{technique}\n"

DRAFTS = [
    {"study_id": str(number), "report": text}
    for number, text in enumerate(("The heart is normal.", "Small left effusion.", "", "FINDINGS: Clear. é"), 1)
]


def _seal(files: Files) -> Files:
    """Write a manifest that agrees with the files, so that the readers behind it are reached."""
    manifest = {name: hashlib.sha256(files[name]).hexdigest() for name in SEALED_FILES}
    return {**files, MANIFEST: json.dumps(manifest).encode()}


def _checkpoint_seeds() -> Sequence[Example]:
    """Return a checkpoint once for each of its files, which is the one that is mutated."""
    with TemporaryDirectory() as folder:
        write_checkpoint(Path(folder, "tiny"))
        files = {path.name: path.read_bytes() for path in Path(folder, "tiny").iterdir()}
    return [Example(files, MANIFEST), *(Example(files, name, _seal) for name in SEALED_FILES)]


def _checkpoint_files(seeds: Sequence[Example]) -> SearchStrategy[Example]:
    """Return checkpoints with another configuration, or with another header of the weights."""
    config = next(seed for seed in seeds if seed.name == CONFIG)
    weights = next(seed for seed in seeds if seed.name == WEIGHTS)
    content = weights.files[WEIGHTS]
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])

    def with_header(tree: object) -> Example:
        text = to_json(tree)
        return weights.with_content(len(text).to_bytes(8, "little") + text + content[8 + size :])

    return st.one_of(
        changed_trees(json.loads(config.files[CONFIG])).map(lambda tree: config.with_content(to_json(tree))),
        changed_trees(header).map(with_header),
    )


def _toml(name: str, contents: Sequence[bytes], read: Callable[[Path], object], target: str) -> Target:
    """Return the target of a reader of TOML files."""

    def changed(seeds: Sequence[Example]) -> SearchStrategy[Example]:
        return st.sampled_from(seeds).flatmap(lambda seed: changed_toml(seed.files[name]).map(seed.with_content))

    return Target(target, lambda: [Example({name: content}, name) for content in contents], changed, read)


def _read_findings(path: Path) -> object:
    return finding_labeler(load_schema(path)).label("There is a large subdural hematoma. No hemorrhage.")


def _read_preset(path: Path) -> object:
    return load_preset(str(path)).prepare_references(["The heart is normal -- in size. No effusion. 1. Clear."], None)


def _prompt_seeds() -> Sequence[Example]:
    return [Example({"prompt.txt": PROMPT}, "prompt.txt")]


def _changed_prompts(_seeds: Sequence[Example]) -> SearchStrategy[Example]:
    pieces = st.one_of(
        ODD_TEXTS, st.sampled_from(("{views}", "{indication}", "{", "}", "{{}}", "{x}", "{views!r}", "#", "\n"))
    )
    texts = st.lists(pieces, max_size=8).map("".join)
    return texts.map(lambda text: Example({"prompt.txt": text.encode(errors="surrogatepass")}, "prompt.txt"))


def _read_prompt(path: Path) -> object:
    values = dict.fromkeys(PLACEHOLDERS, "\0") | {"indication": "Cough ___ {x}", "views": "PA"}
    return render(load_prompt(path), PromptValues(**values))


def _csv(rows: Sequence[dict[str, object]], separator: str = ",") -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(DRAFTS[0]), delimiter=separator, extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode(errors="surrogatepass")


_DRAFTS, _REFERENCES = "drafts.csv", "references.csv"


def _score_seeds() -> Sequence[Example]:
    files = {
        _DRAFTS: _csv(DRAFTS),
        "drafts.tsv": _csv(DRAFTS, "\t"),
        "drafts.jsonl": b"".join(to_json(row) + b"\n" for row in DRAFTS),
        "drafts.json": to_json(DRAFTS),
        "annotation.json": to_json({"train": DRAFTS[:1], "test": DRAFTS}),
        "drafts.txt": b"".join(row["report"].encode() + b"\n" for row in DRAFTS),
        _REFERENCES: _csv(DRAFTS),
    }
    return [Example(files, name) for name in files]


def _changed_drafts(seeds: Sequence[Example]) -> SearchStrategy[Example]:
    by_name = {seed.name: seed for seed in seeds}
    cells = st.fixed_dictionaries({}, optional={"study_id": SCALARS, "report": SCALARS})
    rows = st.lists(cells, max_size=4)
    return st.one_of(
        changed_trees(DRAFTS).map(lambda tree: by_name["drafts.json"].with_content(to_json(tree))),
        VALUES.map(lambda tree: by_name["annotation.json"].with_content(to_json({"test": tree}))),
        rows.map(lambda drawn: by_name["drafts.csv"].with_content(_csv(drawn))),
        rows.map(lambda drawn: by_name["drafts.jsonl"].with_content(b"\n".join(map(to_json, drawn)))),
    )


def _read_score(path: Path) -> object:
    """Score the mutated drafts against references, or drafts against the mutated references."""
    references = path.with_name(_REFERENCES)
    drafts = path.with_name(_DRAFTS) if path == references else path
    options = ScoreOptions(
        predictions=drafts, references=references, train=references, allow_missing=True, draws=0, java=False
    )
    return run_score(options).model


def _feature_seeds() -> Sequence[Example]:
    buffer = io.BytesIO()
    np.savez(buffer, ids=np.array([row["study_id"] for row in DRAFTS]), features=np.eye(4, dtype=np.float32))
    pickled = io.BytesIO()
    np.savez(pickled, ids=np.array(["s1", None], dtype=object), features=np.eye(2))
    files = {_DRAFTS: _csv(DRAFTS), _REFERENCES: _csv(DRAFTS)}
    return [Example({**files, "features.npz": content.getvalue()}, "features.npz") for content in (buffer, pickled)]


def _changed_features(seeds: Sequence[Example]) -> SearchStrategy[Example]:
    """Return arrays of other names, types and shapes."""
    names = st.sampled_from(("ids", "features", "x", "../y"))
    arrays = st.sampled_from(
        (np.zeros(0), np.eye(3), np.array(["a", "b", "c"]), np.array([1 + 2j]), np.array(b"x"), np.full((4, 2), np.nan))
    )

    def pack(drawn: dict[str, np.ndarray]) -> Example:
        buffer = io.BytesIO()
        np.savez(buffer, **drawn)
        return seeds[0].with_content(buffer.getvalue())

    return st.dictionaries(names, arrays, max_size=3).map(pack)


def _read_features(path: Path) -> object:
    drafts, references = path.with_name(_DRAFTS), path.with_name(_REFERENCES)
    options = ScoreOptions(
        predictions=drafts, references=references, train=references, features=path, draws=0, java=False
    )
    return run_score(options).baselines


TARGETS = (
    Target("checkpoint", _checkpoint_seeds, _checkpoint_files, lambda path: load_checkpoint(path.parent)),
    _toml(
        "recipe.toml",
        [path.read_bytes() for path in sorted(RECIPES.glob("*.toml"))],
        lambda path: load_recipe(str(path)),
        "recipe",
    ),
    _toml("findings.toml", [FINDINGS_FILE], _read_findings, "findings-file"),
    _toml("preset.toml", [PRESET], _read_preset, "preset"),
    Target("prompt", _prompt_seeds, _changed_prompts, _read_prompt),
    Target("score", _score_seeds, _changed_drafts, _read_score),
    Target("score-features", _feature_seeds, _changed_features, _read_features),
)
