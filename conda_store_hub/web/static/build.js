// A build as it goes on: the log grows, the bars move, and what else changes is brought up to date.
import { refreshParts } from "./parts.js";
import { currentToken } from "./xsrf.js";

const FIRST_PAUSE = 1000;
const LONGEST_PAUSE = 15000;
const SILENCE = 20000;
const MOST_SHOWN = 1_000_000; // characters of a log, of which browsers become slow
const LEFT = 0.75; // of them, when some go
const HEARD = ["open", "alive", "log", "progress", "phases", "state"];
const log = document.getElementById("log");
const note = document.getElementById("log-note");
const box = document.getElementById("progress");
const WORDS = JSON.parse(box.dataset.words);

let offset = Number(log.dataset.offset);
let status = document.getElementById("state").dataset.status;
let pause = FIRST_PAUSE;
let over = "complete" in log.dataset;
let source = null;
let refreshing;
let silence;
let returning;
let phases;
let isAsked = false;
let length = log.textContent.length;

function isAtEnd() {
  return log.scrollHeight - log.scrollTop - log.clientHeight < 40;
}

function scrollToEnd() {
  log.scrollTop = log.scrollHeight;
}

function append(text) {
  const follow = isAtEnd();
  log.append(text);
  length += text.length;
  if (length > MOST_SHOWN) {
    leaveOutBeginning();
  }
  if (follow) {
    scrollToEnd();
  }
}

// Whole lines; who reads further up goes on where they are.
function leaveOutBeginning() {
  const { scrollHeight, scrollTop, textContent } = log;
  const end = textContent.slice(-LEFT * MOST_SHOWN);
  log.textContent = end.slice(end.indexOf("\n") + 1);
  length = log.textContent.length;
  log.scrollTop = scrollTop - (scrollHeight - log.scrollHeight);
  const line = document.getElementById("left-out");
  line.textContent = "The beginning is left out here; the download has all.";
  line.classList.remove("invisible");
  line.hidden = false;
}

function showProgress({ phase, done, total, unit, downloads = [] }) {
  document.getElementById("progress-text").textContent = `${WORDS[phase] ?? phase}: ${done} of ${total} ${unit}`;
  const bar = document.getElementById("progress-bar");
  bar.max = total;
  bar.value = done;
  document.getElementById("downloads").replaceChildren(...downloads.map(showDownload));
}

// While nothing goes on yet, its place is kept.
function showBox() {
  box.classList.toggle("invisible", over || status === "QUEUED");
}

function showDownload({ name, done, total }) {
  const [item, label, text, bar] = ["li", "label", "span", "progress"].map((tag) => document.createElement(tag));
  label.className = "download";
  text.textContent = name;
  if (total) {
    bar.max = total;
    bar.value = done;
  }
  label.append(text, bar);
  item.append(label);
  return item;
}

// Several changes that come at once are one look at the page.
function refreshSoon() {
  clearTimeout(refreshing);
  refreshing = setTimeout(refreshParts, 100);
}

function hangUp() {
  clearTimeout(silence);
  clearTimeout(returning);
  source?.close();
  source = null;
}

// From the byte that was reached; nobody is followed who is not seen: a browser has six lines for all tabs of a host.
function follow() {
  hangUp();
  if (over || document.hidden) {
    return;
  }
  // EventSource sends no headers, and the Hub wants the token of the session with every request of a script.
  const address = new URL(log.dataset.url, location.href);
  address.searchParams.set("offset", offset);
  address.searchParams.set("_xsrf", currentToken());
  source = new EventSource(address);

  // A proxy may leave the line open when the service has died behind it: who hears nothing for long asks anew.
  const listen = () => {
    clearTimeout(silence);
    silence = setTimeout(follow, SILENCE);
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
      showBox();
      refreshSoon();
    }
  });
  source.addEventListener("end", () => {
    over = true;
    hangUp();
    note.textContent = "";
    showBox(); // what stands below stays where it is
    refreshSoon();
  });
  source.addEventListener("error", () => {
    note.textContent = "interrupted, trying again";
    if (source?.readyState === EventSource.CLOSED) {
      clearTimeout(silence);
      returning = setTimeout(comeBack, pause);
    }
  });
}

// A browser gives up for good when the answer is an error, as it is while the service starts anew.
async function comeBack() {
  pause = Math.min(pause * 1.5, LONGEST_PAUSE);
  const headers = { "X-XSRFToken": currentToken() };
  const answer = await fetch(location.href, { method: "HEAD", headers, redirect: "manual" }).catch(() => null);
  if (document.hidden) {
    return; // who sees the page again follows again
  }
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
  returning = setTimeout(comeBack, pause);
}

// A file that somebody asks for later opens the log again.
function lookAtState() {
  const { dataset } = document.getElementById("state");
  status = dataset.status;
  showBox();
  warnOfDeparted();
  if (over && "open" in dataset) {
    over = false;
    box.hidden = false;
    showBox();
    follow();
  }
}

// Asks the channels, which may take long: the page does not wait for it, and has kept the place for what they say.
async function warnOfDeparted() {
  const url = document.getElementById("departed")?.dataset.url;
  if (!url || isAsked || document.getElementById("state").dataset.status !== "COMPLETED") {
    return;
  }
  isAsked = true;
  const headers = { "X-XSRFToken": currentToken() };
  const answer = await fetch(url, { headers, redirect: "manual" }).catch(() => null);
  const found = answer?.ok ? (await answer.json().catch(() => null))?.data : null;
  if (!found) {
    sayDeparted("Whether its packages are still in their channels could not be found out.", []);
    return;
  }
  const gone = [...found.gone, ...found.changed].map(({ name, version, build }) => `${name} ${version} ${build}`);
  const problems = found.problems.map(({ channel, message }) => `${channel}: ${message}`);
  const words = [];
  if (gone.length > 0) {
    const they = gone.length === 1 ? "1 package is" : `${gone.length} packages are`;
    words.push(`${they} no longer in their channels as they were: this cannot be made again elsewhere from its pins.`);
  }
  if (found.unknown.length > 0) {
    const they = found.unknown.length === 1 ? "1 package is" : `${found.unknown.length} packages are`;
    words.push(`Whether ${they} still in their channels could not be found out.`);
  }
  sayDeparted(words.join(" ") || "All of its packages are still in their channels.", [...gone, ...problems]);
}

function sayDeparted(text, names) {
  document.getElementById("departed-text").textContent = text;
  const items = names.map((name) => Object.assign(document.createElement("li"), { textContent: name }));
  document.getElementById("departed-names").replaceChildren(...items);
  document.getElementById("departed-more").classList.toggle("invisible", items.length === 0);
}

scrollToEnd();
warnOfDeparted();
follow();
document.addEventListener("parts", lookAtState);
document.addEventListener("visibilitychange", follow);
