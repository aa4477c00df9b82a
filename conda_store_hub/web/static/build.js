// A build as it goes on: the log grows, the bars move, and what else changes is brought up to date.
import { refreshParts } from "./parts.js";
import { currentToken } from "./xsrf.js";

const EVERY = 5000;
const FIRST_PAUSE = 1000;
const LONGEST_PAUSE = 15000;
const SILENCE = 20000;
const HEARD = ["open", "log", "progress", "phases", "state"];
const log = document.getElementById("log");
const note = document.getElementById("log-note");
const box = document.getElementById("progress");
const WORDS = JSON.parse(box.dataset.words);

let offset = Number(log.dataset.offset);
let status = document.getElementById("state").dataset.status;
let pause = FIRST_PAUSE;
let over = "complete" in log.dataset;
let refreshing;
let silence;
let phases;

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

function showProgress({ phase, done, total, unit, downloads = [] }) {
  document.getElementById("progress-text").textContent = `${WORDS[phase] ?? phase}: ${done} of ${total} ${unit}`;
  const bar = document.getElementById("progress-bar");
  bar.max = total;
  bar.value = done;
  document.getElementById("downloads").replaceChildren(...downloads.map(showDownload));
}

function showDownload({ name, done, total }) {
  const [item, label, text, bar] = ["li", "label", "span", "progress"].map((tag) => document.createElement(tag));
  label.className = "download";
  text.textContent = name;
  bar.max = total || 1;
  bar.value = done;
  label.append(text, bar);
  item.append(label);
  return item;
}

// Several changes that come at once are one look at the page.
function refreshSoon() {
  clearTimeout(refreshing);
  refreshing = setTimeout(refreshParts, 100);
}

function follow() {
  // EventSource sends no headers, and the Hub wants the token of the session with every request of a script.
  const address = new URL(log.dataset.url, location.href);
  address.searchParams.set("offset", offset);
  address.searchParams.set("_xsrf", currentToken());
  const source = new EventSource(address);

  // A proxy may leave the line open when the service has died behind it: who hears nothing for long asks anew.
  const listen = () => {
    clearTimeout(silence);
    silence = setTimeout(() => {
      source.close();
      follow();
    }, SILENCE);
  };
  listen();
  for (const name of HEARD) {
    source.addEventListener(name, listen);
  }

  source.addEventListener("open", () => {
    note.textContent = "live";
    pause = FIRST_PAUSE;
  });
  source.addEventListener("log", (event) => {
    append(event.data);
    offset = Number(event.lastEventId) || offset;
  });
  source.addEventListener("progress", (event) => showProgress(JSON.parse(event.data)));
  source.addEventListener("phases", (event) => {
    if (event.data !== phases) {
      phases = event.data;
      refreshSoon();
    }
  });
  source.addEventListener("state", (event) => {
    const next = JSON.parse(event.data).status;
    if (next !== status) {
      status = next;
      refreshSoon();
    }
  });
  source.addEventListener("end", () => {
    over = true;
    clearTimeout(silence);
    source.close();
    note.textContent = "";
    box.hidden = true;
    refreshSoon();
  });
  source.addEventListener("error", () => {
    note.textContent = "interrupted, trying again";
    if (source.readyState === EventSource.CLOSED) {
      clearTimeout(silence);
      setTimeout(comeBack, pause);
    }
  });
}

// A browser gives up for good when the answer is an error, as it is while the service starts anew.
async function comeBack() {
  pause = Math.min(pause * 1.5, LONGEST_PAUSE);
  const headers = { "X-XSRFToken": currentToken() };
  const answer = await fetch(location.href, { method: "HEAD", headers, redirect: "manual" }).catch(() => null);
  if (answer?.ok) {
    follow();
    refreshSoon();
    return;
  }
  if (answer?.status === 404) {
    note.textContent = "not live any more: the build is not there, or you may not see it";
    return;
  }
  const isOut = answer?.status === 401 || answer?.status === 403 || answer?.type === "opaqueredirect";
  note.textContent = isOut
    ? "logged out: log in in another tab, and this goes on"
    : "the service does not answer, trying again";
  setTimeout(comeBack, pause);
}

// The place in the queue changes without a word from the build.
function lookAtQueue() {
  if (status === "QUEUED" && !document.hidden) {
    refreshParts();
  }
  if (!over) {
    setTimeout(lookAtQueue, EVERY);
  }
}

// Asks the channels, which may take long: the page does not wait for it.
async function warnOfDeparted() {
  const warning = document.getElementById("departed");
  if (!warning.dataset.url) {
    return;
  }
  const headers = { "X-XSRFToken": currentToken() };
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
  const line = document.getElementById("departed-unknown");
  line.textContent = text;
  line.hidden = false;
}

scrollToEnd();
warnOfDeparted();
if (!over) {
  follow();
  setTimeout(lookAtQueue, EVERY);
}
