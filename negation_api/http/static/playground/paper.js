// The note on the page: a textarea, and behind it a mirror of its text in which the
// entities are coloured. So editing, selecting and reading aloud are the browser's own.

import { look, percent } from "./labels.js";

const note = document.getElementById("note");
const mirror = document.getElementById("mirror");
const paper = document.getElementById("paper");
const bubble = document.getElementById("bubble");

/** Show the text, its entities in order, the active one among them. */
export function show(text, entities, active) {
  if (note.value !== text) note.value = text;
  const parts = [];
  let end = 0;
  for (const entity of entities) {
    parts.push(text.slice(end, entity.start), mark(text, entity, entity === active));
    end = entity.end;
  }
  // A line break at the very end has no height of its own without the space.
  mirror.replaceChildren(...parts, `${text.slice(end)} `);
  fitTags();
}

function mark(text, entity, isActive) {
  const { name, sign, style } = look(entity);
  const element = document.createElement("mark");
  element.className = isActive ? `${style} active` : style;
  const tag = document.createElement("span");
  tag.className = "tag";
  // Drawn by the style sheet, so that the mirror's text is the note's.
  tag.dataset.sign = sign;
  const score = entity.prediction && !entity.error ? ` ${percent(entity.prediction.score)}` : "";
  tag.dataset.rest = ` ${name}${score}`;
  element.append(tag, text.slice(entity.start, entity.end));
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

/** Tell of edits, of moves of caret or selection, of leaving, and of the wish to mark. */
export function listen({ onEdit, onMove, onLeave, onMark }) {
  note.addEventListener("input", () => onEdit(note.value));
  document.addEventListener("selectionchange", () => {
    if (document.activeElement === note) onMove();
  });
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
