"""A question to experiments, read from TOML: a base recipe, runs that each change something of it, and what is held
against what."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import pydantic
from pydantic import BaseModel, ConfigDict, Field, model_validator

from report_gen.errors import RecipeError
from report_gen.generation import Decoding

from ..recipe.loading import load_recipe
from ..recipe.schema import CorpusRecipe, Recipe

FOLDER = Path(__file__).parent


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class RunRecipe(_Frozen):
    name: str = Field(pattern=r"^\w[\w.-]*$")
    """Names its folder and its column in the table."""
    set: tuple[str, ...] = ()
    """What it changes of the base recipe, as `key.key=value`."""
    decoding: Decoding | None = None
    """How its drafts are written, where not as those of the others. Runs whose recipes are equal are trained once."""


class Question(_Frozen):
    title: str
    """What is asked; it heads the results."""
    recipe: str
    """The base recipe: a TOML file, relative to this one, or the name of one that comes with the package."""
    corpus: str
    """Name of the recipe's corpus by which runs are evaluated."""
    split: Literal["val", "test"] = "val"
    """Of that corpus. Weights must not be chosen by it: `val` needs a corpus with `hold_out`."""
    decoding: Decoding = Decoding()
    """How drafts are written."""
    nearest: bool = True
    """Whether image 1-NN is among the baselines, which looks at all training images."""
    runs: tuple[RunRecipe, ...] = Field(min_length=1)
    """What is compared, in the order of the table."""

    @model_validator(mode="after")
    def _check(self) -> Question:
        names = [run.name for run in self.runs]
        if len(set(names)) < len(names):
            raise ValueError(f"two runs have one name; there are {', '.join(names)}")
        return self

    def recipe_of(self, run: RunRecipe, seed: int, settings: Sequence[str] = ()) -> Recipe:
        """The recipe of a run with a seed.

        Args:
            settings: that change the base recipe; where a run changes the same, the run has the last word.

        Raises:
            RecipeError: it is wrong, or its corpora cannot be evaluated by.
        """
        try:
            recipe = load_recipe(self.recipe, [*settings, *run.set, f"seed={seed}"])
        except RecipeError as error:
            raise RecipeError(f"run {run.name!r}: {error}") from error
        corpus = self.corpus_of(recipe)
        if self.split == "val" and not corpus.hold_out:
            raise RecipeError(
                f"run {run.name!r}: split 'val' of {self.corpus!r} chooses the weights, so it cannot judge them; "
                "give that corpus a hold_out, or evaluate by split 'test'"
            )
        return recipe

    def corpus_of(self, recipe: Recipe) -> CorpusRecipe:
        """The corpus by which the model of a recipe is evaluated. Raises RecipeError where there is none."""
        named = {corpus.name: corpus for corpus in recipe.corpora}
        if self.corpus not in named:
            raise RecipeError(f"the recipe has no corpus {self.corpus!r} to evaluate by; there are {', '.join(named)}")
        return named[self.corpus]


def load_question(name_or_path: str) -> Question:
    """A question by file, or by the name of one that comes with the package.

    Raises:
        RecipeError: it cannot be read, or a key is unknown or ill-typed.
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
        raise RecipeError(f"{path}: not TOML ({error}); correct that line") from error
    except pydantic.ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(map(str, fault["loc"])) or "experiment"
        raise RecipeError(f"{path}: {where}: {fault['msg'].removeprefix('Value error, ')}; correct that key") from error
    beside = path.parent / question.recipe
    return question.model_copy(update={"recipe": str(beside)}) if beside.suffix == ".toml" else question


def _known() -> str:
    """Names of the questions; the other files are recipes that several of them begin with."""
    files = sorted(FOLDER.glob("*.toml"))
    return ", ".join(file.stem for file in files if "runs" in tomllib.loads(file.read_text(encoding="utf-8")))
