"""List markers, boxes, answers and tables are read as people read them."""

import re
from itertools import zip_longest

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from negation_api.text.sentences import SegmentedText
from negation_api.text.spans import Span
from reads import reads

# Between bars; a line break is a bar too.
MARKERS = """
- |-|– |— |--|--> |-> |=> |> |* |*|** |•|• |·
▪ |◦ |‣ |➢ |► |→ |❖ |◆ |★ |o  |~ |\uf0b7 |&bull;
1. |1) |(1) |1.) |[1] |#1 |# |1.1. |1: |1 - |12. |1.|a. |b) |(c) |i. |iv) |(II) |①
""".strip("\n").replace("\n", "|").split("|")


@pytest.mark.parametrize("marker", MARKERS)
def test_a_marker_at_a_line_s_start_is_not_read(marker):
    listed = f"PMH:\n{marker}<Hypertension>\n{marker}Gout"
    assert reads(listed) == "Past medical history: <Hypertension>"


FORMS = {
    "Pertinent -: rash; <gout>": "Pertinent negative: rash; <gout>",
    "Pertinent (+): <gout>\nRh +: seen": "Pertinent positive: <gout>",
    "What symptoms? Rash, <gout>": "What symptoms? Rash, <gout>",
    "Edema: {YES/NO:63}\n<Gout>: {YES/NO/NA:4}": "<Gout>: unknown",
    "Apnea? No, wife has not seen any\n<Snoring>? Yes, loud": "<Snoring>? Yes, loud",
    "Open wound?   0 - No\n<Ulcer>?   1 - Yes": "<Ulcer>? Yes",
    "Workup: excluded\n<embolism> and gout.": "Workup: excluded <embolism> and gout.",
    "Rash reported, fever denied, mother denies\n<gout> or edema.": (
        "mother: denies <gout> or edema."
    ),
    "Fever: N | denies pain | <gout> | Edema: N": "denies pain <gout>",
    "Edema none | <Murmur> yes | Rub no": "<Murmur>: yes",
    "Gout: {absent:12}\n<Rash>: {present:12}": "<Rash>: {present:12}",
    "Family history of\n<Gout>? Yes\nRash? No": "Family history of <Gout>? Yes",
    "Iron | Yes\n<Gabapentin> 300 mg | Not taking": "<Gabapentin> 300 mg: Not taking",
    "<Colitis> | Possible\nSpondylitis | Suspected": "<Colitis>: Possible",
    "Colitis\tConfirmed\n<Gout>\tRuled out": "<Gout>: Ruled out",
    "Impression: possible\n<gout>": "Impression: possible <gout>",
    "Murmur N | <Gout> Y (L toe) | HIV N": "<Gout>: yes (L toe)",
    "<Murmur> N | Gout Y (L toe) | HIV N\nCancer N": "<Murmur>: no",
    "Gout Y | HIV of the old kind N\n<Cancer> unlike it": "<Cancer> unlike it",
    "   pain    +\n   <edema>    +  (feet only)": "<edema>: positive (feet only)",
    "<Blackout>: patient does not remember": "<Blackout>: unknown",
    "Rub no | <Murmur> yes, 2/6 | Gallop no": "<Murmur> yes, 2/6",
    "Bloating - Yes\n<Hoarseness> - (no response)": "<Hoarseness>: unknown",
    # Signs keep their meaning.
    "-<fever>, +cough": "-<fever>, +cough",
    "-<fever>\n-chills\n+cough\n-rash": "-<fever>",
    "-fever\n-chills\n+<cough>\n-rash": "+<cough>",
    "<Fever> (-)": "<Fever> (-)",
    "(+/-) <pain>": "(?) <pain>",
    "edema +/-, <rash> ±": "edema (?), <rash> (?)",
    "pain 5 +/- 2, ± <edema>": "pain 5 +/- 2, (?) <edema>",
    "Exam: -<nystagmus>, +ptosis": "Exam: (-) <nystagmus>,",
    "Neuro: +ptosis/-<clonus>, alert": "(-) <clonus>, alert",
    "Meds: -aspirin, -<metformin>": "Meds: -aspirin, -<metformin>",
    "Abd: +/-<pain>, +bloating": "Abd: (?)<pain>, +bloating",
    "+anhedonia +insomnia -<mania>": "(-) <mania>",
    "ROS: +fever, +<cough>, -rash": "+<cough>,",
    "lisinopril -held, <gout> -stable": "lisinopril -held, <gout> -stable",
    "Gen    + malaise\nCV     - <edema>": "CV (-) <edema>",
    "CV     - <HTN>, on lisinopril\nID     + BCx": "CV - <HTN>, on lisinopril",
    "Return if +fever +<chills>": "Return if +fever +<chills>",
    "Father +CAD +<stroke>, pt healthy": "Father +CAD +<stroke>, pt healthy",
    "CT +<mass> -stable, +nodes": "CT +<mass> -stable, +nodes",
    "Gen    - malaise\nCV     - <edema>": "CV - <edema>",
    "Kernig neg, rash neg, <rigidity> +/-": "<rigidity>: (?)",
    "ROS neg <fever> neg rash neg": "ROS neg <fever> neg rash neg",
    "CVS:no <murmur>.RESP:creps.": "CVS:no <murmur>.",
    # An answer, and what its line says.
    "Rash: no\n<Cough> for 3 days": "<Cough> for 3 days",
    "Rash: yes\n<cough> for 3 days": "<cough> for 3 days",
    "Ext: no\n<edema> seen": "Ext: no <edema> seen",
    "GI: Denies\n<Nausea>, vomiting": "GI: Denies <Nausea>, vomiting",
    "Fever: no\nor <chills>": "Fever: no or <chills>",
    "<Diaphoresis>>> no\nEKG done": "<Diaphoresis>: no",
    "Any pain?\n1. <heartburn>? -> Yes\n2. rash? -> No": "<heartburn>? Yes",
    "Cough...N Wheeze...N <Stridor>...Y Rash...N": "<Stridor>: yes",
    "<Pacemaker> .......... Y / N : N\nClip ....... Y/N: Y": "<Pacemaker>: no",
    "HIV: reactive / <HBV>: non-reactive / HCV: reactive": "<HBV>: negative",
    "DM(+) <HTN>(+) TB(-)  on OHA": "<HTN>(+)",
    "Wound:  slough [x]   <pus> [ ]   odour [x]   dry": "<pus> (-)",
    "HTN   [ ] <DM>   [x] CAD   [ ]": "<DM>",
    "Age: 40\n<Dysphagia>: [select one]\nPain: none": "<Dysphagia>: unknown",
    "Etiology: ***\n<Osteomyelitis>: ***": "<Osteomyelitis>: unknown",
    # Lists in lists.
    "* Denies\n  * <headache>\n* Reports\n  * rash": "Denies: <headache>",
    "- Denies:\n  - headache\n- <Cough>": "<Cough>",
    "- Denies:\n- headache\n- <cough>": "Denies: <cough>",
    "1. Denies:\na. headache\nb. <cough>": "Denies: <cough>",
    "1. Denies:\n- headache\n- <rash>\n2. Cough": "Denies: <rash>",
    # Answers in brackets, with codes, behind dots, in a column of statuses.
    "Fever      [Y]  N   ?\n<Halos>      Y   N  [?]": "<Halos>: unknown",
    "<Gout> .... (YES)  NO\nUlcers .... YES  (NO)": "<Gout>: YES",
    "Fever (Y) N    <Cough> Y (N)    Rash (Y) N": "<Cough>: no",
    "Fever? (Y) / N\n<cough>: yes / **no**\nasthma": "<cough>: no",
    "<Fell> since May:   0. No\nChoking:   1. Yes": "<Fell> since May: No",
    "Chills.......No\n<Heat intolerance>..No\nRash.....Yes": "<Heat intolerance>: No",
    "PMR          confirmed\n<Myopathy>     possible\nGout         excluded": (
        "<Myopathy>: possible"
    ),
    "CRE .... negative\n<Scabies> .... suspected, seen": "<Scabies>: suspected, seen",
    "PROBLEM: <gout> STATUS: resolved": "PROBLEM: <gout> STATUS: resolved",
    "PROBLEM: <gout>, L      STATUS: resolved\nPROBLEM: DM    STATUS: active": (
        "PROBLEM: <gout>, L STATUS: resolved"
    ),
    "CHECKLIST     YES  NO  INIT\n<Pacemaker>           √   kl": "<Pacemaker>: NO kl",
    "Have you <gout>?\nYour answer: No\n\nAny rash?\nYour answer: Yes": (
        "Have you <gout>? No"
    ),
    "(x) edema  (x) SOB when she walks  ( ) orthopnea  ( ) chest pain\n<O2> (x)": (
        "<O2>"
    ),
    # Signs and lists.
    "Sx:\n+ cough\n- rash\n- <fever>\n- edema\n+ PND": "Sx: - <fever>",
    "- gout\n- <HTN>\n- DM\n- CAD\n+ smoker": "<HTN>",
    "¿ HTN\n¿ <GERD>": "<GERD>",
    "SUSPECTED DIAGNOSES\n• <Vasculitis>\nExcluded\n• Lupus": (
        "SUSPECTED DIAGNOSES: <Vasculitis>"
    ),
    "Pain resolved\n- <gout>": "<gout>",
    # What looks like these.
    "GI:\tDenies\n- <cough>\n- fever": "GI: Denies: <cough>",
    "   Denies\n   - <cough>": ": Denies: <cough>",
    "1. Pneumonia\n   Resolved\n2. <HTN>\n3. DM": "<HTN>",
    "# AKI\nresolved\n# <HTN>\nstable": "<HTN>",
    "Impression:   probable\n<pneumonia>": "Impression: probable <pneumonia>",
    "Findings...possible\n<pneumonia>": "Findings...possible <pneumonia>",
    "Past: no MI   Present: <chest pain>": "Present: <chest pain>",
    "Allergies: none  Status: post <CABG>": "Status: post <CABG>",
    "Problems:\n- <HTN>\n- CKD\n+ new AFib\n+ gout flare": "Problems: <HTN>",
    "<Penicillin allergy>: no (unknown)": "<Penicillin allergy>: no (unknown)",
    "Positive | Negative\n--- | ---\nfever | cough\n\nPlan | <gout>": "Plan <gout>",
    "Positive   Negative\nfever      chills\nAssessment   <sepsis>": (
        "Assessment <sepsis>"
    ),
    # Findings in the columns of a table.
    "Sys | Positive | Negative | Notes\nResp | cough | rales | has <gout>": (
        "Notes: has <gout>"
    ),
    "Positive  Negative  Equivocal\nfever     cough     <rash>": "Equivocal: <rash>",
    "Denies       Reports\nfever        chills\nImpression\n<Sepsis>": (
        "Impression: <Sepsis>"
    ),
    "Denies   Reports\nfever    chills\nReturn if <rash>": "Return if <rash>",
    "Denies\tReports\nfever\tchills\nDiagnosis:\t<sepsis>": "Diagnosis: <sepsis>",
    "Positive   Negative\nHTN   <DM>\nCAD   COPD": "Negative: <DM>",
    "Positive\tNegative\nResp\t<cough>\trales\nGI\tpain\tgas": "Positive: <cough>",
    "Positive     Negative\nfever        chills\nhe has <asthma>.": "he has <asthma>.",
    "Seen.  Well.\nSystem   Positive   Negative\nResp     cough      <rales>": (
        "Negative: <rales>"
    ),
    "System   Positive   Negative\nResp:    cough      <rales>": "Negative: <rales>",
    "Sys | Positive | Negative\nResp | cough | gas\nsince May\nGI | pus | <gout>": (
        "Negative: <gout>"
    ),
    "+------+\n| Positive | Negative |\n+------+\n| cough | <rales> |": (
        "Negative: <rales>"
    ),
    "Sys     Positive   Negative\nResp    cough      rales\nPain    severe     <gas>": (
        "Negative: <gas>"
    ),
    "     Positive            Negative\nfever                <chills>": (
        "Negative: <chills>"
    ),
    "Positive (3)   Negative (2)\nfever          <chills>": "Negative: <chills>",
    "| **Positive** | **Patient denies** |\n| fever | <chills> |": (
        "Patient denies: <chills>"
    ),
    "Positive     Negative\n\nfever        <chills>": "Negative: <chills>",
    "| # | System | Positive | Negative |\n| 1 | Resp | <cough> | - |": (
        "Positive: <cough>"
    ),
    "Symptom | Positive | Negative\nFever | + |\nCough | dry |\n<Rash> | | -": (
        "<Rash>: negative"
    ),
    "Mother:\n- lupus NO gout YES\n- DM NO HTN YES\n- <stroke>": "Mother: <stroke>",
    "Mother:\nlupus NO gout YES\nFather: <DM> NO HTN YES": "Father: <DM>: NO",
    "Has had any of these:\nlupus NO gout YES\n<DM> NO HTN YES": (
        "Has had any of these: <DM>: NO"
    ),
    "|Sys|Positive|Negative|\n|GI|nausea|rash, <melena>|": "Negative: rash, <melena>",
    "SYSTEM    DENIES      REPORTS\nSkin      <hives>     dry skin": "DENIES: <hives>",
    "|Nitrite|Negative|Negative|\n|Culture|<E. coli>|Negative|": (
        "Culture <E. coli>: Negative"
    ),
    "Nitrite     Negative   Negative\n<Protein>     Positive   Negative": (
        "<Protein>: Positive"
    ),
    "| Sign | Yes | No |\n| <Rash> | mild | |": "<Rash> mild",
    # Lines that go on, and that do not.
    "No fever\n<cough> or colds\nasthma\ngout": "<cough> or colds",
    "Ext: no clubbing\n<cyanosis> or\nedema": "Ext: no clubbing <cyanosis> or edema",
    "stroke possible\nno <abscess>": "no <abscess>",
    # Boxes and cues as programs have them.
    "&#9745; Polyps\n&#9744; <Anosmia>": "(-) <Anosmia>",
    "Ru1e out <hernia>. B12 low": "rule out <hernia>.",
    "-ve <troponin>": "negative <troponin>",
    # Boxes, before and after what they are about.
    "[ ] <Fever> [x] Cough": "(-) <Fever>",
    "[ ] Fever [x] <Cough>": "<Cough>",
    "( ) <fever> (x) cough": "(-) <fever>",
    "[_] <fever>\n[ X ] cough": "(-) <fever>",
    "1. [x] fever\n2. [ ] <cough>": "(-) <cough>",
    "- [ ] <fever>\n- [x] cough": "(-) <fever>",
    "<Fever> [ ]  Cough [x]": "<Fever> (-)",
    "Symptoms: fever [ ], <cough> [x]": "<cough>",
    "Fever: [x]  <Cough>: [ ]": "<Cough>: no",
    "☐ fever ☑ cough ☒ <rash>": "(-) <rash>",
    "☐ fever ☒ <cough>": "<cough>",
    "✓ fever ✗ <cough>": "(-) <cough>",
    "□ <fever> ■ cough": "(-) <fever>",
    "□ <fever> □ cough": "(-) <fever>",
    "◉ fever ○ <cough>": "(-) <cough>",
    "⦿ fever ○ <cough>": "(-) <cough>",
    "<Gout>: ⭘ Yes ⬤ No": "<Gout>: No",
    "Hearing loss  O No  ⦿ Yes\n<Vertigo>  ⦿ No  O Yes": "<Vertigo> No",
    "<Blood group> O  no antibodies": "<Blood group> O no antibodies",
    "Dx: 1) Normal\n<esophagus> 2) gas": "Dx: 1) Normal <esophagus> 2) gas",
    "⬤ fever\n⬤ <cough>": "<cough>",
    "⮽ fever ☐ <cough>": "(-) <cough>",
    "✔ fever ✖ <cough>": "(-) <cough>",
    "(Y) fever (N) <cough>": "(-) <cough>",
    "(x) fever () <cough>": "(-) <cough>",
    "Fever _X_ <Cough> ___": "<Cough> (-)",
    # Boxes side by side, one for each column.
    "Y N\n[x] [ ] fever\n[ ] [x] <cough>": "(-) <cough>",
    "Y N\n[x] [ ] <fever>\n[ ] [x] cough": "<fever>",
    "No Yes\n[x] [ ] <fever>\n[ ] [x] cough": "(-) <fever>",
    "Do you have: Yes No\n<Fever> ☐ ☑\nCough ☑ ☐": "<Fever> (-)",
    "| Symptom | Yes | No |\n| <Fever> | [ ] | [x] |": "<Fever> (-)",
    "Yes No Unknown\n( ) ( ) (x) <gout>\n(x) ( ) ( ) cough": "(?) <gout>",
    "[x] [ ] fever\n[ ] [ ] <cough>": "(?) <cough>",
    # Boxes of a Yes and a No.
    "<Diabetes>: [ ] Yes [x] No  HTN: [x] Yes [ ] No": "<Diabetes>: No",
    "<Diabetes>: Yes [ ] No [x]": "<Diabetes>: No",
    "<Diabetes>: ☐ Yes ☒ No": "<Diabetes>: No",
    "☑ Yes ☐ No  Diabetes\n☐ Yes ☑ No  <Gout>": "No <Gout>",
    "<Fever>? [ ] Yes [x] No": "<Fever>? No",
    # Boxes of other answers.
    "<HIV>: ( ) Positive (x) Negative ( ) Unknown": "<HIV>: Negative",
    "<HIV> [ ] Pos [x] Neg": "<HIV> negative",
    "[x] Pos [ ] Neg <HIV>": "positive <HIV>",
    "<Murmur>: ☐ Present ☒ Absent": "<Murmur>: Absent",
    "<Fever>: ☒ Denies ☐ Endorses": "<Fever>: Denies",
    "<HIV>: ☐ Reactive ☒ Non-reactive": "<HIV>: negative",
    "<Gout>: ☐ True ☒ False": "<Gout>: no",
    "<Edema>: [x] None [ ] Mild [ ] Moderate": "<Edema>: None",
    "<Edema>: [ ] None [x] Mild [ ] Moderate": "<Edema>: Mild",
    "<Pain>: [ ] Mild [x] Severe": "<Pain>: Severe",
    "<Smoking>: ☐ Current ☐ Past ☑ Never": "<Smoking>: Never",
    "<Stroke>: [ ] Confirmed [ ] Suspected [x] Ruled out": "<Stroke>: Ruled out",
    "<Gout>: ☐ Yes ☐ No ☒ Don’t know": "<Gout>: unknown",
    "<Gout>: ☒ Not assessed": "<Gout>: unknown",
    "<Pregnancy>: [ ] Yes [ ] No [x] N/A": "<Pregnancy>: unknown",
    "<Gout>: [ ] Yes [ ] No": "<Gout>: unknown",
    "[ ] Yes [ ] No <Gout>": "(?) <Gout>",
    "<Diabetes> [ ] Yes\nGout [x] Yes": "<Diabetes> no",
    "<Gout>: ☐ Yes ❌ No": "<Gout>: No",
    "[x] Yes [ ] No <Gout>": "Yes <Gout>",
    "[x] Yes [ ] No Gout [ ] Yes [x] No <HTN>": "No <HTN>",
    "☐ Yes ☒ No 1. <Gout>": "No <Gout>",
    "☐ Yes ☒ No 1. Gout\n☑ Yes ☐ No 2. <HTN>": "Yes <HTN>",
    "<Gout> Yes: [ ] No: [x]": "<Gout> No",
    "<Fever> □Yes/■No": "<Fever> No",
    "<Gout> [ ] Yes, when: ___ [x] No": "<Gout> No",
    "<Gout>: [x] Yes, when: 2019 [ ] No": "<Gout>: Yes, when: 2019",
    "<Fever> ( ) Yes (o) No": "<Fever> No",
    "<Fever> [●] Yes [ ] No": "<Fever> Yes",
    "<Fever>: Yes___ No_X_": "<Fever>: No",
    "<fever>___ cough_x_ rash___": "<fever> (-)",
    "fever___ <cough>_x_ rash___": "<cough>",
    "___Yes _X_No <fever>": "No <fever>",
    "___fever _x_<cough>": "<cough>",
    "þ Hypertension  ¨ <Gout>": "(-) <Gout>",
    "þ <Hypertension>  ¨ Gout": "<Hypertension>",
    "HEENT: [x] Normal [ ] Abnormal: <rash>": "(-) Abnormal: <rash>",
    "HEENT: [ ] Normal [x] Abnormal: <rash>": "HEENT: Abnormal: <rash>",
    "<HEENT>: [x] Normal [ ] Abnormal: rash": "<HEENT>: Normal",
    "<Wheezing>: [ ] R [ ] L [x] None": "<Wheezing>: None",
    "<Edema>: [ ] 0 [x] 1+ [ ] 2+": "<Edema>: 1+",
    "[ ] Yes [x] No Any <gout>?\n[x] Yes [ ] No Any HTN?": "No Any <gout>?",
    "[ ] Yes [x] No Any gout?\n[x] Yes [ ] No Any <HTN>?": "Yes Any <HTN>?",
    "ROS: [x] Negative [ ] Positive for <fever>": "(-) Positive for <fever>",
    # Items, though an answer is among them.
    "Symptoms: [ ] <fever> [ ] cough [x] none": "(-) <fever>",
    "Allergies: [x] None [ ] <Latex>": "(-) <Latex>",
    "Absent: [ ] <fever> [x] cough": "(-) <fever>",
    # Boxes below what is asked.
    "<Gout>:\n[ ] Yes\n[x] No": "<Gout>: No",
    "- <Gout>\n  - [ ] Yes\n  - [x] No": "<Gout> No",
    "<Gout>\n  ☐ Yes   ☒ No": "<Gout> No",
    "<Gout>\nYes [ ]\nNo [x]": "<Gout> No",
    "<Gout>? [ ] Yes\n        [x] No": "<Gout>? No",
    "Do you have <gout>?\n☐ Yes\n☒ No": "Do you have <gout>? No",
    "Do you have <gout>?\n○ No\n● Yes\nCough?\n● No\n○ Yes": (
        "Do you have <gout>? Yes"
    ),
    "1. Fever:\n[ ] Yes\n[x] No\n2. <Gout>:\n[x] Yes\n[ ] No": "<Gout>: Yes",
    "<Gout>:\n[ ] Yes, since ____\n[x] No": "<Gout>: No",
    "<Pain>:\n[ ] None\n[x] Mild\n[ ] Severe": "<Pain>: Mild",
    "Symptoms:\n[ ] <fever>\n[x] cough\n[ ] none": "Symptoms: (-) <fever>",
    # Rings, boxes or bullets.
    "○ <Headache>\n● Dizziness\n○ Tinnitus": "(-) <Headache>",
    "○ Headache\n● <Dizziness>\n○ Tinnitus": "<Dizziness>",
    "● HTN\n○ on <lisinopril>\n● Gout": "on <lisinopril>",
    "● HTN\n  ○ on <lisinopril>\n● Gout": "on <lisinopril>",
    # Columns that are answers.
    "| Condition | Yes | No |\n| <Gout> |  | X |\n| HTN | X |  |": "<Gout>: No",
    "| Condition | Yes | No |\n| Gout |  | X |\n| <HTN> | X |  |": "<HTN>: Yes",
    "Condition\tYes\tNo\n<Gout>\t\tX\nHTN\tX\t": "<Gout>: No",
    "| | Yes | No |\n| <Gout> | | X |": "<Gout>: No",
    "Test | Pos | Neg\n--- | --- | ---\n<HIV> | | ✓\nHCV | ✓ |": "<HIV>: negative",
    "| Sign | Present | Absent | Note |\n| <Rub> | | x | soft |": "<Rub>: Absent soft",
    "| Sign | Yes | No |\n| Rub | ☐ | ☒ |\n| <Rash> | ☒ | ☐ |": "<Rash>",
    "Positive Negative\n[ ] [x] <HIV>": "(-) <HIV>",
    # Rows of answers.
    "Diabetes: N  <Stroke>: Y  Gout: N": "<Stroke>: yes",
    "<Diabetes>: N, HTN: Y": "<Diabetes>: no,",
    "<Diabetes>:N HTN:Y": "<Diabetes>: no",
    "<Diabetes>=N HTN=Y": "<Diabetes>: no",
    "Diabetes - N, <HTN> - Y": "<HTN>: yes",
    "<Diabetes> N  HTN Y": "<Diabetes>: no",
    "Diabetes\tN\t<HTN>\tY": "<HTN>: yes",
    "Diabetes......N\n<HTN>......Y": "<HTN>: yes",
    "Diabetes | No\n<HTN> | Yes": "<HTN>: Yes",
    "| Fever | [x] |\n| <Cough> | [ ] |": "<Cough> (-)",
    "| Fever | [x] | <Cough> | [ ] |": "<Cough> (-)",
    "| [x] Fever | [ ] <Cough> |": "(-) <Cough>",
    "<Fever> [no]  Cough [yes]": "<Fever> [no]",
    "|---|---|\n| <Diabetes> | N |": "<Diabetes>: no",
    "Diabetes,N\n<HTN>,Y": "<HTN>: yes",
    "Takes <iron>.\n\n     YES   NO\nDizzy  x": "Takes <iron>.",
    "fever: -\n<cough>: +": "<cough>: positive",
    "Fever: declined to answer  <Cough>: not assessed": "<Cough>: unknown",
    "HIV: non-reactive  <HCV>: reactive": "<HCV>: positive",
    "Orthopnea: yes, 2 pillows, <Edema>: no": "<Edema>: no",
    "No: fever, cough  Yes: <rash>": "Yes: <rash>",
    # In capitals, where what stands before a colon may be a heading.
    "FEVER: NO <COUGH>: YES RASH: NO": "<COUGH>: YES",
    "CHEST PAIN: DENIES <SYNCOPE>: DENIES": "<SYNCOPE>: DENIES",
    "<BLOOD>: NEGATIVE NITRITE: POSITIVE": "<BLOOD>: NEGATIVE",
    "<Asthma>: UTA  COPD: no": "<Asthma>: unknown",
    "<Chest pain>: NONE REPORTED  SOB: YES": "<Chest pain>: NONE REPORTED",
    "RASH: MILD  <FEVER>: NO": "<FEVER>: NO",
    # Other values than answers.
    "<Pain>: mild   Swelling: none": "<Pain>: mild",
    "Pain: 4/10   <Swelling>: none": "<Swelling>: none",
    "<Bowel sounds>: normal   Tenderness: none": "<Bowel sounds>: normal",
    "Gonorrhea: pending\t<Chlamydia>: negative": "<Chlamydia>: negative",
    "Glucose 3+  <Ketones> neg": "<Ketones>: negative",
    "<Glucose> 3+  Ketones neg": "<Glucose>: 3+",
    "<Smoking>: Never smoker   Drugs: Never used": "<Smoking>: Never smoker",
    "<Protein>: trace / Glucose: neg": "<Protein>: trace",
    "Date: 1/2  <Fever>: No  Temp: 37": "<Fever>: No",
    "Gout: maybe; <lupus>: no, ANA low": "<lupus>: no, ANA low",
    "Father:   Diabetes: yes  <Gout>: no": "<Gout>: no",
    "Mother: gut: gas; skin: <rash>": "Mother: gut: gas; skin: <rash>",
    "Father: DM;  Mother: <gout>": "Mother: <gout>",
    "Father: DM / Mother: <gout>": "Mother: <gout>",
    "Negatives: gut: gas; skin: <rash>": "Negatives: gut: gas; skin: <rash>",
    "Pt denies:  gut: <gas>; skin: rash": "Pt denies: gut: <gas>; skin: rash",
    # No sign between them, or another than a colon.
    "CP no / <SOB> yes / edema no": "<SOB>: yes",
    "Fever:N,<Cough>:Y,Rash:N": "<Cough>: yes,",
    "chest pain:no;<cough>:yes;rash:no": "<cough>: yes;",
    "Has: N/V <Diarrhea>: yes": "Has: N/V <Diarrhea>: yes",
    "CP-  <SOB>-  N/V+": "<SOB>: negative",
    "CP N/<SOB> Y/edema N": "<SOB>: yes",
    "CP -ve <SOB> +ve": "<SOB>: positive",
    "fever-no <cough>-yes": "<cough>: yes",
    "<fever>--no  cough--yes": "<fever>: no",
    "Asthma NO <COPD> YES TB NO": "<COPD>: YES",
    "ROS: Asthma NO <COPD> YES": "<COPD>: YES",
    "<Fever> Denied Cough Reported Rash Denied": "<Fever>: Denied",
    "Flu swab neg, <COVID swab> pos.": "<COVID swab>: positive",
    # Results beside what is normal.
    "<Nitrite>    Positive (A)    Negative": "<Nitrite>: Positive (A)",
    "<Leukocyte esterase>  LARGE  NEGATIVE": "<Leukocyte esterase>: LARGE",
    "<Protein UA>\t100 mg/dL\tNegative": "<Protein UA>: 100 mg/dL",
    "<Gonorrhea> Positive Ref range: Negative": "<Gonorrhea>: Positive",
    "<HIV> Reactive (Ref: Negative) today": "<HIV> Reactive today",
    # Answers of more than a word, and none.
    "<SARS-CoV-2>: NOT DETECTED   Flu: DETECTED": "<SARS-CoV-2>: NOT DETECTED",
    "<Flu A> Not Detected  Flu B Detected": "<Flu A>: Not Detected",
    "<Chest pain>: Patient denies   SOB: yes": "<Chest pain>: Patient denies",
    "<Fever>: not documented  Cough: yes": "<Fever>: unknown",
    "<Fever>: refused to answer": "<Fever>: unknown",
    "<Fever>: Don't know": "<Fever>: unknown",
    "<Fever>: ___   Cough: Yes": "<Fever>: unknown",
    "<Fever>:    Cough: Yes": "<Fever>: unknown",
    "Fever:    <Cough>: Yes": "<Cough>: Yes",
    "<Fever>: ___": "<Fever>: unknown",
    "Fever: _x_  <Cough>: ___": "<Cough>: no",
    "Fever:___ <Cough>:___": "<Cough>: unknown",
    "<Fever>:___ Cough:___": "<Fever>: unknown",
    "Fever: ___ for <gout>": "Fever: ___ for <gout>",
    # Lists within a line.
    "• No fever • <Cough> • Rash": "<Cough>",
    "- No fever - <Cough> - Myalgia": "<Cough>",
    "- No fever - <Cough>": "<Cough>",
    "- <Fever> - none": "<Fever>: none",
    "- <Lungs> - clear": "<Lungs> - clear",
    "- <HTN> - on lisinopril - well": "<HTN> - on lisinopril - well",
    "# No fever # <cough>": "<cough>",
    "(1) No PE (2) <Emphysema>": "<Emphysema>",
    "1) no PE 2) <emphysema>": "<emphysema>",
    "a) no PE b) <emphysema>": "<emphysema>",
    "9. no PE 10. <emphysema>": "<emphysema>",
    "IMPRESSION: 1. No PE 2. <Gout>": "<Gout>",
    "Denies: 1) cough 2) <rash>": "Denies: 1) cough 2) <rash>",
    "1) No PE 4) <week>": "No PE 4) <week>",
    "No fever | <cough> | no rash": "<cough>",
    "No fever\t<cough>": "<cough>",
    "No fever\tor <cough>": "No fever or <cough>",
    "Lungs | no <wheeze>": "Lungs no <wheeze>",
    # Questions and answers.
    "<Fever>? No. Cough? Yes, for a week.": "<Fever>? No.",
    "Fever? No. <Cough>? Yes, for a week.": "<Cough>? Yes, for a week.",
    "<Fever>?\nNo\nCough?\nYes": "<Fever>? No",
    "<Fever>?\n- No\nCough?\n- Yes": "<Fever>? No",
    "Q: <Fever>? A: No Q: Cough? A: Yes": "<Fever>? No",
    "Q. Fever? A. No. Q. <Cough>? A. Yes.": "<Cough>? Yes.",
    "Dr: <fever>?\nPatient: No.\nDr: cough?": "Dr: <fever>? No.",
}


