// A note's text and the spans in it: [start, end) in UTF-16 units, as textareas count.

const WORD = /[\p{L}\p{M}\p{N}]+(?:[-'’/][\p{L}\p{M}\p{N}]+)*/gu;

/** Read "denies [[fever]]" as a text and the spans of what is in brackets. */
export function parse(marked) {
  const spans = [];
  let text = "";
  for (const [index, part] of marked.split(/\[\[|\]\]/).entries()) {
    if (index % 2) spans.push({ start: text.length, end: text.length + part.length });
    text += part;
  }
  return { text, spans };
}

/** Take white space from both ends of a span; null if nothing is left. */
export function trimmed(text, { start, end }) {
  const inner = text.slice(start, end);
  const from = start + inner.length - inner.trimStart().length;
  const to = start + inner.trimEnd().length;
  return from < to ? { start: from, end: to } : null;
}

/** Find the word at an offset, its ends included; null if there is none. */
export function wordAt(text, offset) {
  const from = text.lastIndexOf("\n", offset - 1) + 1;
  const line = text.slice(from).split("\n", 1)[0];
  for (const { 0: word, index } of line.matchAll(WORD)) {
    const start = from + index;
    if (start <= offset && offset <= start + word.length) {
      return { start, end: start + word.length };
    }
  }
  return null;
}

export function overlap(a, b) {
  return a.start < b.end && b.start < a.end;
}

/** Find what an edit put in the place of what: {start, end} before it and after it. */
export function difference(before, after) {
  const shorter = Math.min(before.length, after.length);
  let start = 0;
  while (start < shorter && before[start] === after[start]) start++;
  let tail = 0;
  while (tail < shorter - start && before.at(-1 - tail) === after.at(-1 - tail)) tail++;
  const [cut, put] = [before, after].map(({ length }) => ({ start, end: length - tail }));
  return { cut, put };
}

/** Move entities along with an edit; one that the edit cut into is dropped. */
export function follow(entities, before, after) {
  const { cut } = difference(before, after);
  const shift = after.length - before.length;
  return entities.flatMap((entity) => {
    if (entity.end <= cut.start) return [entity];
    if (entity.start >= cut.end) {
      return [Object.assign(entity, { start: entity.start + shift, end: entity.end + shift })];
    }
    const around = entity.start < cut.start && cut.end < entity.end;
    return around ? [Object.assign(entity, { end: entity.end + shift })] : [];
  });
}

/** Count the code points before an offset. */
export function codePoints(text, offset) {
  return [...text.slice(0, offset)].length;
}
