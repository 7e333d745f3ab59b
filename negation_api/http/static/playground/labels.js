// How a label looks: a word and a sign beside the colour, never the colour alone.

export const LABELS = {
  PRESENT: { name: "Present", sign: "+", style: "present" },
  ABSENT: { name: "Absent", sign: "−", style: "absent" },
  POSSIBLE: { name: "Possible", sign: "?", style: "possible" },
};
const WAITING = { name: "Waiting", sign: "…", style: "waiting" };
const REFUSED = { name: "Not answered", sign: "!", style: "refused" };

/** Say how an entity stands: label, waiting or refused. */
export function look({ prediction, error }) {
  if (error) return REFUSED;
  return prediction ? LABELS[prediction.label] : WAITING;
}

/** Give a probability in per cent. */
export function percent(score, digits = 0) {
  return `${(100 * score).toFixed(digits)} %`;
}

/** Say an entity and its status in one phrase, for a list or a voice. */
export function phrase(text, entity) {
  const { prediction, start, end } = entity;
  const score = prediction && !entity.error ? `, ${percent(prediction.score)}` : "";
  return `${text.slice(start, end)}: ${look(entity).name.toLowerCase()}${score}`;
}