@pytest.mark.parametrize("text", FORMS)
def test_a_form_is_read_item_by_item(text):
    assert reads(text) == FORMS[text]


def test_angles_are_boxes_too():
    note = SegmentedText("Neuro: <x> numbness  < > ataxia")
    assert note.mark(Span(25, 31)) == "(-) [entity] ataxia [entity]"


PROSE = """
Took 1.5 mg of <aspirin>.|Has A. fib and <gout>.|see Figure (x) for <fever>
T: 37 P: 80 R: 18 <fever>|[**Name (NI) 123**] has <fever>|At 10:30: no <fever>
- 5 mmol <potassium>|see http://a.b/c?x=no <fever>|mail a@b.com: <fever>
Seen [ ] days ago with <fever>|No - he denies <fever>.|K+ 3.1, no <edema>
Denies fever - chills - <cough>|ratio 3 : 1 - no <fever>|Mg++ low; <tetany>
Þorbjörn á það; <fever> þ|Wrote foo_x_ for <fever>|Wrote a_x_b for <fever>
Group (o) has <fever>
Ran f() for <fever>|Signed ______ for <fever>
He had (-) <fever>|BP 120/80 - no <HTN>|Pain: 0/10, <cough>
He has no <pain> and was negative|No <fever> yes cough|K+ 3.1, Na+ 140, <gout>
Afebrile no <cough> present|He said: <pain>: bad
Donor and recipient were negative and <CMV> positive|Flu neg and <COVID> neg
Diagnosis -: <gout>|Ruled out <MI> with troponins: negative|<gout>, iron - no response
Seen at 10:30; plan: <CT>|Fever no better, <cough> no worse|follow-up <no-show>
""".strip().replace("\n", "|").split("|")


