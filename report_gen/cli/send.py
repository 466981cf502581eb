"""`report-gen send`: send DICOM files to an archive."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from report_gen.errors import UsageError
from report_gen.terminal import (
    Quiet,
    Verbose,
    error_list,
    is_quiet,
    print_errors,
    print_notice,
    print_text,
    set_verbosity,
    stop_on_signals,
)

if TYPE_CHECKING:
    from report_gen.sending import DicomNode, DicomObject, SendResult, TlsFiles, WebService


def send(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE", readable=False, help="DICOM files (drafts or images), or folders that contain them."
        ),
    ],
    to: Annotated[
        str,
        typer.Option(
            "--to",
            metavar="AET@HOST:PORT|URL",
            help="DICOM node for C-STORE, such as ORTHANC@127.0.0.1:4242, or root URL of a DICOMweb service for "
            "STOW-RS, such as http://127.0.0.1:8042/dicom-web. The environment variable REPORT_GEN_STOW_TOKEN may "
            "contain the token of the service, or `Basic ...`.",
        ),
    ],
    allow_remote: Annotated[
        bool,
        typer.Option("--allow-remote", help="Allow a receiver on another computer. Patient data leave this computer."),
    ] = False,
    calling_aet: Annotated[
        str, typer.Option(metavar="AET", help="AE title of this sender, for C-STORE.")
    ] = "REPORT_GEN",
    tls: Annotated[bool, typer.Option("--tls", help="Encrypt C-STORE. STOW-RS is encrypted by an https URL.")] = False,
    tls_ca: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Trusted certificates, PEM. Default: those of the system."),
    ] = None,
    tls_cert: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Certificate of this sender, PEM, if the receiver requires one.")
    ] = None,
    tls_key: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Private key of --tls-cert, PEM. Default: that file."),
    ] = None,
    timeout: Annotated[
        float, typer.Option(min=1, metavar="SECONDS", help="Time that the receiver may take for an answer.")
    ] = 30,
    retries: Annotated[
        int,
        typer.Option(
            min=0,
            max=10,
            help="Further attempts after a transient failure: no connection (also if it is refused), no answer, "
            "receiver busy. The waits are 1, 2, 4 ... up to 30 seconds; 3 attempts wait 7 seconds in all.",
        ),
    ] = 3,
    commit: Annotated[
        bool,
        typer.Option(
            "--commit",
            help="Ask the DICOM node to commit to keep the files (storage commitment), and wait up to --timeout "
            "for its answer.",
        ),
    ] = False,
    commit_port: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=65535,
            metavar="PORT",
            help="Port of this computer on which the node answers to --commit, as it is registered there for "
            "--calling-aet. Default: the node answers on the connection of the request.",
        ),
    ] = None,
    verbose: Verbose = 0,
    quiet: Quiet = False,
) -> None:
    """Send DICOM files to an archive by C-STORE or STOW-RS.

    Prints `stored`, `failed` or `not sent` and the name of each DICOM file, and with --commit afterwards `committed` or
    `not committed` for each file that was stored. A file that the receiver refuses does not stop the others. The exit
    code is 7 if the receiver did not store a file or does not commit to keep it, and 3 if a file is not a DICOM file.
    """
    set_verbosity(verbose=verbose, quiet=quiet)
    from report_gen.sending import (  # imports pydicom
        AUTHORIZATION_VARIABLE,
        check_ae_title,
        find_objects,
        parse_destination,
    )

    destination = parse_destination(
        to, allow_remote=allow_remote, with_tls=tls, token=os.environ.get(AUTHORIZATION_VARIABLE, "")
    )
    calling_aet = check_ae_title(calling_aet, "--calling-aet")
    certificates = _tls_files(destination, with_tls=tls, ca=tls_ca, certificate=tls_cert, key=tls_key)
    keeper = _commitment_node(destination, commit=commit, port=commit_port)
    if not destination.is_loopback:
        how = "" if destination.is_encrypted else " without encryption"
        print_notice(f"patient data leave this computer{how}, for {destination}")
    with stop_on_signals("files that are listed as stored are in the archive; send the others again"):
        found = find_objects(paths)
        print_errors(found.refused)
        if found.ignored:
            print_notice(f"files in folders that are not DICOM and are not sent: {found.ignored}")
        connection: dict[str, Any] = {"calling_aet": calling_aet, "timeout": timeout, "tls": certificates}
        if keeper is None:
            results = _send(destination, found.objects, retries, connection)
        else:
            results = _send_and_commit(keeper, found.objects, retries, connection, commit_port)
    _print_totals(destination, results, refused=len(found.refused), commit=commit)
    errors = [*found.refused, *(result.error for result in results if result.error)]
    if errors:
        raise typer.Exit(max(error.exit_code for error in errors))


def _tls_files(
    destination: DicomNode | WebService, *, with_tls: bool, ca: Path | None, certificate: Path | None, key: Path | None
) -> TlsFiles:
    """Return the certificates of the options.

    Raises:
        UsageError: The options do not fit together.
    """
    from report_gen.sending import TlsFiles, WebService

    if with_tls and isinstance(destination, WebService):
        raise UsageError("--tls is for C-STORE; STOW-RS is encrypted by an https URL")
    if (ca or certificate or key) and not destination.is_encrypted:
        raise UsageError("--tls-ca, --tls-cert and --tls-key need --tls or an https URL")
    if key and not certificate:
        raise UsageError("--tls-key is the key of a certificate; name the certificate with --tls-cert")
    return TlsFiles(ca, certificate, key)


def _commitment_node(destination: DicomNode | WebService, *, commit: bool, port: int | None) -> DicomNode | None:
    """Return the node that is asked for storage commitment; None if the options do not ask for it.

    Raises:
        UsageError: The options do not fit together.
    """
    from report_gen.sending import WebService

    if commit and isinstance(destination, WebService):
        raise UsageError("--commit is for C-STORE; a DICOMweb service has no storage commitment")
    if port is not None and not commit:
        raise UsageError("--commit-port is the port for the answer to --commit; give --commit as well")
    if port is not None and destination.is_encrypted:
        raise UsageError("--commit-port: answers are not encrypted there; leave it out, or leave --tls out")
    return destination if commit and not isinstance(destination, WebService) else None


def _send(
    destination: DicomNode | WebService, objects: Sequence[DicomObject], retries: int, connection: Mapping[str, Any]
) -> list[SendResult]:
    """Send files, and print what happened to each."""
    from report_gen.sending import open_receiver, send_files

    with open_receiver(destination, objects, **connection) as receiver:
        return _print_results(send_files(receiver, objects, retries=retries))


def _send_and_commit(
    node: DicomNode,
    objects: Sequence[DicomObject],
    retries: int,
    connection: Mapping[str, Any],
    port: int | None,
) -> list[SendResult]:
    """Send files, ask the node to commit to keep those that it stored, and print what happened to each."""
    from report_gen.sending import Outcome, open_commitment

    with open_commitment(node, port=port, **connection) as commitment:
        results = _send(node, objects, retries, connection)
        stored = {result.path for result in results if result.outcome is Outcome.STORED}
        kept = [item for item in objects if item.path in stored]
        return results + _print_results(commitment.request(kept)) if kept else results


def _print_results(results: Iterable[SendResult]) -> list[SendResult]:
    """Print what happened to each file as soon as it is known. Return the results."""
    printed = []
    with error_list() as errors:
        for result in results:
            printed.append(result)
            print_text(f"{result.outcome}\t{result.path}")
            if result.warning and not is_quiet():
                errors.print(
                    f"notice: {result.path}: stored with a warning of the receiver: {result.warning}", result.path
                )
            if result.error:
                errors.print(str(result.error), result.path)
    return printed


def _print_totals(
    destination: DicomNode | WebService, results: Sequence[SendResult], *, refused: int, commit: bool
) -> None:
    number = Counter(result.outcome.value for result in results)
    print_notice(
        f"stored by {destination}: {number['stored']}; failed: {number['failed']}; not sent: "
        f"{number['not sent'] + refused}"
    )
    if commit:
        print_notice(f"committed by {destination}: {number['committed']}; not committed: {number['not committed']}")
