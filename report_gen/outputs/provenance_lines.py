"""Write the provenance of a draft for readers. JSON has all settings; the page leaves out what only programs need."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from report_gen.records import PROGRAM, InputFile, PriorComparison, Provenance, Report

_MOST_INPUTS = 8
"""Input files that are listed."""

_Settings = Mapping[str, str | int | float | bool]


def provenance_lines(report: Report) -> Iterator[tuple[str, str]]:
    """Yield the labels and values that say what a draft was made from."""
    provenance = report.provenance
    yield from _model_lines(provenance)
    yield "Program", f"{PROGRAM} {provenance.program_version}"
    yield "Drafted", provenance.created.replace("T", " ").replace("+00:00", " UTC")
    if provenance.study_instance_uid:
        yield "Study Instance UID", provenance.study_instance_uid
    yield from _files("Image", provenance.inputs)
    is_chat = report.findings_from_text or provenance.confidence == "agreement"
    if decoding := describe_decoding(provenance.decoding, chosen_by_agreement=is_chat):
        yield "Decoding", decoding
    if provenance.preprocessing:
        steps = ", ".join(str(step.get("name", "")).replace("_", " ") for step in provenance.preprocessing)
        yield "Preprocessing", steps
    if provenance.comparison is not None:
        yield "Prior study", describe_comparison(provenance.comparison)
        yield from _prior_files(provenance.comparison)
    for attribute in report.attributes:
        origin = "predicted from the image"
        if attribute.overridden or attribute.from_header:
            origin = "set by the user" if attribute.overridden else "from the DICOM header"
        yield attribute.name.replace("_", " ").capitalize(), f"{attribute.value or 'unknown'} ({origin})"


def _model_lines(provenance: Provenance) -> Iterator[tuple[str, str]]:
    yield "Model", provenance.model_name
    yield "Weights, SHA-256", provenance.weights_sha256 or "unknown: this computer does not have them"
    if provenance.model_revision:
        yield "Revision", provenance.model_revision
    if provenance.endpoint:
        yield "Images sent to", provenance.endpoint


def _prior_files(comparison: PriorComparison) -> Iterator[tuple[str, str]]:
    """Yield what identifies the earlier study: its UID, and its images."""
    if comparison.study_instance_uid:
        yield "Prior study, Study Instance UID", comparison.study_instance_uid
    yield from _files("Prior image", comparison.inputs)


def _files(label: str, inputs: Sequence[InputFile]) -> Iterator[tuple[str, str]]:
    for number, file in enumerate(inputs[:_MOST_INPUTS], 1):
        uid = f", SOP Instance UID {file.sop_instance_uid}" if file.sop_instance_uid else ""
        yield f"{label} {number}", f"SHA-256 {file.sha256}{uid}"
    if len(inputs) > _MOST_INPUTS:
        yield f"Further {label.lower()}s", str(len(inputs) - _MOST_INPUTS)


def describe_decoding(settings: _Settings, *, chosen_by_agreement: bool = False) -> str:
    """Return the settings of the text generation in words; empty if none of them matters to a reader.

    An example is "Beam search with 4 beams, up to 120 tokens; unsupported sentences removed". Device, data type,
    threads and unknown settings are left out.

    Args:
        settings: Settings of the text generation.
        chosen_by_agreement: Of several texts the one was kept that agrees most with the others, because the model
            predicts no findings with which a text could be consistent.
    """
    methods = {"greedy": "greedy search", "sample": "sampling", "beam": "beam search"}
    method = methods.get(str(settings.get("method")), "")
    if method and "beams" in settings:
        method += f" with {settings['beams']} beams"
    length = f"up to {settings['max_tokens']} tokens" if "max_tokens" in settings else ""
    parts = [", ".join(filter(None, (method, length)))]
    candidates = settings.get("candidates", 1)
    if isinstance(candidates, int) and candidates > 1:
        parts.append(
            f"of {candidates} candidate texts the one kept that agrees most with the others"
            if chosen_by_agreement
            else f"the most consistent of {candidates} candidate texts kept"
        )
    if "seed" in settings:
        names = [name for name in ("temperature", "top_p", "seed") if name in settings]
        values = ", ".join(f"{name.replace('_', '-')} {settings[name]}" for name in names)
        parts.append(f"sampled with {values}")
    if settings.get("remove_unsupported") is True:
        parts.append("unsupported sentences removed")
    if characters := settings.get("thinking_characters"):
        parts.append(f"{characters} characters of reasoning left out")
    if settings.get("prompt_shortened") is True:
        parts.append("prompt shortened")
    text = "; ".join(filter(None, parts))
    return text[:1].upper() + text[1:]


def describe_comparison(comparison: PriorComparison) -> str:
    """Return how a draft was compared with an earlier study, such as "1 image, 12 days earlier; Pneumonia: new"."""
    count, when = len(comparison.inputs), days_earlier_text(comparison)
    report = " and its report" if comparison.with_report else ""
    changes = ", ".join(f"{name}: {change}" for name, change in comparison.changes.items()) or "no change stated"
    return f"{count} image{'' if count == 1 else 's'}{report}, {when}; {changes} (from the {comparison.method})"


def days_earlier_text(comparison: PriorComparison) -> str:
    """Return how much earlier the earlier study is, such as "12 days earlier"."""
    days = comparison.days_earlier
    return "date unknown" if days is None else f"{days} day{'' if days == 1 else 's'} earlier"
