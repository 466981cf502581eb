"""Explain why a model of a hub cannot be loaded, in one sentence with the remedy."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

# HTTPError is the class of httpx or of httpx2, whichever the installed huggingface_hub uses.
from huggingface_hub.errors import (  # type: ignore[attr-defined]
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    HTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from safetensors import SafetensorError

from report_gen.errors import CheckpointError, ReportGenError, ResourceError, is_out_of_memory
from report_gen.model import LOADING_ERRORS

_DISK = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT)

# The first kind that matches the error or one of its causes is used. GatedRepoError is also a RepositoryNotFoundError.
_REASONS: tuple[tuple[tuple[type[Exception], ...], str], ...] = (
    (
        (GatedRepoError,),
        "access is gated; accept the license on the page of the model at the hub, then run `hf auth login`",
    ),
    (
        (RepositoryNotFoundError, HFValidationError),
        "no such folder, and no such model at the hub; correct the name, or run `hf auth login` for a private one",
    ),
    ((RevisionNotFoundError,), "the hub has no such revision; correct revision in the description of the model"),
    ((HfHubHTTPError,), "the hub answers with an error; try again later"),
    (
        (OfflineModeIsEnabled, LocalEntryNotFoundError, HTTPError),
        "no such folder, not in the local cache of the hub, and the hub cannot be reached or HF_HUB_OFFLINE is set; "
        "correct the name, or download the model with `hf download`",
    ),
)


@contextmanager
def explained(name: str, otherwise: str) -> Iterator[None]:
    """Turn the errors of transformers and the hub into errors of report-gen.

    Args:
        name: The model, for error messages.
        otherwise: What is wrong and what to do if the error has no known kind.

    Raises:
        CheckpointError: The model cannot be loaded.
        ResourceError: Memory is exhausted.
    """
    try:
        yield
    except (*LOADING_ERRORS, MemoryError, SafetensorError, HTTPError) as error:
        raise _loading_error(error, name, otherwise) from error


def _loading_error(error: BaseException, name: str, otherwise: str) -> ReportGenError:
    causes = list(_with_causes(error))
    if any(map(is_out_of_memory, causes)):
        return ResourceError(
            f"{name}: not enough memory to load the model; set runtime.dtype, runtime.quantization or "
            'runtime.device_map = "auto", or use a smaller model'
        )
    for kinds, reason in _REASONS:
        if any(isinstance(cause, kinds) for cause in causes):
            return CheckpointError(f"{name}: {reason}")
    for cause in causes:
        if isinstance(cause, OSError) and cause.errno in _DISK:
            remedy = "check the permissions" if cause.errno in _DISK[:3] else "free disk space, or set HF_HOME"
            return CheckpointError(f"{name}: its files cannot be read or stored ({cause.strerror}); {remedy}")
    if any("trust_remote_code" in str(cause) for cause in causes):
        return remote_code_error(name)
    return CheckpointError(f"{name}: {otherwise}")


def remote_code_error(name: str) -> CheckpointError:
    """Return the error for a model that transformers has no class for."""
    return CheckpointError(
        f"{name}: needs code from its repository, which is never run because it could read and send any file; use a "
        "version of the model in the format of transformers, or serve it and use an endpoint"
    )


def _with_causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and the errors that it comes from."""
    current: BaseException | None = error
    while current is not None:
        yield current
        current = current.__cause__ or current.__context__
