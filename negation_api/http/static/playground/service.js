// POST /predict, and what it says when it does not answer.

/** An answer that is none: RFC 9457's members, and what the headers say. */
export class Problem extends Error {
  constructor({ status = 0, title, detail = "", errors = [], retryAfter = 0, requestId = "" }) {
    super(title);
    Object.assign(this, { status, title, detail, errors, retryAfter, requestId });
  }
}

/** Make the body of the request for entities of a note. */
export function body(text, entities) {
  const spans = entities.map(({ start, end }) => ({ start, end }));
  return { text, entities: spans, offset_unit: "utf16", explain: true };
}

/** Make the body of a request that finds what a list of common findings has. */
export function search(text) {
  return { text, terms: "common", offset_unit: "utf16", explain: true };
}

/** Ask; throws Problem, or AbortError when *signal* says so. */
export async function ask(request, key, signal) {
  const headers = { "Content-Type": "application/json" };
  if (key) headers.Authorization = `Bearer ${key}`;
  const response = await send({ method: "POST", headers, body: JSON.stringify(request), signal });
  const reply = await response.json().catch(() => ({}));
  if (response.ok && reply.predictions) return reply;
  throw new Problem({
    ...reply,
    status: response.status,
    title: reply.title ?? `The answer was not understood (status ${response.status}).`,
    retryAfter: Number(response.headers.get("Retry-After")) || 0,
    requestId: response.headers.get("X-Request-Id") ?? "",
  });
}

async function send(options) {
  try {
    return await fetch("predict", options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    const detail = "Is it running, and is this computer connected?";
    throw new Problem({ title: "The service cannot be reached.", detail });
  }
}
