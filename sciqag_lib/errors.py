"""Input that cannot be used: an error that stops, and a bad record that is reported while the rest goes on."""

from dataclasses import dataclass
from typing import Any


@dataclass
class BadRecord:
    """A record that could not be used, and what its owner can do about it."""

    file: str
    record: str  # "record 17", "line 3", or "" for the whole file
    field: str  # the key at fault, or ""
    message: str

    def __str__(self) -> str:
        where = ", ".join(part for part in (self.file, self.record, self.field and f"field {self.field!r}") if part)
        return f"{where}: {self.message}"


class InputError(ValueError):
    """Input that cannot be used; the message names the file, what was expected and what to do."""


def check_parameters(*expectations: tuple[str, Any, bool, str]) -> None:
    """Each is (parameter, its value, whether it is good, what was expected). InputError names the first bad one."""
    for name, value, holds, expected in expectations:
        if not holds:
            raise InputError(f"{name}: expected {expected}, found {value!r}")


def first_note(notes: list[str]) -> str:
    """The end of a message that nothing could be used."""
    return f"; the first of {len(notes)} notes: {notes[0]}" if notes else ""
