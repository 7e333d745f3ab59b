// The list of what is marked: a button for each, which opens sentence and bars.

import { answers, aside, look, percent, verdict } from "./labels.js";

const list = document.getElementById("findings");
const row = document.getElementById("finding");
const group = document.getElementById("group");
const bar = document.getElementById("bar");
const rows = new Map(); // entity -> its <li>, kept so that the focus stays

/** Show the entities in order; the active one is open. */
export function show(text, entities, active, on) {
  for (const [entity, item] of rows) {
    if (entities.includes(entity)) continue;
    item.remove();
    rows.delete(entity);
  }
  entities.forEach((entity, index) => {
    if (!rows.has(entity)) rows.set(entity, make(entity, on));
    const item = rows.get(entity);
    if (list.children[index] !== item) list.insertBefore(item, list.children[index] ?? null);
    fill(item, text, entity, entity === active);
  });
}

/** Bring an entity's row into view, within the list only. */
export function reveal(entity) {
  const item = rows.get(entity);
  if (!item || list.scrollHeight <= list.clientHeight) return;
  list.scrollTop = item.offsetTop - list.offsetTop - list.clientHeight / 4;
}

export function focus(entity) {
  rows.get(entity)?.querySelector(".finding").focus();
}

function make(entity, { onOpen, onLook, onRemove }) {
  const item = row.content.firstElementChild.cloneNode(true);
  item.querySelector(".finding").addEventListener("click", () => onOpen(entity));
  item.querySelector(".remove").addEventListener("click", () => onRemove(entity));
  item.querySelector(".finding").addEventListener("keydown", (event) => {
    if (event.key === "Delete") onRemove(entity);
  });
  for (const event of ["pointerenter", "focusin"]) item.addEventListener(event, () => onLook(entity));
  for (const event of ["pointerleave", "focusout"]) item.addEventListener(event, () => onLook(null));
  return item;
}

function fill(item, text, entity, isOpen) {
  const { name, sign, style } = look(entity);
  const { prediction, error } = entity;
  const answered = prediction && !error;
  item.className = style;
  const parts = {
    ".sign": sign,
    ".what": text.slice(entity.start, entity.end),
    ".status": answered ? `${name} ${percent(prediction.score)}` : name,
    ".why": answered ? verdict(prediction) : "",
    ".error": error ?? "",
  };
  for (const [part, words] of Object.entries(parts)) {
    item.querySelector(part).textContent = words;
  }
  // Where the label says it all, the verdict is for those who listen.
  item.querySelector(".why").classList.toggle("hidden", !(answered && aside(prediction)));
  item.querySelector(".finding").setAttribute("aria-expanded", String(isOpen));
  item.querySelector(".detail").hidden = !isOpen;
  item.querySelector(".detail").classList.toggle("unanswered", !answered);
  if (isOpen && answered) fillDetail(item, text, prediction);
}

function fillDetail(item, text, prediction) {
  const { context, section } = prediction;
  const under = section ? `, under “${section}”` : "";
  item.querySelector(".heading").textContent = `The model read${under}`;
  // The markers are the model's own; a literal [entity] of the note has lost its brackets.
  const parts = context.split("[entity]").flatMap((part, index) => {
    if (!index) return [part];
    const marker = document.createElement("span");
    marker.className = "marker";
    marker.textContent = "[entity]";
    return [marker, part];
  });
  item.querySelector("blockquote").replaceChildren(...parts);
  const groups = answers(prediction).map((answer) => makeGroup(text, answer));
  item.querySelector(".groups").replaceChildren(...groups);
}

function makeGroup(text, { question, title, values, scores, cues }) {
  const item = group.content.firstElementChild.cloneNode(true);
  const words = cues.map(({ start, end }) => `“${text.slice(start, end)}”`).join(", ");
  item.querySelector(".cue").textContent = title;
  item.querySelector(".cue").classList.add(question);
  item.querySelector(".because").textContent = words && `because of ${words}`;
  const bars = Object.keys(values).map((value) => makeBar(values[value], scores[value]));
  item.querySelector(".bars").append(...bars);
  return item;
}

function makeBar({ name, style = "axis" }, score) {
  const item = bar.content.firstElementChild.cloneNode(true);
  item.className = style;
  item.querySelector(".label").textContent = name;
  item.querySelector(".percent").textContent = percent(score, 1);
  item.querySelector(".fill").style.width = `${100 * score}%`;
  return item;
}
