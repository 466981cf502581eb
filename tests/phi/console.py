"""Run command lines in a process whose home, temporary and current folder are watched.

As a program, this module runs the command lines that come on standard input: their libraries are loaded once.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tests.phi.marks import kinds_in

CHECKOUT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Traces:
    """What a command left."""

    code: int
    contents: Mapping[str, bytes]
    """Standard output, standard error and every file by its place: `stdout`, `stderr`, `cwd/NAME`, `home/NAME`,
    `tmp/NAME`."""

    @property
    def kinds(self) -> dict[str, frozenset[str]]:
        """Kinds of marks by place, where there are any."""
        return {place: kinds for place, content in self.contents.items() if (kinds := kinds_in(content))}


class Console:
    """A process that runs command lines one after another.

    Args:
        folder: Folder for its home, temporary and current folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        for name in ("home", "tmp", "cwd"):
            (folder / name).mkdir()
        hidden = ("HF_", "XDG_", "MPL", "REPORT_GEN", "PYTHONPATH", "TMPDIR", "TMP", "TEMP")
        environment = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
        environment |= {"HOME": str(folder / "home"), "TMPDIR": str(folder / "tmp"), "COLUMNS": "200"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.phi.console"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=CHECKOUT,
            env=environment,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def run(self, *arguments: object) -> Traces:
        """Run `report-gen` with these arguments in an empty current folder."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        for path in sorted((self._folder / "cwd").rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        request = {"arguments": list(map(str, arguments)), "folder": str(self._folder)}
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        code = int(self._process.stdout.readline())
        contents = {name: (self._folder / name).read_bytes() for name in ("stdout", "stderr")}
        for name in ("home", "tmp", "cwd"):
            files = (path for path in (self._folder / name).rglob("*") if path.is_file())
            contents |= {str(path.relative_to(self._folder)): path.read_bytes() for path in files}
        return Traces(code, contents)


def _serve() -> None:
    from report_gen.cli.app import main

    answers = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        request = json.loads(line)
        folder = Path(request["folder"])
        os.chdir(folder / "cwd")
        sys.argv = ["report-gen", *request["arguments"]]
        with _redirected(folder / "stdout", 1), _redirected(folder / "stderr", 2):
            try:
                main()
                code = 0
            except SystemExit as stop:
                code = int(stop.code or 0)
        print(code, file=answers, flush=True)


@contextmanager
def _redirected(path: Path, descriptor: int) -> Iterator[None]:
    saved = os.dup(descriptor)
    with path.open("wb") as file:
        os.dup2(file.fileno(), descriptor)
    try:
        yield
    finally:
        (sys.stdout if descriptor == 1 else sys.stderr).flush()
        os.dup2(saved, descriptor)
        os.close(saved)


if __name__ == "__main__":
    _serve()
