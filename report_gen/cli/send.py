"""`report-gen send`: send DICOM files to an archive."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from report_gen.errors import ReportGenError, UsageError
from report_gen.terminal import Quiet, Verbose, print_error, print_notice, print_text, set_verbosity, stop_on_signals


def send(
    paths: Annotated[
        list[Path], typer.Argument(metavar="FILE", help="DICOM files, or folders of which the DICOM files are sent.")
    ],
    to: Annotated[
        str,
        typer.Option(
            "--to",
            metavar="AET@HOST:PORT|URL",
            help="DICOM node for C-STORE, such as ORTHANC@127.0.0.1:4242, or root URL of a DICOMweb service for "
            "STOW-RS, such as http://127.0.0.1:8042/dicom-web. The environment variable REPORT_GEN_STOW_TOKEN may have "
            "the token of the service, or `Basic ...`.",
        ),
    ],
    allow_remote: Annotated[
        bool,
        typer.Option("--allow-remote", help="Send to another computer. Data of patients leave this one."),
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
        Path | None, typer.Option(metavar="FILE", help="Certificate of this sender, PEM, if the receiver wants one.")
    ] = None,
    tls_key: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Private key of --tls-cert, PEM. Default: in its file.")
    ] = None,
    timeout: Annotated[
        float, typer.Option(min=1, metavar="SECONDS", help="Time that the receiver may take for an answer.")
    ] = 30,
    retries: Annotated[
        int,
        typer.Option(
            min=0,
            max=10,
            help="Further attempts after a failure that may pass: no connection, no answer, receiver busy. They wait "
            "1, 2, 4 ... up to 30 seconds.",
        ),
    ] = 3,
    verbose: Verbose = 0,
    quiet: Quiet = False,
) -> None:
    """Send DICOM files to an archive by C-STORE or STOW-RS.

    Prints `stored`, `failed` or `not sent` and the name of each file. A file that the receiver refuses does not stop
    the others. The exit code is 7 if the receiver did not store a file, and 3 if a file is no DICOM file.
    """
    set_verbosity(verbose=verbose, quiet=quiet)
    from report_gen.sending import (  # imports pydicom
        AUTHORIZATION_VARIABLE,
        Outcome,
        TlsFiles,
        WebService,
        check_ae_title,
        find_objects,
        open_receiver,
        parse_destination,
        send_files,
    )

    destination = parse_destination(
        to, allow_remote=allow_remote, with_tls=tls, token=os.environ.get(AUTHORIZATION_VARIABLE, "")
    )
    calling_aet = check_ae_title(calling_aet, "--calling-aet")
    if tls and isinstance(destination, WebService):
        raise UsageError("--tls is for C-STORE; STOW-RS is encrypted by an https URL")
    if (tls_ca or tls_cert or tls_key) and not destination.is_encrypted:
        raise UsageError("--tls-ca, --tls-cert and --tls-key need --tls or an https URL")
    if tls_key and not tls_cert:
        raise UsageError("--tls-key is the key of a certificate; name the certificate with --tls-cert")
    if not destination.is_loopback:
        how = "" if destination.is_encrypted else " without encryption"
        print_notice(f"data of patients leave this computer{how}, for {destination}")
    errors = list[ReportGenError]()
    outcomes = Counter[Outcome]()
    with stop_on_signals("files that are listed as stored are in the archive; send the others again"):
        found = find_objects(paths)
        for refusal in found.refused:
            _report(refusal, errors)
        if found.ignored:
            print_notice(f"files of folders that are not DICOM and are not sent: {found.ignored}")
        with open_receiver(
            destination,
            found.objects,
            calling_aet=calling_aet,
            timeout=timeout,
            tls=TlsFiles(tls_ca, tls_cert, tls_key),
        ) as receiver:
            for result in send_files(receiver, found.objects, retries=retries):
                outcomes[result.outcome] += 1
                print_text(f"{result.outcome}\t{result.path}")
                if result.warning:
                    print_notice(f"{result.path}: stored with a warning of the receiver: {result.warning}")
                if result.error:
                    _report(result.error, errors)
    print_notice(
        f"stored by {destination}: {outcomes[Outcome.STORED]}; failed: {outcomes[Outcome.FAILED]}; not sent: "
        f"{outcomes[Outcome.NOT_SENT] + len(found.refused)}"
    )
    if errors:
        raise typer.Exit(max(error.exit_code for error in errors))


def _report(error: ReportGenError, errors: list[ReportGenError]) -> None:
    print_error(str(error))
    errors.append(error)
