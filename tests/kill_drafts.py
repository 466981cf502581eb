"""Stop `report-gen draft -o DIR --resume` at random moments and resume it: `python -m tests.kill_drafts`.

The script drafts small studies in two formats with an untrained model. SIGKILL, SIGTERM and SIGINT, in turn, stop the
command at a random moment; then the same command goes on. After every stop each file in the folder has to be equal, to
the byte, to the draft of an undisturbed run. At the end every draft has to be there, and no temporary file. Whenever a
folder is complete, the next stops happen in a new folder. Prints a table of the stops. The exit code is 1 if a folder
is not as expected.

Most commands run in a fork of this process, which has imported PyTorch already, so that few of the moments fall into
the start. Every tenth runs in a new interpreter.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NoReturn

import numpy as np
import torch

from report_gen.cli import app
from report_gen.outputs.journal import JOURNAL
from tests.builders import noise_image, write_checkpoint, write_png
from tests.dicom_files import write_dicom

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
STOPPED = {signal.SIGKILL: -9, signal.SIGTERM: 143, signal.SIGINT: 130}
"""Exit code by signal. A signal that arrives before the handlers are set ends the process with its negative number."""

NEW_INTERPRETER = 10
"""Every so many commands run in a new interpreter."""


@dataclass
class Stops:
    """What happened at the stops by one signal."""

    codes: Counter[int] = field(default_factory=Counter)
    drafts: list[int] = field(default_factory=list)
    """Number of drafts in the folder after each stop."""
    temporary: int = 0
    """Number of temporary files that the stops left."""


class Drafts:
    """A batch of studies, the command that drafts it, and the drafts of an undisturbed run."""

    def __init__(self, folder: Path, *, studies: int, formats: Sequence[str]) -> None:
        self.folder, self._formats = folder, formats
        self._checkpoint = write_checkpoint(folder / "tiny")
        for number in range(studies):
            write_study(folder / "studies" / f"study-{number:03}", number)
        code = os.waitstatus_to_exitcode(os.waitpid(self.start(folder / "undisturbed", resume=False), 0)[1])
        if code:
            raise SystemExit(f"the undisturbed run ended with {code}: {self.messages()}")
        self.expected = read_drafts(folder / "undisturbed")

    def start(self, output: Path, *, resume: bool = True, new_interpreter: bool = False) -> int:
        """Start the command and return its process number."""
        arguments = ["report-gen", "draft", str(self.folder / "studies"), "-o", str(output)]
        arguments += [option for name in self._formats for option in ("--format", name)]
        arguments += ["--checkpoint", str(self._checkpoint), "--candidates", "2", *(["--resume"] if resume else [])]
        with (self.folder / "messages").open("w") as messages:
            if new_interpreter:
                code = "from report_gen.cli.app import main; main()"
                command = [sys.executable, "-c", code, *arguments[1:]]
                streams = [(os.POSIX_SPAWN_DUP2, messages.fileno(), stream) for stream in (1, 2)]
                return os.posix_spawn(sys.executable, command, os.environ, file_actions=streams)
            return os.fork() or run_command(arguments, messages.fileno())

    def messages(self) -> str:
        """What the last command printed."""
        return (self.folder / "messages").read_text(errors="replace")

    def faults(self, output: Path, *, complete: bool) -> Iterator[str]:
        """Yield what is wrong with the drafts of a folder."""
        found = read_drafts(output)
        yield from (f"{name} is truncated or differs" for name in found if found[name] != self.expected.get(name))
        if complete and (missing := self.expected.keys() - found.keys()):
            yield f"{len(missing)} drafts are missing, such as {min(missing)}"
        if complete and (left := temporary_files(output)):
            yield f"temporary files are left: {left}"


def write_study(folder: Path, number: int) -> None:
    """Write a study: a picture, or every fourth a DICOM file."""
    if number % 4:
        write_png(folder / "chest.png", noise_image(number))
    else:
        uids = {"StudyInstanceUID": f"1.2.3.{number}", "SOPInstanceUID": f"1.2.3.{number}.1"}
        write_dicom(folder / "chest.dcm", noise_image(number).astype(np.uint16), **uids)


def run_command(arguments: list[str], messages: int) -> NoReturn:
    """Run a command line in this process, which is a fork, and end it."""
    code = 1
    try:
        os.dup2(messages, 1)
        os.dup2(messages, 2)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        sys.argv = arguments
        app.main()
        code = 0
    except SystemExit as stop:
        code = int(stop.code or 0)
    except KeyboardInterrupt:
        code = STOPPED[signal.SIGINT]  # before or after the handler of the command
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def read_drafts(folder: Path) -> dict[str, bytes]:
    """Return the content of each file that is not hidden."""
    return {path.name: path.read_bytes() for path in folder.glob("[!.]*")} if folder.is_dir() else {}


def temporary_files(folder: Path) -> list[str]:
    """Return the names of hidden files other than the journal."""
    return [path.name for path in folder.glob(".*") if path.name != JOURNAL]


def stop_at_random(process: int, number: signal.Signals, journal: Path, choose: random.Random, limit: int) -> int:
    """Send a signal after a random number of drafts and a random delay. Return the exit code."""
    size = journal.stat().st_size if journal.exists() else 0
    drafts, delay = choose.randrange(limit), choose.random()
    target = size + drafts * len('{"draft": "", "request": ""}\n' + 128 * "0")
    while os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        if drafts == 0 or (journal.exists() and journal.stat().st_size >= target):
            # Before the first draft the process reads files and loads the model; a draft takes milliseconds.
            time.sleep(2 * delay if drafts == 0 else 0.05 * delay**4)
            os.kill(process, number)
            break
        time.sleep(0.001)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def stop_and_resume(drafts: Drafts, *, moments: int, seed: int) -> tuple[Mapping[signal.Signals, Stops], list[str]]:
    """Stop and resume batches. Return the stops by signal, and the faults."""
    choose = random.Random(seed)  # noqa: S311 - no secret
    stops, faults = {number: Stops() for number in SIGNALS}, list[str]()
    folders, limit = 0, max(2, len(drafts.expected) // 4)
    output = drafts.folder / "stopped-0"
    for moment in range(moments):
        number = SIGNALS[moment % len(SIGNALS)]
        process = drafts.start(output, new_interpreter=moment % NEW_INTERPRETER == NEW_INTERPRETER - 1)
        code = stop_at_random(process, number, output / JOURNAL, choose, limit)
        stops[number].codes[code] += 1
        stops[number].drafts.append(len(read_drafts(output)))
        stops[number].temporary += len(temporary_files(output))
        complete = code == 0
        if code not in (0, STOPPED[number], -number):
            faults.append(f"exit code {code} after {number.name}: {drafts.messages()}")
        if complete or moment == moments - 1:
            if os.waitstatus_to_exitcode(os.waitpid(drafts.start(output), 0)[1]):
                faults.append(f"resuming failed: {drafts.messages()}")
            faults += drafts.faults(output, complete=True)
            folders += 1
            output = drafts.folder / f"stopped-{folders}"
        else:
            faults += drafts.faults(output, complete=False)
    return stops, faults


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--moments", type=int, default=50, help="number of stops (default: 50)")
    parser.add_argument("--studies", type=int, default=60, help="number of studies (default: 60)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the moments (default: 0)")
    parser.add_argument(
        "--formats", nargs="+", default=["txt", "json"], help="formats of the drafts (default: txt json)"
    )
    options = parser.parse_args()
    os.environ["SOURCE_DATE_EPOCH"] = "1700000000"
    torch.set_num_threads(1)  # threads do not survive a fork
    with TemporaryDirectory() as folder:
        drafts = Drafts(Path(folder), studies=options.studies, formats=options.formats)
        stops, faults = stop_and_resume(drafts, moments=options.moments, seed=options.seed)
    lines = [
        f"{number.name}: exit codes {dict(sorted(found.codes.items()))}, drafts in the folder after the stop "
        f"{found.drafts}, temporary files left by a stop {found.temporary}"
        for number, found in stops.items()
    ]
    lines += [f"FAULT: {fault}" for fault in faults]
    lines.append(f"{options.moments} stops, {options.studies} studies, {len(faults)} faults")
    sys.stdout.write("\n".join(lines) + "\n")
    raise SystemExit(1 if faults else 0)


if __name__ == "__main__":
    main()
