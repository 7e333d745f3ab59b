// The page: what is in the note, what is marked, what the service said of it.

import * as answer from "./answer.js";
import * as findings from "./findings.js";
import { look, phrase } from "./labels.js";
import { difference, follow, overlap, parse, trimmed, wordAt } from "./note.js";
import * as paper from "./paper.js";
import * as request from "./request.js";
import { SAMPLES } from "./samples.js";
import { Problem, ask, body, search } from "./service.js";

const WAIT_MS = 350; // after an edit, before asking
const $ = (id) => document.getElementById(id);

// entities: {start, end, prediction, error}, in order, none over another;
// part: {start, end} that findings are still to be found in, or null
const state = {
  text: "", entities: [], part: null, active: null, looked: null, key: "", needsKey: false,
};
let timer = 0;
let flight = new AbortController();

// --- what the visitor does -----------------------------------------------------

function load(text, spans, part = null) {
  state.text = text;
  state.part = part;
  state.entities = spans.map((span) => ({ ...span }));
  state.active = state.entities[0] ?? null;
  changed(0);
}

function edit(text, isPasted) {
  const { put } = difference(state.text, text);
  // Where a search is under way and the text changes, all of it is looked through.
  if (state.part) state.part = { start: 0, end: text.length };
  else if (isPasted) state.part = put;
  state.entities = follow(state.entities, state.text, text);
  // Cues are places in the text that was answered.
  for (const { prediction } of state.entities) if (prediction) prediction.cues = {};
  state.text = text;
  if (!state.entities.includes(state.active)) state.active = null;
  changed(isPasted ? 0 : WAIT_MS);
}

/** What marking would act on: an entity to unmark, or a span to mark, or neither. */
function target() {
  const { start, end } = paper.selection();
  if (start === end) {
    const entity = state.entities.find((e) => e.start <= start && start <= e.end);
    return entity ? { entity } : { span: wordAt(state.text, start) };
  }
  const span = trimmed(state.text, { start, end });
  const same = (e) => span && e.start === span.start && e.end === span.end;
  const entity = state.entities.find(same);
  return entity ? { entity } : { span };
}

function toggle() {
  const { entity, span } = target();
  if (entity) remove(entity);
  else if (span) add(span);
}

function add(span) {
  const others = state.entities.filter((entity) => !overlap(entity, span));
  const entity = { ...span };
  state.entities = [...others, entity].sort((a, b) => a.start - b.start);
  state.active = entity;
  paper.select({ start: span.end, end: span.end });
  changed(0);
}

function remove(entity) {
  const index = state.entities.indexOf(entity);
  const hadFocus = $("findings").contains(document.activeElement);
  announce(`${state.text.slice(entity.start, entity.end)}: mark removed`);
  state.entities.splice(index, 1);
  if (state.active === entity) state.active = null;
  changed(0);
  if (!hadFocus) return;
  const next = state.entities[Math.min(index, state.entities.length - 1)];
  if (next) findings.focus(next);
  else $("note").focus();
}

function open(entity) {
  state.active = state.active === entity ? null : entity;
  render();
}

/** Show what is said of an entity under the mouse or the focus; else of the active one. */
function regard(entity) {
  if (entity === state.looked) return;
  state.looked = entity;
  showNote();
}

/** Follow the caret: the entity under it opens, and the button says what it does. */
function move() {
  const { start, end } = paper.selection();
  const { entity } = target();
  if (start === end && entity && entity !== state.active) {
    state.active = entity;
    announce(phrase(state.text, entity));
    render();
    findings.reveal(entity);
  }
  offer();
}

// --- what the service says -----------------------------------------------------

function changed(wait) {
  clearTimeout(timer);
  flight.abort();
  for (const entity of state.entities) entity.error = null;
  timer = setTimeout(predict, wait);
  render();
}

async function predict() {
  if (state.part) return find();
  const asked = state.entities.filter((entity) => !entity.error);
  if (!asked.length) return;
  flight = new AbortController();
  try {
    const reply = await ask(body(state.text, asked), state.key, flight.signal);
    answered(asked, reply);
  } catch (error) {
    if (error instanceof Problem) refused(asked, error);
    else if (error.name !== "AbortError") throw error;
  }
}

/** Mark what a list of common findings has in the part that came last. */
async function find() {
  flight = new AbortController();
  try {
    const { predictions, ...reply } = await ask(search(state.text), state.key, flight.signal);
    const { part, entities } = state;
    state.part = null;
    const found = predictions
      .map(({ start, end, ...prediction }) => ({ start, end, prediction }))
      .filter((span) => overlap(span, part))
      .filter((span) => !entities.some((entity) => overlap(entity, span)));
    state.entities = [...entities, ...found].sort((a, b) => a.start - b.start);
    answered(found, { predictions: found.map(({ prediction }) => prediction), ...reply });
    announce(`${found.length} common findings marked`);
    if (entities.length) changed(0); // the edit may have changed what is said of them
  } catch (error) {
    if (error instanceof Problem) refused([], error);
    else if (error.name !== "AbortError") throw error;
    if (error.status === 422) state.part = null; // the next edit is no new search
  }
}