@pytest.mark.parametrize("text", PROSE)
def test_prose_is_read_as_it_is(text):
    assert reads(text) == text


WIDE = """
The patient has no <fever> today|Seen today, no edema and no <fever>
She has no cough, no fever and no <chills> now|Takes iron, denies pain or <fever>
""".strip().replace("\n", "|").split("|")


@pytest.mark.parametrize("text", WIDE)
def test_wide_blanks_between_all_words_are_no_columns(text):
    assert reads(text.replace(" ", "  ")) == reads(text)


# --- generated ----------------------------------------------------------------

ITEMS = "Fever Cough Rash Gout Asthma Stroke Nausea Edema".split()
ANSWERS = {
    "Y": "yes",
    "N": "no",
    "pos": "positive",
    "neg": "negative",
    "n/a": "unknown",
}
ROWS = [
    ("{}: {}", "  "),
    ("{}: {}", "\n"),
    ("{}\t{}", "\t"),
    ("{}: {}", ", "),
    ("{}={}", " "),
]


def marked(items, chosen):
    return [f"<{item}>" if item == chosen else item for item in items]


@given(
    st.lists(st.sampled_from(ITEMS), min_size=2, max_size=6, unique=True),
    st.data(),
    st.sampled_from(ROWS),
)
@settings(max_examples=60, deadline=None)
def test_every_item_of_a_row_is_read_with_its_own_answer(items, data, row):
    form, between = row
    answers = [data.draw(st.sampled_from(sorted(ANSWERS))) for _ in items]
    for item, answer in zip(items, answers):
        pairs = zip(marked(items, item), answers)
        text = between.join(form.format(*pair) for pair in pairs)
        assert reads(text).rstrip(",") == f"<{item}>: {ANSWERS[answer]}"


