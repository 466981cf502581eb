"""Generate the texts of studies with a model that answers a chat with images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from report_gen.arguments import DtypeName
from report_gen.backends import (
    Backend,
    ChatRequest,
    GenerationError,
    ModelDescription,
    ParsedReply,
    Reply,
    load_backend,
    parse_reply,
    with_agreement,
)
from report_gen.drafting.chat_preparation import ChatPreparer, ChatStudy
from report_gen.drafting.limits import Deadline, StudyLimits
from report_gen.drafting.report_generator import BlankStudy, GeneratedDraft, GeneratorInfo, OnAttention
from report_gen.drafting.request import DraftRequest, refuse_overrides
from report_gen.errors import NoDraftError, StudyError, UsageError, without_traceback
from report_gen.generation import Decoding, GeneratedText, study_generator
from report_gen.labeling import label_findings, locate_findings
from report_gen.records import (
    UNKNOWN_LOCATION,
    ConfidenceKind,
    Finding,
    FindingSchema,
    Heatmap,
    Image,
    PreprocessedImage,
    Study,
)

_LARGEST_SEED = 2**63 - 1


class ChatGenerator:
    """Generates texts with the backend of a described model. Implements `ReportGenerator`.

    The findings of a draft are read from its text, because such a model has no finding head.

    Args:
        description: What the model is and how it is asked.
        backend: Answers the chats.
    """

    def __init__(self, description: ModelDescription, backend: Backend) -> None:
        self._description, self._backend = description, backend
        self._preparer = ChatPreparer(description)
        settings, model = description.settings, backend.info
        self.info = GeneratorInfo(
            name=settings.name,
            weights_sha256=model.weights_sha256,
            revision=model.revision,
            remote=model.remote,
            device=model.device,
            dtype=model.dtype,
            schema=description.schema,
            findings_from_text=True,
            notice=settings.notice,
            decoding=settings.decoding.decoding(),
            batch_size=settings.concurrency,
        )

    @classmethod
    def load(cls, description: ModelDescription, *, device: str, dtype: DtypeName, allow_remote: bool) -> ChatGenerator:
        """Load the model of a description, or set up the connection to its server; see `load_backend`."""
        return cls(description, load_backend(description, device=device, dtype=dtype, allow_remote=allow_remote))

    def check_request(self, request: DraftRequest) -> DraftRequest:
        """Return the request. Raises UsageError if it sets findings or attributes, which the model does not take."""
        refuse_overrides(self.info.name, request.overrides, request.locations, request.attributes)
        return request

    def prepare(
        self, request: DraftRequest, *, decoding: Decoding, limits: StudyLimits, blank: bool, force: bool
    ) -> ChatStudy | BlankStudy | StudyError:
        """Load the images of a study, and fill in the prompt; see `ReportGenerator.prepare`."""
        try:
            return self._preparer.prepare(request, limits=limits, blank=blank, force=force)
        except StudyError as error:
            return without_traceback(error)

    def generate(
        self, batch: Sequence[ChatStudy], *, decoding: Decoding, deadline: Deadline, on_attention: OnAttention
    ) -> list[GeneratedDraft | StudyError]:
        """Ask the model about each study; see `ReportGenerator.generate`."""
        chats = [self.chat(item, decoding) for item in batch]
        answers = self._backend.generate(chats, decoding, deadline.check)
        return [self._read(item, answer, decoding) for item, answer in zip(batch, answers, strict=True)]

    def chat(self, item: ChatStudy, decoding: Decoding) -> ChatRequest:
        """Return the chat about a prepared study."""
        messages = self._description.prompt.messages(item.values, item.images)
        return ChatRequest(messages=messages, seed=_seed(item, decoding))

    def features(self, studies: Iterable[Study]) -> Iterator[NDArray[np.float64] | StudyError]:
        """Raise UsageError: `info.has_features` is False."""
        self._refuse("image features")

    def attention_map(self, study: Study, *, max_views: int | None) -> Heatmap:
        """Raise UsageError: `info.has_attention` is False."""
        self._refuse("attention over findings")

    def given_slices(self, study: Study, *, max_views: int | None) -> tuple[Image, ...]:
        """Return the slices of a volume that the model gets; empty for a study without slices."""
        return self._preparer.given_slices(study, max_views=max_views)

    def preprocessing_stages(self, study: Study, *, max_views: int | None) -> tuple[PreprocessedImage, ...]:
        """Raise UsageError: the processor of the model preprocesses the images, and its steps are not known."""
        self._refuse("preprocessing steps that can be shown")

    def _refuse(self, what: str) -> NoReturn:
        raise UsageError(f"{self.info.name}: a model behind a backend has no {what}; use a checkpoint of report-gen")

    def _read(
        self, item: ChatStudy, answer: tuple[Reply, ...] | GenerationError, decoding: Decoding
    ) -> GeneratedDraft | StudyError:
        """Return the draft of a study from the replies of the model, or why there is none."""
        if isinstance(answer, GenerationError):
            return StudyError(item.request.study.path, str(answer))
        prompt = self._description.prompt.messages(item.values, ())[-1].text
        parsed = [parse_reply(reply, prompt) for reply in answer]
        usable = [one for one in parsed if one.text.sections]
        if not usable:
            return NoDraftError(item.request.study.path, _describe_failure(parsed[0]))
        index, text = with_agreement([one.text for one in usable])
        host = self.info.remote
        sent = [f"images and prompt were sent to another computer: {host}"] if host else []
        notices = [*sent, *item.notices, *usable[index].notices]
        if len(usable) < len(parsed):
            notices.append(f"{len(parsed) - len(usable)} of {len(parsed)} replies of the model left out: no report")
        return GeneratedDraft(
            text=text,
            confidence=_confidence_kind(usable[index].text, text),
            findings=_findings_in(text.text, self.info.schema),
            notices=tuple(notices),
            prompt_values=item.used_values,
            max_report_tokens=decoding.max_tokens,
            options={"thinking_characters": usable[index].thinking_characters},
            comparison_text=item.comparison,
            knows_prior_report=bool(item.values.prior_report),
        )


def _seed(item: ChatStudy, decoding: Decoding) -> int:
    """Return the seed of the samples of a study, from the pixels of its images and the seed of the user."""
    return study_generator(decoding.seed, *sorted(item.pixel_digests)).initial_seed() & _LARGEST_SEED


def _confidence_kind(reply: GeneratedText, chosen: GeneratedText) -> ConfidenceKind:
    """Return what the confidence of a text measures that its reply has with or without token probabilities."""
    return "agreement" if reply.confidence is None and chosen.confidence is not None else "token probability"


def _describe_failure(reply: ParsedReply) -> str:
    """Return why the reply of a model is no report, and what to do."""
    if reply.refusal:
        return f'the model refused to write a report: "{reply.refusal}"; change the prompt, or use another model'
    return f"the model wrote no report: {reply.problem}; change the prompt, raise max_tokens, or use another model"


def _findings_in(text: str, schema: FindingSchema) -> tuple[Finding, ...]:
    """Return the findings that a text states, marked as read from it."""
    if not schema.findings:
        return ()
    states, locations = label_findings(text, schema), locate_findings(text, schema)
    return tuple(
        Finding(
            name=name,
            state=states[name],
            means_normal=name == schema.normal,
            from_text=True,
            location=locations.get(name, UNKNOWN_LOCATION),
        )
        for name in schema.findings
    )
