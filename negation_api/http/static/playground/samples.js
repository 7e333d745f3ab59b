// Notes written for this page; nobody's. What stands in brackets is marked.

export const SAMPLES = [
  {
    name: "Clinic visit",
    note: `Seen for [[palpitations]] since Monday. Denies [[syncope]]. Possible [[hyperthyroidism]].

PAST MEDICAL HISTORY:
1. [[Asthma]] as a child
2. Status post [[appendectomy]] in 2015

FAMILY HISTORY: Mother had [[breast cancer]]. No [[sudden death]].

Plan: TSH. Return if you have [[chest pain]] or should you feel [[short of breath]].`,
  },
  {
    name: "Chest pain",
    note: `54-year-old man with two hours of [[chest pain]] radiating to the left arm. He is [[diaphoretic]] but denies [[shortness of breath]] and [[nausea]]. Known [[hypertension]]; no history of [[diabetes]].

ECG shows [[ST elevation]] in II, III and aVF. CT angiography without evidence of [[aortic dissection]].

Impression: findings concerning for [[inferior myocardial infarction]]. [[Pericarditis]] cannot be excluded. Cardiology was called, heparin started.`,
  },
  {
    name: "Croup",
    note: `3-year-old girl with [[fever]] to 39.4 °C since yesterday and a [[barking cough]] at night. No [[rash]], no [[vomiting]], drinking well. Immunisations are up to date.

Exam: mild [[inspiratory stridor]] when upset. Lungs clear, no [[wheezing]]. Both ear drums normal, no sign of [[otitis media]].

Assessment: likely [[viral croup]]. Cannot rule out [[bacterial tracheitis]]. [[Foreign body aspiration]] was ruled out by X-ray. Dexamethasone given once, home with her father.`,
  },
  {
    name: "Portal message",
    note: `Message from patient, day 5 after discharge:

"The [[cough]] is still there 🤧 but I have had no [[fever]] since Tuesday. I am a bit [[short of breath]] on the stairs. My legs are not [[swollen]] 👍 and the [[rash]] from the antibiotic is gone. Could this be [[asthma]]?"

Nurse: sounds comfortable on the phone, denies [[chest pain]]. Possible [[post-infectious cough]]; no concern for [[pulmonary embolism]]. Visit booked for Friday.`,
  },
];
