// The request as code, in tabs, to be copied.

import { SNIPPETS } from "./snippets.js";

const code = document.getElementById("code");
const copy = document.getElementById("copy");
const tabs = [...document.querySelectorAll("[role=tab]")];
const url = new URL("predict", document.baseURI).href;
let language = "curl";
let given = ["", [], false]; // text, entities, whether a key is needed

/** Show the request for entities of a text. */
export function show(...request) {
  given = request;
  code.textContent = SNIPPETS[language](url, ...given);
}

export function listen({ announce }) {
  for (const tab of tabs) tab.addEventListener("click", () => choose(tab));
  document.querySelector("[role=tablist]").addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const next = tabs.indexOf(document.activeElement) + step + tabs.length;
    choose(tabs[next % tabs.length]);
    tabs[next % tabs.length].focus();
  });
  copy.addEventListener("click", async () => {
    const done = await write(code.textContent);
    copy.textContent = done ? "Copied" : "Select and copy it";
    announce(copy.textContent);
    setTimeout(() => { copy.textContent = "Copy"; }, 2000);
  });
}

function choose(chosen) {
  for (const tab of tabs) {
    tab.setAttribute("aria-selected", String(tab === chosen));
    tab.tabIndex = tab === chosen ? 0 : -1;
  }
  language = chosen.dataset.language;
  code.setAttribute("aria-labelledby", chosen.id);
  show(...given);
}

/** Copy; outside of HTTPS and localhost browsers have the old way only. */
async function write(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    getSelection().selectAllChildren(code);
    return document.execCommand("copy");
  }
}
