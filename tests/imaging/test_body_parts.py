"""Body parts that the texts of headers name, against PS3.16 and in many languages."""

from __future__ import annotations

import unicodedata

import pytest
from pydicom.sr._cid_dict import cid_concepts
from pydicom.sr._concepts_dict import concepts

from report_gen.imaging.body_parts import named_body_parts

BODY_PART_EXAMINED = (
    "ABDOMEN ABDOMENPELVIS ACETABULUM ACJOINT ADRENAL ANKLE ANUS AORTA ARM AXILLA BACK BILEDUCT BLADDER BRAIN BREAST "
    "BRONCHUS BUTTOCK CALCANEUS CALF CAROTID CARPUS CEREBELLUM CERVIX CHEEK CHEST CHESTABDOMEN CHESTABDPELVIS "
    "CIRCLEOFWILLIS CLAVICLE COCCYX COLON CORNEA CORONARYARTERY CSPINE CTSPINE DUODENUM EAR ELBOW ESOPHAGUS EXTREMITY "
    "EYE EYELID FACE FACIALBONES FEMUR FIBULA FINGER FLANK FOOT FOREARM FORELEG GALLBLADDER HALLUX HAND HEAD HEADNECK "
    "HEART HIP HUMERUS IAC ILEUM ILIUM JAW JEJUNUM KIDNEY KNEE LARYNX LEG LIVER LOWEXM LSPINE LSSPINE LUNG MANDIBLE "
    "MASTOID MAXILLA MEDIASTINUM METACARPUS METATARSUS MOUTH NASOPHARYNX NECK NECKCHEST NECKCHESTABDOMEN "
    "NECKCHESTABDPELV NOSE ORBIT OVARY PANCREAS PAROTID PATELLA PELVIS PENIS PHARYNX PROSTATE RADIUS RADIUSULNA RECTUM "
    "RETROPERITONEUM RIB SCALP SCAPULA SCLERA SCROTUM SELLA SHOULDER SIJOINT SINUS SKULL SPINALCORD SPINE SPLEEN "
    "SSPINE STERNUM STOMACH SUBMANDIBULAR TESTIS THIGH THUMB THYMUS THYROID TIBIAFIBULA TLSPINE TMJ TOE TONGUE TRACHEA "
    "TSPINE ULNA UPPERARM UP_EXM URETER URETHRA UTERUS VAGINA VULVA WHOLEBODY WRIST ZYGOMA"
)
"""Values of Body Part Examined: the terms of PS3.16 Annex L, and those that devices write beside them."""

EVERYWHERE = {
    *("Body conduit", "Vascular graft", "Endo-arterial", "Endo-vascular", "Endo-venous", "Intra-articular", "Joint"),
    *("Lumen of blood vessel", "Venous network"),
}
"""Anatomic regions of PS3.16 that may lie in any part of the body."""

OF_THE_CHEST = {"Chest", "Lung", "Heart", "Apex of Lung", "Mediastinum", "Neck and Chest", "Chest and Abdomen"}


@pytest.mark.parametrize("group", [4, 4030, 4031])
def test_every_anatomic_region_of_the_standard_names_a_body_part(group: int) -> None:
    """The context groups of PS3.16 as pydicom has them. The Code Meanings stand in Anatomic Region Sequence."""
    meanings = {
        meaning
        for name in cid_concepts[group]["SCT"]
        for meaning, groups in concepts["SCT"][name].values()
        if group in groups
    }
    assert len(meanings) > 100
    assert {meaning for meaning in meanings if not named_body_parts(meaning, is_coded=True)} <= EVERYWHERE
    assert all("chest" in named_body_parts(meaning, is_coded=True) for meaning in meanings & OF_THE_CHEST)


