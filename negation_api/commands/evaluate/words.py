"""What the changes of ``changes.py`` must know of clinical English.

Short lists on purpose: a change that does not apply to a row is not counted, one that
applies where it should not is counted as the model's fault.
"""

import re

# Words that decide label, experiencer or temporality.
CUE = re.compile(
    r"""\b(?:no|not|none|nor|never|without|denies|denied|denying|negative|absent|absence
    |unlikely|resolved|stopped|declined|free\ of|possible|possibly|probable|probably
    |likely|suspected|suspicious|suggestive|concerning|questionable|cannot|could|may
    |might|versus|vs|ruled?|exclude[ds]?|evaluate|mother|father|brother|sister|son
    |daughter|aunt|uncle|wife|husband|family|familial|maternal|paternal|grandmother
    |grandfather|cousin|donor|history|hx|previous|previously|prior|past|former|formerly
    |status\ post|ago|remote|if|should|would|unless|return|risks?|prevent|prevention
    |prophylaxis|avoid|monitor|watch|screening|consider|planned|will)\b""",
    re.IGNORECASE | re.VERBOSE,
)

# What may stand before the first item of an enumeration, and holds for all of it.
LEADS = frozenset(
    "no not denies denied denying without with has had have reports reported notes"
    " noted negative positive for of shows showed any and is was are were complains"
    " history mother father brother sister".split()
)
# What an item of an enumeration does not hold.
NO_ITEM = LEADS | frozenset(
    "a an the but however although except who which that because since due after"
    " before in on at by from to as he she they his her their it or nor there then now"
    " well feels felt states admits takes lives works smokes drinks eats sleeps looks"
    " appears seems remains continues improved improving presented presents came went"
    " started given took admitted discharged seen found underwent developed became got"
    " call see go walks ambulates recommend use take".split()
)

# Entities of one kind, all singular and all taken without an article.
KINDS = tuple(
    tuple(" ".join(name.split()) for name in names.split(","))
    for names in (
        """fever, cough, nausea, vomiting, diarrhea, headache, dizziness, fatigue,
        chest pain, abdominal pain, back pain, shortness of breath, dyspnea, wheezing,
        dysuria, hematuria, constipation, syncope, weakness, numbness, sore throat,
        weight loss, itching, insomnia, heartburn, hoarseness, vertigo, dysphagia,
        diplopia, neck pain, photophobia, lethargy, malaise, tinnitus""",
        """hypertension, diabetes, asthma, pneumonia, hyperlipidemia, hypothyroidism,
        osteoporosis, glaucoma, psoriasis, epilepsy, anemia, gout, cirrhosis, sepsis,
        pancreatitis, appendicitis, cholecystitis, bronchitis, hepatitis, migraine,
        osteoarthritis, rheumatoid arthritis, atrial fibrillation, sleep apnea,
        coronary artery disease, congestive heart failure, chronic kidney disease,
        pulmonary embolism, deep vein thrombosis, breast cancer, lung cancer,
        colon cancer, prostate cancer, lupus, celiac disease, tuberculosis""",
        """appendectomy, cholecystectomy, hysterectomy, tonsillectomy, splenectomy,
        thyroidectomy, colectomy, mastectomy, prostatectomy, nephrectomy""",
        """aspirin, metformin, lisinopril, warfarin, heparin, prednisone, ibuprofen,
        amoxicillin, insulin, atorvastatin, furosemide, omeprazole""",
        """edema, cyanosis, clubbing, jaundice, pallor, lymphadenopathy, rash,
        hepatomegaly, splenomegaly, cardiomegaly, atelectasis, consolidation,
        pneumothorax, pleural effusion, ascites, hydronephrosis""",
    )
)
KIND_OF = {name: kind for kind in KINDS for name in kind}

# Words in which a typing error changes nothing that is asked.
NEUTRAL = (
    frozenset(
        """patient gentleman hospital emergency department physician doctor nurse clinic
    medication medications tablet tablets abdominal abdomen bilateral lateral anterior
    posterior extremity extremities pulmonary cardiac thoracic cervical lumbar shoulder
    examination temperature oxygen saturation weight appetite coronary artery catheter
    intravenous laboratory morning evening weekend weeks months cardiovascular
    respiratory gastrointestinal musculoskeletal neurologic discharge admission blood
    pressure breath disease heart urinary system kidney liver stomach""".split()
    )
    | {word for name in KIND_OF for word in name.split() if len(word) >= 6}
)

# Says nothing of anybody's health; a reader passes over it.
UNRELATED = (
    "The room was quiet.",
    "The visit took half an hour.",
    "The interpreter was on the telephone.",
    "The parking lot was full.",
)
HEADINGS = ("HOSPITAL COURSE:", "Hospital Course:", "ASSESSMENT:", "**Assessment**")
MARKERS = ("* ", "\u2022 ", "\u2013 ", "\u2014 ", "\u00b7 ", "o ", "> ", "1. ", "1) ")
