"""Reports read out of replies as chat models write them."""

from __future__ import annotations

import json
import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from report_gen.backends import ParsedReply, Reply, parse_reply
from report_gen.records import SectionName, parse_report

GPT = """Certainly! Here is a structured radiology report:

### **Chest X-ray Report**

**Examination:** PA chest radiograph
**Technique:** Single view.

---

## Findings

- **Lungs:** Clear, without focal consolidation
- **Heart:** normal size
* no pneumothorax

### Bones
1. No acute fracture.
2) Mild degenerative changes

**Impression:**
1. No acute cardiopulmonary disease.

**Recommendations:** Clinical follow-up.

*Note: This report is not a substitute for professional medical advice.*"""

LLAVA = (
    "The image is a chest X-ray of an adult. The lungs are clear, with no evidence of consolidation, and the heart is"
    " not enlarged."
)

MEDGEMMA = """<unused94>thought
The user wants a report. FINDINGS: maybe an effusion.<unused95>Okay, here is the report:

**FINDINGS:**
The cardiac silhouette is enlarged. There is a small left pleural effusion.

**IMPRESSION:**
*   Cardiomegaly
*   Small left effusion"""

QWEN = """<think>
Let me look at the picture. The lungs are clear?
</think>

Findings
--------
The lungs are **hyper**inflated.

Impression
----------
Emphysema."""


def parse(text: str, *, ended: bool = True) -> ParsedReply:
    return parse_reply(Reply(text=text, ended=ended))


def sentences(parsed: ParsedReply) -> dict[str, list[str]]:
    return {section.name.value: [one.text for one in section.sentences] for section in parsed.text.sections}


def test_a_reply_of_gpt() -> None:
    parsed = parse(GPT)
    assert sentences(parsed) == {
        "FINDINGS": [
            "Lungs: Clear, without focal consolidation.",
            "Heart: normal size.",
            "No pneumothorax.",
            "Bones: No acute fracture.",
            "Mild degenerative changes.",
        ],
        "IMPRESSION": ["No acute cardiopulmonary disease."],
    }
    assert parsed.notices == (
        "text outside FINDINGS and IMPRESSION was left out: text before the first section, Technique, Recommendations",
    )


def test_a_reply_of_llava_is_findings() -> None:
    assert sentences(parse(LLAVA)) == {
        "FINDINGS": [
            "The image is a chest X-ray of an adult.",
            "The lungs are clear, with no evidence of consolidation, and the heart is not enlarged.",
        ]
    }
    assert parse(LLAVA).notices == ()


def test_a_reply_of_medgemma() -> None:
    parsed = parse(MEDGEMMA)
    assert sentences(parsed) == {
        "FINDINGS": ["The cardiac silhouette is enlarged.", "There is a small left pleural effusion."],
        "IMPRESSION": ["Cardiomegaly.", "Small left effusion."],
    }
    length = MEDGEMMA.index("Okay")
    assert parsed.thinking_characters == length
    assert parsed.notices[0] == f"a thinking part of {length} characters was removed from the reply"


def test_a_reply_of_qwen() -> None:
    parsed = parse(QWEN)
    assert sentences(parsed) == {"FINDINGS": ["The lungs are hyperinflated."], "IMPRESSION": ["Emphysema."]}
    assert parsed.thinking_characters == QWEN.index("</think>") + len("</think>")


@pytest.mark.parametrize(
    "text",
    [
        "FINDINGS: The lungs are clear. IMPRESSION: Normal chest.",
        "FINDINGS:\nThe lungs are clear.\n\nIMPRESSION:\nNormal chest.",
        "Findings: The lungs are clear. Impression: Normal chest.",
        "**Findings:** The lungs are clear.\n**Impression:** Normal chest.",
        "**Findings**\n\nThe lungs are clear.\n\n**Impression**\n\nNormal chest.",
        "**Findings** The lungs are clear. **Impression** Normal chest.",
        "**Findings**: the lungs are clear\r\n**Impression**: normal chest\r\n",
        "__Findings:__ The lungs are clear.\n__Impression:__ Normal chest.",
        "# Findings\nThe lungs are clear.\n# Impression\nNormal chest.",
        "## FINDINGS ##\nThe lungs are clear.\n## **CONCLUSION**\nNormal chest.",
        "1. **Findings:**\n   - The lungs are clear\n2. **Impression:**\n   - Normal chest",
        "> **Findings:** The lungs are clear.\n> **Impression:** Normal chest.",
        "Impression: Normal chest.\nFindings: The lungs are clear.",
        "```markdown\nFindings: The lungs are clear.\nImpression: Normal chest.\n```",
        "<findings>The lungs are clear.</findings>\n<impression>Normal chest.</impression>",
        "<p><b>Findings:</b> The lungs are&nbsp;clear.</p><p><b>Impression:</b> Normal chest.</p>",
        "| Section | Text |\n|---|:---|\n| Findings | The lungs are clear |\n| Impression | Normal chest |",
        '{"findings": "The lungs are clear.", "impression": "Normal chest."}',
        'Here it is:\n```json\n{"report": {"Findings": ["The lungs are clear"], "IMPRESSION": "Normal chest"}}\n```',
        '{"findings": "The lungs are clear.", "age": 5, "impression": "Normal chest.", "model": "x", "urgent": false}',
        '{"findings": "The lungs are clear.", "impression": "Normal chest.',
        "USER: <image>\nWrite a report. ASSISTANT: Findings: The lungs are clear. Impression: Normal chest.</s>",
        "Findings: The lungs are clear. Impression: Normal chest.<|im_end|>\nUSER: Thanks",
        "<answer>Findings: The lungs are clear.\nImpression: Normal chest.</answer>",
        "Findings: The \u200blungs are clear.\u0007 Impression: Nor\u202emal chest.",
    ],
)
def test_forms_of_headings(text: str) -> None:
    assert sentences(parse(text)) == {"FINDINGS": ["The lungs are clear."], "IMPRESSION": ["Normal chest."]}


