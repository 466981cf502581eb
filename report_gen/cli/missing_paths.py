"""Say which paths of `report-gen draft` do not exist, before a draft is made.

A value with spaces that stands without quotes, as in `--finding Fibrosis=present:left lower`, ends at the space, and
its other words are paths.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from report_gen.errors import UsageError, url_of
from report_gen.files import describe_missing
from report_gen.records import Side, Zone
from report_gen.terminal import print_notice

_FINDING = "--finding"
_TEXT_OPTIONS = (_FINDING, "--indication", "--technique", "--comparison", "--attribute")
"""Options of which the value may contain spaces."""
_PLACES = frozenset((*Side, *Zone))
"""Words of a location."""


def report_missing_paths(paths: Sequence[Path], arguments: Sequence[str]) -> None:
    """Print which paths do not exist, at once and not after the drafts of the others.

    Args:
        paths: Files and folders of the studies.
        arguments: The arguments of the command line, which show the option before a path.

    Raises:
        UsageError: The path is a word of a location that belongs to the value of --finding. The drafts would get
            another location than the user wrote, so that none is made.
    """
    missing = [path for path in paths if not _may_exist(path)]
    if not missing:
        return
    first = missing[0]
    named = f"{url_of(first) or first}: {describe_missing(first)}"
    option, value = _value_before(arguments, {str(path) for path in missing})
    if option == _FINDING and ":" in value and value.split()[-1].lower() in _PLACES:
        raise UsageError(f'{_FINDING} {value}: a value with spaces needs quotes; write {_FINDING} "{value}"')
    if len(missing) > 1:
        named = f"{len(missing)} of {len(paths)} paths do not exist, the first: {named}"
    if option:
        named += f'; if it belongs to the value of {option}, put the whole value in quotes: {option} "..."'
    if option or len(missing) < len(paths):
        print_notice(named)


def _may_exist(path: Path) -> bool:
    """Return whether there is something at a path, or a folder above it cannot be searched."""
    try:
        path.stat()
    except (FileNotFoundError, ValueError):  # ValueError: a NUL in the name
        return False
    except OSError:
        return True
    return True


def _value_before(arguments: Sequence[str], missing: Collection[str]) -> tuple[str, str]:
    """Return the first option of which the value is followed by missing paths, and the value with these words.

    Empty texts if there is none.
    """
    for index, argument in enumerate(arguments):
        option, equals, value = argument.partition("=")
        if option not in _TEXT_OPTIONS:
            continue
        words = list(arguments[index + 1 :])
        if not equals:
            value, words = (words[0], words[1:]) if words else ("", [])
        following = next((at for at, word in enumerate(words) if word not in missing), len(words))
        if following:
            return option, " ".join((value, *words[:following]))
    return "", ""