LABELS = ["Fever", "Chest pain", "SOB", "N/V", "Hep C", "Pain in the chest", "B12"]
VALUES = ["mild", "4/10", "None Reported", "pending", "Never smoker", "1+", "No", "NO"]
VALUES += ["Yes, at night", "not seen today", "NORMAL", "trace", "37.2 C", "yes"]
GAPS = ["  ", "    ", "\t", " | ", "; ", ";", " / "]


@given(
    st.lists(st.sampled_from(LABELS), min_size=2, max_size=6, unique=True),
    st.data(),
    st.sampled_from(GAPS),
    st.booleans(),
)
@settings(max_examples=80, deadline=None)
def test_every_label_behind_a_gap_is_read_with_its_own_value(items, data, gap, capital):
    values = [data.draw(st.sampled_from(VALUES)) for _ in items]
    if capital:
        items, values = [i.upper() for i in items], [v.upper() for v in values]
    for item, value in zip(items, values):
        names = marked(items, item)
        text = gap.join(f"{name}: {said}" for name, said in zip(names, values))
        assert reads(text).rstrip("; ") == f"<{item}>: {value}"


BARE = {"no": "yes", "NO": "YES", "N": "Y", "Denied": "Reported", "neg": "pos"}
BARE |= {"NEGATIVE": "POSITIVE", "-ve": "+ve", "Absent": "Present", "-": "+"}
BETWEEN = [" ", "  ", ", ", " / ", "; "]


