// A build as it goes on: the log grows, the bar moves, and what else changes is brought up to date.
import { refreshParts } from "./parts.js";

const log = document.getElementById("log");
const note = document.getElementById("log-note");
const bar = document.getElementById("progress");
const WORDS = JSON.parse(bar.dataset.words);

function isAtEnd() {
  return log.scrollHeight - log.scrollTop - log.clientHeight < 40;
}

function scrollToEnd() {
  log.scrollTop = log.scrollHeight;
}

function append(text) {
  const follow = isAtEnd();
  log.append(text);
  if (follow) {
    scrollToEnd();
  }
}

function showProgress({ phase, done, total, unit }) {
  bar.hidden = done >= total;
  document.getElementById("progress-text").textContent = `${WORDS[phase] ?? phase}: ${done} of ${total} ${unit}`;
  const element = document.getElementById("progress-bar");
  element.max = total;
  element.value = done;
}

function follow() {
  // EventSource sends no headers, and the Hub wants the token of the page with every request of a script.
  const address = new URL(log.dataset.url, location.href);
  address.searchParams.set("offset", log.dataset.offset);
  address.searchParams.set("_xsrf", document.body.dataset.xsrf);
  const source = new EventSource(address);
  let status = document.getElementById("state").dataset.status;

  source.addEventListener("open", () => {
    note.textContent = "live";
  });
  source.addEventListener("log", (event) => append(event.data));
  source.addEventListener("progress", (event) => showProgress(JSON.parse(event.data)));
  source.addEventListener("state", (event) => {
    const next = JSON.parse(event.data).status;
    if (next !== status) {
      status = next;
      refreshParts();
    }
  });
  source.addEventListener("end", () => {
    source.close();
    note.textContent = "";
    bar.hidden = true;
    refreshParts();
  });
  source.addEventListener("error", () => {
    const over = source.readyState === EventSource.CLOSED;
    note.textContent = over ? "not live any more: load the page again" : "interrupted, trying again";
  });
}

// Asks the channels, which may take long: the page does not wait for it.
async function warnOfDeparted() {
  const warning = document.getElementById("departed");
  if (!warning.dataset.url) {
    return;
  }
  const headers = { "X-XSRFToken": document.body.dataset.xsrf };
  const answer = await fetch(warning.dataset.url, { headers, redirect: "manual" }).catch(() => null);
  const found = answer?.ok ? (await answer.json().catch(() => null))?.data : null;
  if (!found) {
    sayUnknown("Whether its packages are still in their channels could not be found out.");
    return;
  }
  const names = [...found.gone, ...found.changed].map(({ name, version, build }) => `${name} ${version} ${build}`);
  if (names.length > 0) {
    document.getElementById("departed-names").textContent = names.join(", ");
    warning.hidden = false;
  }
  if (found.unknown.length > 0) {
    const count = found.unknown.length === 1 ? "one package is" : `${found.unknown.length} packages are`;
    const reasons = found.problems.map(({ channel, message }) => ` ${channel}: ${message}`).join("");
    sayUnknown(`Whether ${count} still in their channels could not be found out.${reasons}`);
  }
}

function sayUnknown(text) {
  const note = document.getElementById("departed-unknown");
  note.textContent = text;
  note.hidden = false;
}

scrollToEnd();
warnOfDeparted();
if (!("complete" in log.dataset)) {
  follow();
}