function answered(asked, { predictions, model, time_ms: ms }) {
  const fresh = asked.filter((entity) => !entity.prediction);
  asked.forEach((entity, index) => { entity.prediction = predictions[index]; });
  if (asked.length === state.entities.length) showProblem(null);
  const revision = model.revision ? `, revision ${model.revision.slice(0, 12)}` : "";
  $("model").textContent =
    `${model.name}${revision}, ${model.precision}, weights ${model.sha256.slice(0, 12)}…, in ${ms.toFixed(0)} ms`;
  $("model").title = `SHA-256 of the weights: ${model.sha256}`;
  if (fresh.length === 1) announce(phrase(state.text, fresh[0]));
  else if (fresh.length) announce(`${fresh.length} findings answered`);
  render();
}

/** Put what is wrong where it belongs; what is right is asked for again without it. */
function refused(asked, problem) {
  const rest = [];
  for (const { pointer, detail } of problem.errors) {
    const entity = asked[/^#\/entities\/(\d+)/.exec(pointer)?.[1]];
    if (entity) Object.assign(entity, { error: detail, prediction: null });
    else rest.push(detail);
  }
  state.active = asked.find((entity) => entity.error) ?? state.active;
  state.needsKey ||= problem.status === 401;
  showProblem(problem, rest, asked);
  render();
  if (problem.retryAfter) timer = setTimeout(predict, 1000 * problem.retryAfter);
  else if (asked.some((entity) => entity.error)) predict();
}

function showProblem(problem, places = [], asked = []) {
  $("problem").hidden = !problem;
  if (!problem) return;
  const wrong = asked.filter((entity) => entity.error);
  $("problem-title").textContent = wrong.length
    ? `${wrong.length} of ${asked.length} marks cannot be answered.`
    : problem.title;
  $("problem-detail").textContent = problem.retryAfter
    ? `Asking again in ${problem.retryAfter} s.`
    : wrong.length ? "The reason stands with each." : problem.detail;
  $("problem-places").replaceChildren(...places.map((detail) => {
    const item = document.createElement("li");
    item.textContent = detail;
    return item;
  }));
  $("problem-id").textContent =
    problem.status >= 500 ? `For whoever runs the service: request ${problem.requestId}.` : "";
  $("again").hidden = problem.status === 401 || problem.retryAfter > 0 || wrong.length > 0;
  $("key-form").hidden = problem.status !== 401;
}

function useKey(event) {
  event.preventDefault();
  state.key = $("key").value.trim();
  const isPlain = /^[\x21-\x7e]+$/.test(state.key);
  $("key").setCustomValidity(isPlain ? "" : "A key has no spaces, accents or other signs.");
  if ($("key").reportValidity()) changed(0);
}

// --- what is shown -------------------------------------------------------------

function render() {
  const { text, entities, active } = state;
  if (!entities.includes(state.looked)) state.looked = null;
  showNote();
  findings.show(text, entities, active, { onOpen: open, onLook: regard, onRemove: remove });
  request.show(text, entities, state.needsKey);
  const counts = new Map();
  for (const entity of entities) {
    const { name } = look(entity);
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  const held = entities.filter(({ prediction }) => prediction?.holds).length;
  if (entities.some(({ prediction }) => prediction?.holds !== undefined)) counts.set("hold", held);
  $("count").textContent = [...counts].map(([n, c]) => `${c} ${n.toLowerCase()}`).join(", ");
  $("empty").hidden = entities.length > 0;
  if (!entities.length && !state.part) showProblem(null);
  offer();
}

function showNote() {
  const { text, entities, active, looked } = state;
  paper.show(text, entities, active, looked ?? active);
  answer.show(text, looked ?? active);
}

function offer() {
  const { entity, span } = target();
  const { start, end } = entity ?? span ?? {};
  const words = state.text.slice(start, end);
  const short = words.length > 24 ? `${words.slice(0, 23)}…` : words;
  $("mark").disabled = !(entity || span);
  $("mark").textContent = entity ? `Unmark “${short}”` : span ? `Mark “${short}”` : "Mark";
  const selected = paper.selection();
  const isSelected = selected.start < selected.end && document.activeElement === $("note");
  paper.offer(isSelected ? entity ?? span : null, entity ? "Unmark" : "Mark");
}

function announce(words) {
  $("live").textContent = words;
}

function start() {
  for (const { name, note } of SAMPLES) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = name;
    button.addEventListener("click", () => {
      const { text, spans } = parse(note);
      load(text, spans);
    });
    $("samples").append(button);
  }
  $("blank").addEventListener("click", () => {
    load("", []);
    $("note").focus();
  });
  $("file").addEventListener("change", async () => {
    const [file] = $("file").files;
    // The textarea's own line breaks: they are what its offsets count.
    const text = (await file?.text())?.replace(/\r\n?/g, "\n");
    if (file) load(text, [], { start: 0, end: text.length });
    $("file").value = "";
  });
  $("mark").addEventListener("click", toggle);
  $("again").addEventListener("click", () => changed(0));
  $("key-form").addEventListener("submit", useKey);
  $("key").addEventListener("input", () => $("key").setCustomValidity(""));
  paper.listen({ onEdit: edit, onMove: move, onLook: regard, onLeave: () => offer(), onMark: toggle });
  request.listen({ announce });
  const { text, spans } = parse(SAMPLES[0].note);
  load(text, spans);
}

start();