@given(
    st.lists(st.sampled_from(LABELS[:6]), min_size=2, max_size=6, unique=True),
    st.data(),
    st.sampled_from(sorted(BARE)),
    st.sampled_from(BETWEEN),
)
@settings(max_examples=80, deadline=None)
def test_questions_and_answers_alone_are_a_row(items, data, no, between):
    said = [no, BARE[no], *(data.draw(st.sampled_from([no, BARE[no]])) for _ in items)]
    for item, answer in zip(items, said):
        pairs = zip(marked(items, item), said)
        row = reads(between.join(f"{name} {answer}" for name, answer in pairs))
        assert row.rstrip(",; ") in (
            reads(f"<{item}>: {answer}"),
            f"<{item}>: {answer}",
        )


@given(
    st.lists(st.sampled_from(ITEMS), min_size=2, max_size=6, unique=True),
    st.sampled_from(["•", "▪", "-", "*", "({})", "{})", "{}."]),
    st.sampled_from(["No {}", "{}", "Mild {}"]),
)
@settings(max_examples=60, deadline=None)
def test_a_marker_within_a_list_begins_an_item(items, marker, first):
    items[0] = f"no {items[0]}"
    for item in items[1:]:
        names = [items[0], *(first.format(n) for n in marked(items[1:], item))]
        text = " ".join(f"{marker.format(n)} {x}" for n, x in enumerate(names, 1))
        assert reads(text) == first.format(f"<{item}>")