def test_every_defined_term_names_a_body_part() -> None:
    parts = {term: named_body_parts(term, is_coded=True) for term in BODY_PART_EXAMINED.split()}
    assert [term for term, named in parts.items() if not named] == []
    assert {term for term, named in parts.items() if "chest" in named} == {
        *("AORTA", "BRONCHUS", "CHEST", "CHESTABDOMEN", "CHESTABDPELVIS", "CORONARYARTERY", "HEART", "LUNG"),
        *("MEDIASTINUM", "NECKCHEST", "NECKCHESTABDOMEN", "NECKCHESTABDPELV", "THYMUS", "TRACHEA"),
    }


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("Thoracic spine", "spine"),
        ("THORAX_AP", "chest"),
        ("Röntgen Thorax p.a.", "chest"),
        ("TÓRAX", "chest"),
        ("Knie links", "leg"),
        ("Knee_LT", "leg"),
        ("FINGER3", "hand"),
        # umlauts and accents
        ("Schädel a.p.", "head"),
        ("SCHAEDEL", "head"),
        ("Hüfte rechts", "pelvis"),
        ("HUEFTE", "pelvis"),
        ("Zähne", "teeth"),
        ("Wirbelsäule seitl.", "spine"),
        ("Fuß links in 2 Ebenen", "foot"),
        ("FUSS", "foot"),
        ("Knä vänster", "leg"),
        ("Fot hö", "foot"),
        ("Knæ", "leg"),
        ("Crâne F+P", "head"),
        ("Épaule", "shoulder"),
        ("Mão direita", "hand"),
        ("Pé esquerdo", "foot"),
        ("Pé", "foot"),
        # compounds
        ("Ellenbogen rechts", "arm"),
        ("Kniegelenk re.", "leg"),
        ("Schultergelenk", "shoulder"),
        ("Handwurzel", "hand"),
        ("Beckenübersicht", "pelvis"),
        ("Brustwirbelsäule", "spine"),
        ("Kiefer", "head"),
        ("Lungenaufnahme Thorax", "chest"),
        # words with a second meaning
        ("Main gauche", "hand"),
        ("Pied droit face", "foot"),
        ("Pie derecho", "foot"),
        ("RX de pie derecho", "foot"),
        ("Abdome agudo", "abdomen"),
        ("Addome diretta", "abdomen"),
        ("Voet links", "foot"),
        ("RTG kolana", "leg"),
        ("RTG klatki piersiowej", "chest"),
        # other scripts
        ("КИСТЬ", "hand"),
        ("Коленный сустав", "leg"),
        ("Органы грудной клетки", "chest"),
        ("Грудной отдел позвоночника", "spine"),
        ("左手正位", "hand"),
        ("胸部正位", "chest"),
        ("胸椎", "spine"),
        ("膝関節", "leg"),
        ("흉부", "chest"),
        ("ΘΩΡΑΚΟΣ", "chest"),
        ("ＣＨＥＳＴ", "chest"),  # full-width letters of Japanese devices
    ],
)
def test_a_word_of_a_header_names_a_body_part(text: str, part: str) -> None:
    assert named_body_parts(text) == {part}
    assert named_body_parts(unicodedata.normalize("NFD", text)) == {part}


def test_several_body_parts() -> None:
    assert named_body_parts("chest and abdomen") == {"chest", "abdomen"}
    assert named_body_parts("CHEST胸部 HAND") == {"chest", "hand"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "PORTABLE AP",
        "Face",  # the frontal view in French
        "Handover protocol",
        "main building",
        "R/O PE",  # pulmonary embolism
        "AP HEAD UP 30",
        "LEFT ARM UP",
        "arms above head",
        "PA de pie",  # standing in Spanish
        "AP em pé",  # standing in Portuguese
        "in piedi",  # standing in Italian
        "back up",
        "gastric tube check",
        "手术后",  # after surgery in Chinese
    ],
)
def test_other_words_name_none(text: str) -> None:
    assert named_body_parts(text) == frozenset()


def test_a_word_that_means_a_view_in_a_description_names_a_part_in_a_coded_attribute() -> None:
    assert named_body_parts("FACE", is_coded=True) == {"head"}
    assert named_body_parts("BACK", is_coded=True) == {"spine"}
