"""Read an experiment from TOML: a base recipe, runs that each change some keys, and how they are compared."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import pydantic
from pydantic import Field, model_validator

from report_gen.config import FrozenModel
from report_gen.errors import RecipeError
from report_gen.generation import Decoding

from ..recipe import CorpusRecipe, Recipe, load_recipe

FOLDER = Path(__file__).parent


class RunRecipe(FrozenModel):
    name: str = Field(pattern=r"^\w[\w.-]*$")
    """Name of the run: its folder, and its column in the table."""
    set: tuple[str, ...] = ()
    """Changes to the base recipe, as `key.key=value`."""
    decoding: Decoding | None = None
    """How the run drafts, if not like the others. Runs with equal recipes are trained once."""


class Question(FrozenModel):
    title: str
    """The question; heading of the results."""
    recipe: str
    """Base recipe: a TOML file relative to this one, or the name of a recipe of the package."""
    corpus: str
    """Name of the recipe's corpus for the evaluation."""
    split: Literal["val", "test"] = "val"
    """Split for the evaluation. It must not select the weights: `val` needs a corpus with `hold_out`."""
    decoding: Decoding = Decoding()
    """How drafts are generated."""
    nearest: bool = True
    """Whether to compare with the nearest-image baseline (image 1-NN), which reads all training images."""
    runs: tuple[RunRecipe, ...] = Field(min_length=1)
    """Runs to compare, in table order."""

    @model_validator(mode="after")
    def _check(self) -> Question:
        names = [run.name for run in self.runs]
        if len(set(names)) < len(names):
            raise ValueError(f"runs have duplicate names: {', '.join(names)}; give each its own name")
        return self

    def recipe_of(self, run: RunRecipe, seed: int, settings: Sequence[str] = ()) -> Recipe:
        """Return the recipe of a run with a seed.

        Args:
            settings: Changes to the base recipe; settings of the run override them.

        Raises:
            RecipeError: The recipe is invalid, or its corpus cannot be used for the evaluation.
        """
        try:
            recipe = load_recipe(self.recipe, [*settings, *run.set, f"seed={seed}"])
        except RecipeError as error:
            raise RecipeError(f"run {run.name!r}: {error}") from error
        corpus = self.corpus_of(recipe)
        if self.split == "val" and not corpus.hold_out:
            raise RecipeError(
                f"run {run.name!r}: split 'val' of {self.corpus!r} selects the weights, so it cannot evaluate them; "
                "set hold_out for that corpus, or evaluate on split 'test'"
            )
        return recipe

    def corpus_of(self, recipe: Recipe) -> CorpusRecipe:
        """Return the corpus for the evaluation. Raises RecipeError if the recipe has none of that name."""
        named = {corpus.name: corpus for corpus in recipe.corpora}
        if self.corpus not in named:
            raise RecipeError(f"the recipe has no corpus {self.corpus!r} to evaluate on; it has {', '.join(named)}")
        return named[self.corpus]


def load_question(name_or_path: str) -> Question:
    """Load an experiment file, or an experiment of the package by name.

    Raises:
        RecipeError: The file cannot be read, or a key is unknown or has a wrong value.
    """
    path = Path(name_or_path)
    if path.suffix != ".toml" and not path.is_file():
        path = FOLDER / f"{name_or_path}.toml"
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
        question = Question.model_validate(tree)
    except OSError as error:
        raise RecipeError(f"{name_or_path}: no such experiment; give a TOML file or one of {_known()}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: not valid TOML ({error}); correct that line") from error
    except pydantic.ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(map(str, fault["loc"])) or "experiment"
        raise RecipeError(f"{path}: {where}: {fault['msg'].removeprefix('Value error, ')}; correct that key") from error
    beside = path.parent / question.recipe
    return question.model_copy(update={"recipe": str(beside)}) if beside.suffix == ".toml" else question


def _known() -> str:
    """Return the names of the experiments; the other TOML files of the folder are base recipes."""
    files = sorted(FOLDER.glob("*.toml"))
    return ", ".join(file.stem for file in files if "runs" in tomllib.loads(file.read_text(encoding="utf-8")))
