// How an answer looks: a word and a sign beside the colour, never the colour alone.

export const LABELS = {
  PRESENT: { name: "Present", sign: "+", style: "present" },
  ABSENT: { name: "Absent", sign: "−", style: "absent", reason: "absent" },
  POSSIBLE: { name: "Possible", sign: "?", style: "possible", reason: "only possible" },
};
const WHOSE = {
  PATIENT: { name: "Patient" },
  FAMILY: { name: "Family", reason: "not the patient's: family" },
  OTHER: { name: "Other", reason: "not the patient's: another person" },
};
const WHEN = {
  CURRENT: { name: "Current" },
  HISTORICAL: { name: "Past" },
  HYPOTHETICAL: { name: "Hypothetical", reason: "hypothetical" },
};
const QUESTIONS = {
  label: { title: "Status", values: LABELS },
  experiencer: { title: "Whose", values: WHOSE },
  temporality: { title: "When", values: WHEN },
};
const WAITING = { name: "Waiting", sign: "…", style: "waiting" };
const REFUSED = { name: "Not answered", sign: "!", style: "refused" };

/** Say how an entity stands: label, waiting or refused. Only what holds has a "+". */
export function look({ prediction, error }) {
  if (error) return REFUSED;
  if (!prediction) return WAITING;
  const found = LABELS[prediction.label];
  const isUnheld = prediction.holds === false && found === LABELS.PRESENT;
  return isUnheld ? { ...found, sign: "≠", style: "present unheld" } : found;
}

/** Give each question that was answered, its answer, the values it might have had. */
export function answers(prediction) {
  return Object.entries(QUESTIONS).flatMap(([question, { title, values }]) => {
    const answer = question === "label" ? prediction : prediction[question];
    const cues = prediction.cues?.[question] ?? [];
    return answer ? [{ question, title, values, ...answer, cues, found: values[answer.label] }] : [];
  });
}

/** Name what the axes say beyond the patient's own and current. */
export function aside(prediction) {
  return answers(prediction).slice(1)
    .filter(({ label, values }) => label !== Object.keys(values)[0])
    .map(({ found }) => found.name.toLowerCase()).join(", ");
}

/** Say whether the patient has it, and if not, why; nothing without axes. */
export function verdict(prediction) {
  const { holds, temporality } = prediction;
  if (holds === undefined) return "";
  if (holds) return temporality.label === "HISTORICAL" ? "Yes, in the past" : "Yes";
  const reasons = answers(prediction).map(({ found }) => found.reason).filter(Boolean);
  return `No, ${reasons.join("; ")}`;
}

/** Give a probability in per cent. */
export function percent(score, digits = 0) {
  return `${(100 * score).toFixed(digits)} %`;
}

/** Say an entity and its status in one phrase, for a list or a voice. */
export function phrase(text, entity) {
  const { prediction, start, end } = entity;
  const said = [look(entity).name.toLowerCase()];
  if (prediction && !entity.error) said.push(percent(prediction.score), verdict(prediction));
  return `${text.slice(start, end)}: ${said.filter(Boolean).join(", ")}`;
}