BOXES = [("[x]", "[ ]"), ("(X)", "( )"), ("☑", "☐"), ("☒", "☐"), ("✓", "✗"), ("■", "□")]
BOXES += [("{x}", "{ }"), ("(x)", "()"), ("_x_", "___")]


@given(
    st.lists(st.sampled_from(ITEMS), min_size=2, max_size=6, unique=True),
    st.data(),
    st.sampled_from(BOXES),
    st.sampled_from((" ", "  ", "\n")),
    st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_every_item_of_boxes_is_read_with_its_own_box(
    items, data, boxes, between, after
):
    ticks = [True] + [data.draw(st.booleans()) for _ in items[1:]]
    for item, ticked in zip(items, ticks):
        pairs = [
            (name, boxes[not tick]) for name, tick in zip(marked(items, item), ticks)
        ]
        text = between.join(" ".join(p if after else p[::-1]) for p in pairs)
        unticked = f"<{item}> (-)" if after else f"(-) <{item}>"
        assert reads(text) == (f"<{item}>" if ticked else unticked)


SIGNS = {"(+)": ("(+)", "positive"), "(-)": ("(-)", "negative")}


@given(
    st.lists(st.sampled_from(ITEMS), min_size=2, max_size=5, unique=True),
    st.data(),
    st.sampled_from(("", "Abd: ", "Neuro: ")),
    st.sampled_from((", ", "; ", "  ")),
    st.sampled_from(("", " on the left", "  since May")),
    st.booleans(),
    st.sampled_from(("", " ")),
)
@settings(max_examples=100, deadline=None)
def test_every_item_of_signs_is_read_with_its_own_sign(
    items, data, head, between, tail, after, blank
):
    signs = [data.draw(st.sampled_from(list(SIGNS))) for _ in items]
    for item, sign in zip(items, signs):
        pairs = list(zip(marked(items, item), signs))
        text = between.join(blank.join(p if after else p[::-1]) for p in pairs)
        found = reads(head + text + tail)
        assert any(each in found for each in SIGNS[sign])
        assert not any(other in found for other in {*items} - {item})


# Answers of one question, each beside what is read for it.
CHOICES = [
    {"Yes": "Yes", "No": "No"},
    {"yes": "yes", "no": "no"},
    {"Y": "yes", "N": "no", "N/A": "unknown"},
    {"Yes": "Yes", "No": "No", "Don't know": "unknown"},
    {"Positive": "Positive", "Negative": "Negative", "Not tested": "unknown"},
    {"Pos": "positive", "Neg": "negative"},
    {"Present": "Present", "Absent": "Absent", "Not assessed": "unknown"},
    {"Denies": "Denies", "Endorses": "Endorses"},
    {"Reactive": "positive", "Non-reactive": "negative"},
    {"True": "yes", "False": "no"},
    {"None": "None", "Mild": "Mild", "Moderate": "Moderate", "Severe": "Severe"},
    {"Current": "Current", "Past": "Past", "Never": "Never"},
]
MARKED = [*BOXES, ("(o)", "( )"), ("●", "○"), ("[X]", "[_]"), ("[*]", "[ ]")]
# Before the first box, between two, between two questions.
LAYOUTS = [
    (": ", " ", "\n"),
    (" ", "  ", "\n"),
    (": ", " / ", "\n"),
    ("? ", "\t", "\n"),
    (" | ", " | ", "\n"),
    (": ", " ", "  "),
    (":\n", "\n", "\n"),
    ("?\n", " ", "\n"),
    ("\n  ", "   ", "\n\n"),
    ("\n- ", "\n- ", "\n"),
]


def words_of(text):
    return [word for word in text.replace("?", " ").replace(":", " ").split()]


@given(
    st.lists(st.sampled_from(ITEMS), min_size=1, max_size=4, unique=True),
    st.data(),
    st.sampled_from(CHOICES),
    st.sampled_from(MARKED),
    st.sampled_from(LAYOUTS),
)
@settings(max_examples=200, deadline=None)
def test_of_the_choices_of_a_question_the_ticked_one_is_read(
    items, data, choices, boxes, layout
):
    before, between, apart = layout
    picked = [data.draw(st.sampled_from(sorted(choices))) for _ in items]
    for item, pick in zip(items, picked):
        text = apart.join(
            name + before + between.join(f"{boxes[c != p]} {c}" for c in choices)
            for name, p in zip(marked(items, item), picked)
        )
        assert words_of(reads(text)) == [f"<{item}>", *choices[pick].split()]


@given(
    st.lists(st.sampled_from(ITEMS), min_size=1, max_size=4, unique=True),
    st.data(),
    st.sampled_from([choices for choices in CHOICES if len(choices) == 2]),
    st.sampled_from(MARKED),
    st.sampled_from((" ", "  ", " 1. ", "\t")),
)
@settings(max_examples=100, deadline=None)
def test_what_is_asked_may_stand_behind_its_choices(items, data, choices, boxes, gap):
    picked = [data.draw(st.sampled_from(sorted(choices))) for _ in items]
    for item, pick in zip(items, picked):
        text = "\n".join(
            " ".join(f"{boxes[c != p]} {c}" for c in choices) + gap + name
            for name, p in zip(marked(items, item), picked)
        )
        assert reads(text) == f"{choices[pick]} <{item}>"


@given(
    st.lists(st.sampled_from(ITEMS), min_size=1, max_size=4, unique=True),
    st.data(),
    st.sampled_from(CHOICES),
    st.sampled_from("xX✓✗"),
    st.sampled_from((" | ", "\t", "|")),
    st.booleans(),
)
@settings(max_examples=100, deadline=None)
def test_a_mark_below_an_answer_is_read_as_that(items, data, choices, mark, bar, ruled):
    picked = [data.draw(st.sampled_from(sorted(choices))) for _ in items]
    for item, pick in zip(items, picked):
        rows = [["Condition", *choices]] + [["---"] * (len(choices) + 1)] * ruled
        for name, p in zip(marked(items, item), picked):
            rows.append([name, *(mark if c == p else "" for c in choices)])
        text = "\n".join(map(bar.join, rows))
        assert reads(text) == f"<{item}>: {choices[pick]}"


@given(
    st.lists(st.sampled_from(ITEMS), min_size=1, max_size=4, unique=True),
    st.data(),
    st.sampled_from(CHOICES),
    st.sampled_from("xX✓"),
    st.integers(min_value=3, max_value=6),
    st.sampled_from((str.ljust, str.center)),
)
@settings(max_examples=100, deadline=None)
def test_a_mark_below_an_answer_needs_no_bars(items, data, choices, mark, gap, set_in):
    picked = [data.draw(st.sampled_from(sorted(choices))) for _ in items]
    for item, pick in zip(items, picked):
        rows = ["Condition".ljust(14) + (" " * gap).join(choices)]
        for name, p in zip(marked(items, item), picked):
            cells = (set_in(mark if c == p else "", len(c)) for c in choices)
            label = name.ljust(16 if "<" in name else 14)
            rows.append(label + (" " * gap).join(cells).rstrip())
        assert reads("\n".join(rows)) == f"<{item}>: {choices[pick]}"


def columns_of(gap):
    """Give what sets rows in columns, *gap* blanks wider than the widest cell."""

    def set_in(rows):
        rows = [[cell.strip("<>") for cell in row] for row in rows]
        widths = [max(map(len, column)) + gap for column in zip(*rows)]
        return ["".join(map(str.ljust, row, widths)).rstrip() for row in rows]

    return set_in


SHEETS = [
    columns_of(2),
    columns_of(7),
    lambda rows: map("\t".join, rows),
    lambda rows: map(" | ".join, rows),
    lambda rows: (f"|{'|'.join(row)}|" for row in rows),
]


@given(
    st.lists(st.sampled_from(ITEMS), min_size=2, max_size=6, unique=True),
    st.data(),
    st.sampled_from(SHEETS),
    st.sampled_from(["", "Date", "03/04/26"]),
    st.booleans(),
    st.sampled_from(["", "\nPlan: rest", "\nshe is well"]),
)
@settings(max_examples=100, deadline=None)
def test_an_answer_below_its_question_is_read_with_it(
    items, data, sheet, dated, ruled, below
):
    answers = [data.draw(st.sampled_from(sorted(ANSWERS))) for _ in items]
    date = ([dated] if dated else [], ["03/04/26"] if dated else [])
    rows = [[*date[0], *items], [*date[1], *answers]]
    if ruled:
        rows.insert(1, ["-" * len(cell) for cell in rows[0]])
    text = "\n".join(["Seen today.", *sheet(rows)]) + below
    for item, answer in zip(items, answers):
        marked_text = text.replace(item, f"<{item}>")
        assert reads(marked_text) == f"<{item}>: {ANSWERS[answer]}"


SIDES = [
    ("Positive", "Negative"),
    ("Negative:", "Positive:"),
    ("Denies", "Reports"),
    ("PRESENT", "ABSENT"),
    ("Pertinent positives", "Pertinent negatives"),
]


@given(
    st.lists(st.sampled_from(ITEMS), min_size=3, max_size=7, unique=True),
    st.integers(min_value=1, max_value=6),
    st.sampled_from(SIDES),
    st.sampled_from(SHEETS),
    st.sampled_from([(0, 0), (1, 0), (1, 1)]),
    st.sampled_from(["", "- "]),
    st.booleans(),
    st.sampled_from(["", "\nPlan: rest", "\nshe is well", "\n\nRash 2 days"]),
)
@settings(max_examples=200, deadline=None)
def test_findings_are_read_below_what_is_said_of_them(
    items, first, sides, sheet, beside, bullet, ruled, below
):
    first = min(first, len(items) - 1)  # findings in one column alone are a list
    columns, (before, behind) = (items[:first], items[first:]), beside
    rows = [["System"] * before + [*sides] + ["Notes"] * behind]
    if ruled:
        rows.append(["-" * len(cell) for cell in rows[0]])
    for number, row in enumerate(zip_longest(*columns, fillvalue="")):
        cells = [bullet + cell if cell else "" for cell in row]
        rows.append([f"Part {number}"] * before + cells + ["since May"] * behind)
    text = "\n".join(["Seen today.", *sheet(rows)]) + below
    for column, side in zip(columns, sides):
        for item in column:
            marked_text = text.replace(item, f"<{item}>", 1)
            assert reads(marked_text) == f"{side.rstrip(':')}: <{item}>"


NO_SIDES = """
<Fever>?|Positive   Negative|Cough?|Positive   Negative
Edema|Present   Absent|<Murmur>|Present   Absent|Clubbing
Rapid strep:|Positive   Negative   Not done|<Cough> and fever
Strep (circle one):|Positive     Negative|<Cough>        3 days|Rash         none
Mother:|Positive     Negative|<diabetes>     cancer
Gout      <Rash>|Positive  Negative|Asthma    Edema|Negative  Positive
Positive  Negative|Flu:      <Gout>|Covid:    Rash
          Positive  Negative|<Fever>   x|Cough               x
Positive  Negative|[ ] Gout  [x] <Rash>
Positive  Present|Gout      <Rash>
Positive  Negative|Gout      Flu||<Rash>
""".strip().split("\n")


@pytest.mark.parametrize("text", NO_SIDES)
def test_what_is_below_such_words_may_be_no_finding(text):
    found = reads(text.replace("|", "\n"))
    assert not re.search("(?i)(?:positive|negative|present): (?:[^:]*<)", found)


MANY_SHEETS = """
<Fever>  Cough|N      Y|Y      N
Test  Result  Normal|<Flu>  negative  negative
Test  Result  Reference|<Flu>  negative  negative
Na  <K>|0   0
<Fever>|Y  N            Y  N
Fever:  <Cough>:|no      no
Had you any <gout>    Please circle|Yes   No
Fever or <gout>   (circle one)|Yes    No
ROS\t<Fever>\tCough\tRash|N\tY\tN
""".strip().split("\n")


@pytest.mark.parametrize("text", MANY_SHEETS)
def test_of_several_rows_or_of_results_none_answers_the_heading(text):
    heading = text.replace("|", "\n")
    assert not reads(heading).endswith(
        (">: no", ">: yes", ">: none", "Normal: negative")
    )


LINES = st.lists(
    st.sampled_from(["No fever", "Has gout", "Denies cough", "Mild edema today"]),
    max_size=4,
)


@given(LINES, LINES, st.sampled_from(MARKERS))
@settings(max_examples=60, deadline=None)
def test_markers_on_plain_lines_change_nothing(above, below, marker):
    lines = [*above, "No acute <stroke>", *below]
    assert reads("\n".join(marker + line for line in lines)) == reads("\n".join(lines))
