// The note on the page: a textarea, and behind it a mirror of its text in which the
// entities are coloured. So editing, selecting and reading aloud are the browser's own.

import { answers, aside, look, percent } from "./labels.js";

const note = document.getElementById("note");
const mirror = document.getElementById("mirror");
const paper = document.getElementById("paper");
const bubble = document.getElementById("bubble");
const marks = new Map(); // <mark> -> its entity

/** Show the text, its entities in order, and the cues of the one that is looked at. */
export function show(text, entities, active, looked) {
  if (note.value !== text) note.value = text;
  const parts = [];
  const cues = looked?.prediction && !looked.error ? answers(looked.prediction) : [];
  let end = 0;
  marks.clear();
  for (const entity of entities) {
    const element = mark(entity, entity === active);
    element.append(...underlined(text, entity, cues));
    marks.set(element, entity);
    parts.push(...underlined(text, { start: end, end: entity.start }, cues), element);
    end = entity.end;
  }
  // A line break at the very end has no height of its own without the space.
  mirror.replaceChildren(...parts, ...underlined(text, { start: end, end: text.length }, cues), " ");
  fitTags();
}

/** Cut a span of the text where cues begin and end; each question has its own line. */
function underlined(text, { start, end }, answered) {
  const places = answered.flatMap(({ cues }) => cues.flatMap((cue) => [cue.start, cue.end]));
  const inside = places.filter((place) => start < place && place < end);
  const cuts = [...new Set([start, ...inside, end])].sort((a, b) => a - b);
  return cuts.slice(1).map((to, index) => {
    const covers = (cue) => cue.start <= cuts[index] && to <= cue.end;
    return answered.filter(({ cues }) => cues.some(covers)).reduce((inner, { question }) => {
      const element = document.createElement("span");
      element.className = `cue ${question}`;
      element.append(inner);
      return element;
    }, text.slice(cuts[index], to));
  });
}

function mark(entity, isActive) {
  const { name, sign, style } = look(entity);
  const element = document.createElement("mark");
  element.className = isActive ? `${style} active` : style;
  const tag = document.createElement("span");
  tag.className = "tag";
  // Drawn by the style sheet, so that the mirror's text is the note's.
  tag.dataset.sign = sign;
  const { prediction, error } = entity;
  const beyond = prediction && !error && aside(prediction);
  const score = prediction && !error ? ` ${percent(prediction.score)}` : "";
  tag.dataset.rest = ` ${name}${beyond ? `, ${beyond}` : score}`;
  element.append(tag);
  return element;
}

/** Cut a tag down to its sign where it would run into the next or out of the paper. */
function fitTags() {
  const tags = [...mirror.querySelectorAll(".tag")];
  for (const tag of tags) tag.classList.remove("short");
  const boxes = tags.map((tag) => tag.getBoundingClientRect());
  const edge = paper.getBoundingClientRect().right - 4;
  for (const [index, box] of boxes.entries()) {
    const next = boxes[index + 1];
    const meets = next && Math.abs(next.top - box.top) < 4 && box.right > next.left - 4;
    tags[index].classList.toggle("short", meets || box.right > edge);
  }
}

/** What is selected in the note: [start, end), empty at a caret. */
export function selection() {
  return { start: note.selectionStart, end: note.selectionEnd };
}

export function select({ start, end }) {
  note.focus();
  note.setSelectionRange(start, end);
}

/** Offer to mark what is selected, right above it; with null, offer nothing. */
export function offer(span, label) {
  bubble.hidden = !span;
  if (!span) return;
  bubble.textContent = label;
  const rects = range(span).getClientRects();
  const last = rects[rects.length - 1];
  const box = paper.getBoundingClientRect();
  if (!last) return;
  const left = Math.min(last.right - box.left, box.width - bubble.offsetWidth - 8);
  bubble.style.left = `${Math.max(left - bubble.offsetWidth / 2, 8)}px`;
  bubble.style.top = `${last.top - box.top - bubble.offsetHeight - 4}px`;
}

function range({ start, end }) {
  const found = document.createRange();
  const walker = document.createTreeWalker(mirror, NodeFilter.SHOW_TEXT);
  let seen = 0;
  while (walker.nextNode()) {
    const { length } = walker.currentNode;
    if (seen <= start && start <= seen + length) found.setStart(walker.currentNode, start - seen);
    if (seen <= end && end <= seen + length) {
      found.setEnd(walker.currentNode, end - seen);
      break;
    }
    seen += length;
  }
  return found;
}

const BROUGHT = new Set(["insertFromPaste", "insertFromDrop"]);

/** Tell of edits and whether they were pasted, of moves of caret, selection or mouse, of leaving, of the wish to mark. */
export function listen({ onEdit, onMove, onLook, onLeave, onMark }) {
  note.addEventListener("input", ({ inputType }) => onEdit(note.value, BROUGHT.has(inputType)));
  document.addEventListener("selectionchange", () => {
    if (document.activeElement === note) onMove();
  });
  note.addEventListener("pointermove", ({ clientX, clientY }) => {
    const under = document.elementsFromPoint(clientX, clientY);
    onLook(marks.get(under.find((element) => marks.has(element))) ?? null);
  });
  note.addEventListener("pointerleave", () => onLook(null));
  // A selection is told of later; by then the focus may have gone on.
  note.addEventListener("blur", onLeave);
  note.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    onMark();
  });
  // Before the button would take the focus, and with it the selection's colour.
  bubble.addEventListener("pointerdown", (event) => event.preventDefault());
  bubble.addEventListener("click", onMark);
  new ResizeObserver(fitTags).observe(paper);
}
