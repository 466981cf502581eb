"""Prompts of chat models: a TOML file with the text of the system, of the user, and optional examples.

    system = "You are a radiologist."
    user = '''
    Write the findings and the impression of this study.
    Views: {views}
    Indication: {indication}
    '''

    [[example]]              # optional: answers that the model should imitate
    user = "Write the findings and the impression of this study."
    assistant = "FINDINGS: The lungs are clear. IMPRESSION: No acute disease."

`system` and `user` have the placeholders of all prompts, see `prompting.PromptValues`. A line whose placeholders are
all empty is omitted.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError

from report_gen.backends.interface import ChatMessage, Pixels
from report_gen.config import FrozenModel
from report_gen.errors import UsageError
from report_gen.prompting import Prompt, PromptValues, prompt_files, render
from report_gen.toml_files import describe_fault, parse_toml, read_toml_file

LONGEST_CHAT_VALUE = 4000
"""Largest number of characters of a value in the prompt. Chat models have a context of thousands of tokens."""

_Text = Annotated[str, Field(max_length=2**16)]


class _Example(FrozenModel):
    user: _Text
    assistant: _Text


class _PromptFile(FrozenModel):
    system: _Text = ""
    user: Annotated[_Text, Field(min_length=1)]
    example: tuple[_Example, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ChatPrompt:
    """The prompt of a chat model."""

    system: Prompt
    """Empty for models without a system message."""
    user: Prompt
    examples: tuple[tuple[str, str], ...] = ()
    """Examples without images: the text of the user, and the answer of the assistant."""

    @property
    def placeholders(self) -> frozenset[str]:
        """Names of the placeholders of the prompt."""
        return self.system.placeholders | self.user.placeholders

    def messages(self, values: PromptValues, images: tuple[Pixels, ...]) -> tuple[ChatMessage, ...]:
        """Return the chat about a study.

        Args:
            values: What the prompt says about the study.
            images: Images of the study, which precede the text of the user.
        """
        system = render(self.system, values, longest=LONGEST_CHAT_VALUE)
        examples = (
            message
            for user, assistant in self.examples
            for message in (ChatMessage(role="user", text=user), ChatMessage(role="assistant", text=assistant))
        )
        return (
            *((ChatMessage(role="system", text=system),) if system else ()),
            *examples,
            ChatMessage(role="user", text=render(self.user, values, longest=LONGEST_CHAT_VALUE), images=images),
        )


def load_chat_prompt(name_or_path: str, folder: Path) -> ChatPrompt:
    """Load a built-in chat prompt by its name (such as `chest_xray_chat`), or a prompt file.

    Args:
        name_or_path: The name, or the path of the file.
        folder: Folder from which a relative path starts.

    Raises:
        UsageError: There is no such prompt, or the file has an unknown key or placeholder.
    """
    built_in = {Path(file.name).stem: file for file in prompt_files(".toml")}
    if name_or_path in built_in:
        return _parse(parse_toml(built_in[name_or_path].read_text(encoding="utf-8"), name_or_path), name_or_path)
    path = folder / name_or_path
    known = ", ".join(sorted(built_in))
    return _parse(read_toml_file(path, "a prompt file", hint=f" or one of {known}"), str(path))


def _parse(content: dict[str, Any], source: str) -> ChatPrompt:
    try:
        file = _PromptFile.model_validate(content)
    except ValidationError as error:
        raise UsageError(f"{source}: {describe_fault(error)}") from error
    return ChatPrompt(
        system=Prompt(file.system.strip(), name=f"{source}: system"),
        user=Prompt(file.user.strip(), name=f"{source}: user"),
        examples=tuple((one.user.strip(), one.assistant.strip()) for one in file.example),
    )