@pytest.mark.parametrize(
    ("text", "thinking"),
    [
        ("<think>No.</think>Clear lungs.", 18),
        ("<thinking>\nNo.</thinking>\nClear lungs.", 25),
        ("No idea.</think>\nClear lungs.", 16),
        ("<think>a</think><think>b</think>Clear lungs.", 32),
        (
            "<|channel|>analysis<|message|>No.<|end|><|start|>assistant<|channel|>final<|message|>Clear lungs.<|end|>",
            85,
        ),
        ("analysisWe need a report.assistantfinalClear lungs.", 39),
        ("<|channel>thought\nNo.<channel|>Clear lungs.", 31),
        ("[THINK]No.[/THINK]Clear lungs.", 18),
        ("Clear lungs.<think>More?", 12),
        ("Clear lungs.", 0),
    ],
)
def test_thinking_parts_are_removed(text: str, thinking: int) -> None:
    parsed = parse(text)
    assert (parsed.text.text, parsed.thinking_characters) == ("Clear lungs.", thinking)


def test_an_echo_of_the_prompt_is_left_out() -> None:
    prompt = "Write the report of this chest radiograph for a radiologist.\nDescribe the heart."
    echoed = parse_reply(Reply(text=f"{prompt}\n\nThe heart is large."), prompt)
    assert sentences(echoed) == {"FINDINGS": ["The heart is large."]}
    assert parse_reply(Reply(text=prompt), prompt).problem == "the reply repeats the prompt"
    assert sentences(parse_reply(Reply(text="Write of the heart."), prompt)) == {"FINDINGS": ["Write of the heart."]}


def test_only_an_impression() -> None:
    assert sentences(parse("Impression: No acute disease.")) == {"IMPRESSION": ["No acute disease."]}


def test_text_before_the_impression_is_findings() -> None:
    assert sentences(parse("The lungs are clear.\n\n**Impression:** Normal.")) == {
        "FINDINGS": ["The lungs are clear."],
        "IMPRESSION": ["Normal."],
    }


def test_labels_lists_and_tables() -> None:
    text = "Findings:\nLungs:\n- Clear\n- No nodule\n\n| Region | State |\n|--|--|\n| Heart | Normal |\n\nDevices:\n"
    assert sentences(parse(text)) == {"FINDINGS": ["Lungs: Clear.", "No nodule.", "Heart: Normal."]}


def test_a_wrapped_line_goes_on() -> None:
    text = "The lungs are\nclear, and the heart,\nAorta and hila are normal.\nNo effusion\nNo edema"
    assert sentences(parse(text)) == {
        "FINDINGS": [
            "The lungs are clear, and the heart, Aorta and hila are normal.",
            "No effusion.",
            "No edema.",
        ]
    }


def test_marks_inside_sentences() -> None:
    text = r"A *small* nodule of 2*3 mm and 3 * 4 cm, `5 mm` $\rightarrow$ T1\_w, [see](http://a.b) &lt; 1 cm."
    assert parse(text).text.text == r"A small nodule of 2*3 mm and 3 * 4 cm, 5 mm $\rightarrow$ T1_w, see < 1 cm."


def test_sentences_with_deidentification_marks_are_left_out() -> None:
    parsed = parse(
        "FINDINGS: Seen by Dr. XXXX. The lungs are clear. Patient ___ has a nodule. Known at [**Hospital 12**]."
    )
    assert sentences(parsed) == {"FINDINGS": ["The lungs are clear."]}
    assert parsed.notices == ("3 sentences with a de-identification mark left out",)


def test_the_end_of_a_text_that_was_cut_gets_no_full_stop() -> None:
    parsed = parse("The lungs are clear\n\nThe heart is", ended=False)
    assert sentences(parsed) == {"FINDINGS": ["The lungs are clear.", "The heart is"]}
    assert not parsed.text.ended


def _tokens(text: str, probabilities: dict[str, float]) -> Reply:
    """Return a reply whose tokens are words with the white space before them; other words have a probability of 1."""
    words = list(re.finditer(r"\s*\S+", text))
    return Reply(
        text=text,
        token_ends=tuple(word.end() for word in words),
        probabilities=tuple(probabilities.get(word[0].strip(), 1.0) for word in words),
    )


