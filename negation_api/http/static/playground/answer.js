// The line under the note: what is said of the finding that is looked at. It names each
// question in the style in which the note underlines its cues.

import { answers, percent, verdict } from "./labels.js";

const line = document.getElementById("answer");

/** Show the answers to an entity of the text; with none, an empty line. */
export function show(text, entity) {
  const { prediction, error } = entity ?? {};
  if (!prediction || error) return line.replaceChildren();
  const parts = answers(prediction).map(({ question, title, found, score }) => {
    const part = element("span");
    part.append(element("span", title, `cue ${question}`), ` ${found.name} ${percent(score)}`);
    return part;
  });
  const words = text.slice(entity.start, entity.end);
  const said = verdict(prediction);
  line.replaceChildren(element("strong", said ? `${words}: ${said}` : words), ...parts);
}

function element(tag, words = "", style = "") {
  const made = document.createElement(tag);
  made.textContent = words;
  made.className = style;
  return made;
}
