"""Objects of which no command can be made."""

NUMBER = 1


def has_no_type(value: "Undefined") -> None:  # type: ignore[name-defined]  # noqa: F821
    """Take a value of a type that does not exist."""
