"""Report the paths of `report-gen draft` that do not exist, before a draft is made.

Such a path can be part of a value without quotes: in `--finding Fibrosis=present:left lower`, the value ends at the
space, and `lower` is a path.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from report_gen.errors import UsageError, describe_missing, name_path
from report_gen.records import Side, Zone
from report_gen.terminal import print_notice

_FINDING = "--finding"
_TEXT_OPTIONS = (_FINDING, "--indication", "--technique", "--comparison", "--attribute")
"""Options whose values may contain spaces."""
_PLACES = frozenset((*Side, *Zone))
"""Words of a location."""


def report_missing_paths(paths: Sequence[Path], arguments: Sequence[str]) -> None:
    """Print a notice of the paths that do not exist, so that the user need not wait for the drafts of the others.

    If no path exists and none can be a part of a value, nothing is printed: the command ends with an error that names
    the paths.

    Args:
        paths: Files and folders of the studies.
        arguments: The arguments of the command line, which show the option before a path.

    Raises:
        UsageError: A path is a part of the location of a --finding without quotes. The draft would have another
            location than the user wrote.
    """
    missing = [path for path in paths if not _may_exist(path)]
    if not missing:
        return
    first = missing[0]
    named = f"{name_path(first)}: {describe_missing(first)}"
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
    """Return whether a path exists, or whether that is unknown because a folder above it cannot be searched."""
    try:
        path.stat()
    except (FileNotFoundError, ValueError):  # ValueError: a NUL in the name
        return False
    except OSError:
        return True
    return True


def _value_before(arguments: Sequence[str], missing: Collection[str]) -> tuple[str, str]:
    """Return the first option whose value is followed by missing paths, and its value joined with these paths.

    Args:
        arguments: The arguments of the command line.
        missing: Paths that do not exist, as they were given.

    Returns:
        Option and value; two empty texts if there is no such option.
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