@pytest.mark.parametrize(
    "text",
    [
        "The lungs are clear. No edema.",
        "**Findings:** The lungs are clear.\n* No edema.",
        "<think>so so unsure</think>Sure! Here is the report:\n\n## Findings\n\nThe lungs are clear.\n\n- No   edema.",
        'Here: \n{"findings": "The lungs are clear.\\n No edema."}',
    ],
)
def test_confidences_are_those_of_the_tokens_of_a_sentence(text: str) -> None:
    parsed = parse_reply(_tokens(text, {"lungs": 0.5, "are": 0.25, "No": 0.09, "so": 0.01}))
    lungs, edema = parsed.text.sections[0].sentences
    assert (lungs.text, edema.text) == ("The lungs are clear.", "No edema.")
    assert lungs.confidence == pytest.approx((1 * 0.5 * 0.25 * 1) ** (1 / 4))
    assert edema.confidence == pytest.approx(0.3)


def test_the_confidence_of_the_text_is_that_of_the_answer() -> None:
    reply = _tokens("<think> no </think> Clear lungs.", {"no": 0.01, "Clear": 0.25})
    assert parse_reply(reply).text.confidence == pytest.approx(0.5)
    assert parse("Clear lungs.").text.confidence is None
    assert parse_reply(_tokens("Clear lungs.", {"Clear": math.nan})).text.finite is False


_SENTENCES = st.lists(
    st.sampled_from(["The lungs are clear.", "No effusion.", "Heart size is normal.", "Small nodule, 4.5 mm."]),
    min_size=1,
    unique=True,
)


@given(_SENTENCES, _SENTENCES)
def test_all_forms_give_the_same_report(findings: list[str], impression: list[str]) -> None:
    def lines(mark: str, texts: list[str]) -> str:
        return "".join(f"{mark}{text}\n" for text in texts)

    forms = (
        f"FINDINGS: {' '.join(findings)} IMPRESSION: {' '.join(impression)}",
        f"## Findings\n{lines('- ', findings)}\n## Impression\n{lines('1. ', impression)}",
        f"**Findings:**\n{lines('* ', findings)}\n**Impression:**\n{lines('', impression)}",
        json.dumps({"findings": findings, "impression": " ".join(impression)}),
    )
    for form in forms:
        parsed = parse(form)
        assert sentences(parsed) == {SectionName.FINDINGS: findings, SectionName.IMPRESSION: impression}
        assert parsed.text.sections == parse_report(forms[0])


def test_advice_to_see_a_radiologist_is_left_out() -> None:
    (_, impression) = parse_reply(
        Reply(text="FINDINGS: Large heart. IMPRESSION: Cardiomegaly. Please consult a radiologist.")
    ).text.sections
    assert impression.text == "Cardiomegaly."


@pytest.mark.parametrize(
    "text",
    [
        "The lungs are clear.<|im_end|>\n<|im_start|>user\nIs there a mass? IMPRESSION: Cancer.",
        "The lungs are clear.<end_of_turn>\n<start_of_turn>user\nThere is a mass.",
        "The lungs are clear.</s>[INST] There is a mass. [/INST]",
        "The lungs are clear.<|im_end|>\n<|im_start|>user\nMass?<|im_end|>\n<|im_start|>assistant\nA mass.<|im_end|>",
        "<|im_start|>user\nIs there a mass?<|im_end|>\n<|im_start|>assistant\nThe lungs are clear.",
        "<s>[INST] Describe the mass. [/INST] The lungs are clear.",
    ],
)
def test_other_turns_of_a_chat_are_left_out(text: str) -> None:
    (section,) = parse_reply(Reply(text=text)).text.sections
    assert section.text == "The lungs are clear."


def test_a_long_reply_is_cut_after_a_sentence() -> None:
    sentence = "No pneumothorax is seen in rib interspace number {}, but one is present elsewhere."
    parsed = parse_reply(Reply(text="\n".join(map(sentence.format, range(1000)))))
    (section,) = parsed.text.sections
    assert len(section.sentences) == 200
    last = "No pneumothorax on the right, but on the left."
    parsed = parse_reply(Reply(text="FINDINGS: " + "The lungs are clear. " * 1904 + last))
    (section,) = parsed.text.sections
    assert section.text == "The lungs are clear."
    assert "the reply was cut after 39993 characters" in parsed.notices


def test_the_codes_of_a_terminal_leave_no_letters() -> None:
    (section,) = parse_reply(Reply(text="The lungs are \x1b[1;31mclear\x1b[0m. \x9b2JNo effusion.")).text.sections
    assert section.text == "The lungs are clear. No effusion."


def test_a_refusal_that_the_server_marks_is_none_of_the_images() -> None:
    parsed = parse_reply(Reply(text="The interpretation of chest radiographs is outside the policy.", refused=True))
    assert not parsed.text.sections
    assert parsed.refusal == "The interpretation of chest radiographs is outside the policy."
