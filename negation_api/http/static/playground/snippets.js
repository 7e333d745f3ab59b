// The request of the page, for use elsewhere. Each runs as it stands.

import { codePoints } from "./note.js";
import { body } from "./service.js";

const NAME = "NEGATION_API_KEY"; // environment variable; the key itself is not shown

export const SNIPPETS = { curl, python, javascript };

function curl(url, text, entities, withKey) {
  const json = JSON.stringify(body(text, entities)).replaceAll("'", String.raw`'\''`);
  const key = withKey ? ` \\\n  -H "Authorization: Bearer $${NAME}"` : "";
  return `curl ${url} -H 'Content-Type: application/json'${key} \\\n  -d '${json}'`;
}

// Python counts code points, as the service does unless told otherwise.
function python(url, text, entities, withKey) {
  const spans = entities.map(({ start, end }) =>
    `    {"start": ${codePoints(text, start)}, "end": ${codePoints(text, end)}},\n`);
  const key = withKey ? `, "Authorization": f"Bearer {os.environ['${NAME}']}"` : "";
  return `import json
${withKey ? "import os\n" : ""}from urllib.request import Request, urlopen

note = ${JSON.stringify(text)}
entities = [
${spans.join("")}]
body = json.dumps({"text": note, "entities": entities, "explain": True}).encode()
headers = {"Content-Type": "application/json"${key}}
with urlopen(Request("${url}", body, headers)) as reply:
    for found in json.load(reply)["predictions"]:
        print(note[found["start"] : found["end"]], found["label"], found["score"])`;
}

function javascript(url, text, entities, withKey) {
  const spans = entities.map(({ start, end }) => `  { start: ${start}, end: ${end} },\n`);
  const key = withKey ? `, Authorization: \`Bearer \${process.env.${NAME}}\`` : "";
  return `const note = ${JSON.stringify(text)};
const entities = [
${spans.join("")}];
const reply = await fetch("${url}", {
  method: "POST",
  headers: { "Content-Type": "application/json"${key} },
  body: JSON.stringify({ text: note, entities, offset_unit: "utf16", explain: true }),
});
for (const found of (await reply.json()).predictions) {
  console.log(note.slice(found.start, found.end), found.label, found.score);
}`;
}
