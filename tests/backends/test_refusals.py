"""Refusals of chat models, and sentences of radiologists that resemble them."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from report_gen.auditing import has_deidentification_mark
from report_gen.backends import Reply, parse_reply
from report_gen.backends.remarks import content_start, is_refusal, is_remark
from report_gen.records import split_sentences

REFUSALS = [
    "I'm sorry, but I can't assist with that.",
    "I\u2019m sorry, I can\u2019t help with interpreting this X-ray.",
    "Sorry, I can't provide a diagnosis based on this image.",
    "I am not able to provide medical diagnoses.",
    "I'm unable to interpret medical images such as X-rays.",
    "I cannot interpret images.",
    "I can't analyze this chest X-ray.",
    "I am unable to provide a radiology report for this image.",
    "I cannot generate a medical report.",
    "Unfortunately, I cannot provide medical advice or a diagnosis.",
    "As an AI language model, I do not have the ability to view images.",
    "As an AI, I cannot diagnose medical conditions.",
    "I'm just an AI and cannot give a clinical interpretation.",
    "I am a text-based model and do not process pictures.",
    "I don't see an image in your message.",
    "I don't see any image attached.",
    "There is no image attached to this conversation.",
    "No image was provided.",
    "It seems that the image was not uploaded correctly. Please upload the image again.",
    "Could you please provide the X-ray image you want me to look at?",
    "I do not have access to the image you mention.",
    "I apologize, but this is something I cannot do.",
    "I must decline to write this report.",
    "This request was flagged by our safety system.",
    "Providing a diagnosis would be against my guidelines.",
    "I am not a licensed radiologist, so I won't interpret this scan.",
    "My apologies, this is outside of what I can do.",
    "I won't be able to do this. I can't fulfill this request.",
    "The image you uploaded does not appear to be a chest X-ray.",
    "I'm sorry, but I am unable to process this image. If you have any questions about chest X-rays, feel free to ask.",
    "I can't assist with that request. Please consult a qualified healthcare professional for the interpretation.",
    "Es tut mir leid, aber ich kann dabei nicht helfen.",
    "Als KI-Modell kann ich keine Diagnosen stellen.",
    "Ich kann leider keine medizinischen Bilder befunden.",
    "Je suis désolé, mais je ne peux pas vous aider.",
    "En tant qu'IA, je ne suis pas en mesure de poser un diagnostic.",
    "Je ne peux pas interpréter cette radiographie.",
    "Lo siento, no puedo ayudar con eso.",
    "No puedo proporcionar un diagnóstico médico.",
    "Como modelo de lenguaje, no interpreto radiografías.",
    (
        "I'm unable to interpret X-rays. However, I can explain how chest X-rays are read in general."
        " Chest X-rays are commonly used to look at the lungs. A radiologist will look at the heart size."
    ),
    (
        "I'm sorry, but I'm unable to provide a medical interpretation of the image you've uploaded. It's"
        " important to have a qualified healthcare professional, such as a radiologist, review and"
        " interpret medical images."
    ),
    (
        "I can't provide medical interpretations of X-rays. If you need help with understanding medical"
        " terms or general information about chest X-rays, I can assist with that."
    ),
    (
        "It looks like you've uploaded a chest X-ray. I can't diagnose or write an official report, but"
        " here are some things radiologists look for: heart size, lung fields, and bones."
    ),
    "Unfortunately I do not have the capability to analyze images directly.",
    "I don't have the ability to see images, so I can't tell what's in it.",
    "I regret that I can't fulfil your request.",
    "It is not appropriate for me to interpret this medical image.",
    "I would need to see the image to write the report.",
    "Please provide the images so that I can write the report.",
    "I'm not comfortable giving medical opinions.",
    "Diagnosing from an image is not something I can do.",
    "I'm really sorry, but I can't view or interpret images at this time.",
    "Your input could not be processed.",
    "Leider kann ich keine Bilder sehen.",
    "Ich darf keine medizinischen Befunde erstellen.",
    "Je n'ai pas la capacité d'analyser des images médicales.",
    "No tengo la capacidad de ver imágenes.",
    "No soy médico y no puedo dar un diagnóstico.",
    "I was not given an image.",
    "I have no image to look at.",
    "Error: image not found.",
]

EVASIONS = [
    "Thanks for sharing this X-ray, but I'm afraid interpreting it is beyond what I'm able to do.",
    "I understand you want a report; however, I must not give diagnostic statements.",
    "While I can see that this is a chest radiograph, I'm not able to give you a diagnosis.",
    "I'm afraid I can't do that.",
    "I am not authorised to comment on clinical images.",
    "I do not provide radiology interpretations.",
    "Sorry — no can do.",
    "There doesn't seem to be an image in your message.",
    "I only received text. Could you attach the radiograph?",
    "My training does not allow me to interpret medical imaging.",
    "I'm designed to be helpful, but I can't read X-rays.",
    "It would be irresponsible for me to draft a report from this picture.",
    "I won't speculate about medical conditions.",
    "Content cannot be generated due to safety settings.",
    "Tut mir leid, dazu kann ich nichts sagen.",
    "Je regrette, mais je ne peux pas analyser cette image.",
    "Disculpa, no puedo interpretar radiografías.",
    "I'm not able to process images, only text.",
    "We cannot offer a medical opinion here.",
    "Unable to comply with this request.",
    "This model is not intended for clinical use and will not provide a diagnosis.",
    "Interpreting radiographs requires a licensed radiologist; I am not one.",
]
"""Written after the vocabulary. Not all are recognized as refusals, but none is a report."""

OPENINGS = [
    "No acute abnormality. I cannot exclude a small effusion.",
    "The study is limited and cannot be fully assessed.",
    "I do not see a pneumothorax.",
    "I don't see any evidence of pneumonia.",
    "I can't see any acute bony abnormality.",
    "We are unable to assess the left base because of rotation.",
    "I am unable to exclude a subtle rib fracture.",
    "I cannot determine the age of this fracture.",
    "I cannot evaluate the retrocardiac region on this view.",
    "I am not able to identify a focal consolidation.",
    "Unable to evaluate the apices, which are obscured by the chin.",
    "The left hemidiaphragm cannot be seen.",
    "No prior images are available for comparison.",
    "No lateral view was obtained.",
    "No image of the lung bases.",
    "No previous study available.",
    "The patient is not able to take a deep breath.",
    "The image is rotated, and the heart size cannot be assessed.",
    "The image does not include the costophrenic angles.",
    "The images are not of diagnostic quality.",
    "Evaluation is limited by motion. The pulmonary arteries are not well opacified.",
    "A diagnosis of pneumonia cannot be excluded.",
    "No medical device is seen.",
    "A support device is attached to the chest wall.",
    "Please correlate clinically.",
    "Recommend CT of the chest for further evaluation.",
    "Follow-up radiograph is recommended in six weeks.",
    "I see a large left pleural effusion.",
    "I would describe the heart as enlarged.",
    "We see no evidence of edema.",
    "This is a normal chest radiograph.",
    "Findings are compatible with asthma; the lungs are hyperinflated.",
    "The AICD leads are unchanged.",
    "Image quality is poor. The lungs cannot be interpreted with confidence.",
    "Please see the report of the CT of the same day.",
    "The right hilum is full. It is not possible to differentiate a mass from vessels.",
    "Der Randwinkel kann nicht beurteilt werden. Kein Erguss.",
    "Ein kleiner Erguss ist nicht auszuschließen.",
    "Pas d'épanchement pleural.",
    "No se puede descartar un pequeño derrame.",
]


@pytest.mark.parametrize("text", REFUSALS)
def test_a_refusal_is_no_report(text: str) -> None:
    parsed = parse_reply(Reply(text=text))
    assert parsed.text.sections == ()
    assert parsed.refusal
    assert parsed.problem == f'the model refused: "{parsed.refusal}"'
    assert parsed.text.confidence is None


@pytest.mark.parametrize("text", EVASIONS)
def test_an_evasion_is_no_report(text: str) -> None:
    parsed = parse_reply(Reply(text=text))
    assert parsed.text.sections == ()
    assert parsed.problem


@pytest.mark.parametrize("text", OPENINGS)
def test_a_sentence_of_a_radiologist_is_no_refusal(text: str) -> None:
    parsed = parse_reply(Reply(text=text))
    assert parsed.refusal == parsed.problem == ""
    assert parsed.notices == ()
    assert parsed.text.text == text


@pytest.mark.parametrize(
    "text",
    [
        "I'm not a doctor. The lungs are clear.",
        "I am unable to provide a diagnosis, but I can describe the image. The lungs are clear.",
        "As an AI, I can make mistakes.\n\nFINDINGS: The lungs are clear.",
        "FINDINGS: The lungs are clear.\n\nThis report is not a substitute for professional medical advice.",
    ],
)
def test_a_disclaimer_beside_a_report_is_left_out(text: str) -> None:
    parsed = parse_reply(Reply(text=text))
    assert (parsed.text.text, parsed.refusal) == ("The lungs are clear.", "")
    assert len(parsed.notices) == 1
    assert parsed.notices[0].startswith("text outside FINDINGS and IMPRESSION was left out: ")


def test_a_description_behind_an_excuse_is_kept() -> None:
    parsed = parse_reply(Reply(text="I'm not a radiologist, but there is a large left effusion."))
    assert parsed.text.text == "There is a large left effusion."


@pytest.mark.parametrize(
    ("sentence", "content"),
    [
        ("Here is the report: The lungs are clear.", " The lungs are clear."),
        ("Lungs: clear.", "Lungs: clear."),
        (
            "I cannot exclude an effusion, but the lungs are clear.",
            "I cannot exclude an effusion, but the lungs are clear.",
        ),
        ("I'm sorry, but I can't help.", "I'm sorry, but I can't help."),
    ],
)
def test_where_the_content_of_a_sentence_begins(sentence: str, content: str) -> None:
    assert sentence[content_start(sentence) :] == content


@pytest.mark.parametrize(
    "sentence",
    [
        "Certainly!",
        "Here is a structured report of the chest X-ray:",
        "Let me know if you need anything else.",
        "This is for educational purposes only.",
        "Please consult a qualified radiologist for a definitive diagnosis.",
        "If you have symptoms, see your doctor.",
        "Radiologist: [Insert name]",
        "Signed by [Radiologist Name]",
    ],
)
def test_remarks(sentence: str) -> None:
    assert is_remark(sentence)
    assert not is_refusal(sentence)


@pytest.mark.realdata
def test_reports_of_radiologists_are_neither_refusals_nor_remarks(shared: Path) -> None:
    with (shared / "data" / "iu_xray" / "indiana_reports.csv").open(encoding="utf-8") as file:
        texts = [row[name] for row in csv.DictReader(file) for name in ("findings", "impression")]
    reports = [text for text in texts if text and not has_deidentification_mark(text)]
    assert len(reports) > 5000
    found = {one.text for text in reports for one in split_sentences(text)}
    assert [one for one in found if is_refusal(one) or is_remark(one) or content_start(one)] == []
    assert [text for text in reports if parse_reply(Reply(text=text)).problem] == []
