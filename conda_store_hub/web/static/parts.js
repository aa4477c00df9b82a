// Brings the parts of a page that change up to date: the page is asked for again, and they are taken from it.
import { localise } from "./times.js";
import { currentToken } from "./xsrf.js";

const waiting = new Map(); // parts that somebody is in, and what they are to become
let last = 0;
let shown = { address: "", etag: "" };
let missed = 0;
const OUT = "You are logged out, and what stands here is old. This goes on when you are logged in again:";
const GONE = "This page is not there any more, or you may not see it: what stands here is old.";
const AWAY = "The service does not answer, and what stands here is old. It is asked again.";
const OTHER = "This page is another one by now. Load it again; what you have typed would go.";

// False when the page can no longer be had: the session has ended, or the service is away.
export async function refreshParts() {
  last += 1;
  const turn = last;
  const address = location.href;
  const headers = { "X-XSRFToken": currentToken() };
  if (shown.address === address) {
    headers["If-None-Match"] = shown.etag;
  }
  const answer = await fetch(address, { headers, redirect: "manual" }).catch(() => null);
  const moved = answer?.headers.get("X-Moved-To");
  if (moved) {
    goOn(() => location.replace(moved)); // somebody has renamed it
    return true;
  }
  tell(judge(answer));
  if (answer?.status === 304) {
    document.dispatchEvent(new CustomEvent("parts")); // what was said of an answer that failed is over
    return true;
  }
  const text = answer?.ok ? await answer.text().catch(() => null) : null;
  if (text === null) {
    return false;
  }
  if (turn !== last) {
    return true; // what was asked for since comes later, and is newer
  }
  const etag = answer.headers.get("ETag");
  shown = etag ? { address, etag } : { address: "", etag: "" };
  const fresh = new DOMParser().parseFromString(text, "text/html");
  if (isOther(fresh)) {
    goOn(() => location.reload());
  } else {
    showParts(fresh);
  }
  return true;
}

// What is wrong with an answer, in words. A service that starts anew is away for a moment, which is not told.
function judge(answer) {
  missed = answer?.ok || answer?.status === 304 ? 0 : missed + 1;
  if (missed === 0) {
    return "";
  }
  if (answer?.type === "opaqueredirect" || answer?.status === 401) {
    return OUT;
  }
  if (answer?.status === 403 || answer?.status === 404) {
    return GONE;
  }
  return missed > 1 ? AWAY : null;
}

let told = "";

function tell(words) {
  if (words === null || words === told) {
    return;
  }
  told = words;
  document.getElementById("stale").replaceChildren(words, ...(words === OUT ? [" ", makeLogin()] : []));
}

function makeLogin() {
  const link = document.createElement("a");
  link.href = `${document.body.dataset.prefix}login/`;
  link.target = "_blank";
  link.rel = "noopener";
  link.textContent = "Log in in another tab";
  return link;
}

// Of somebody else, or without the parts of this one: its environment was deleted, for example.
function isOther(fresh) {
  const isLacking = [...document.querySelectorAll("[data-live]")].some((part) => !fresh.getElementById(part.id));
  return isLacking || fresh.body.dataset.user !== document.body.dataset.user;
}

// To another page in the place of this one, unless something was typed here.
function goOn(go) {
  const fields = [...document.querySelectorAll("textarea, input:not([type=hidden], [type=search])")];
  if (fields.some((field) => field.value !== field.defaultValue)) {
    tell(OTHER);
  } else {
    go();
  }
}

function showParts(fresh) {
  for (const part of document.querySelectorAll("[data-live]")) {
    const newer = fresh.getElementById(part.id);
    if (newer) {
      localise(newer);
      waiting.set(part, newer);
    }
  }
  showWaiting();
  document.dispatchEvent(new CustomEvent("parts"));
}

// What somebody is in stays as it is until they leave it: neither the focus nor what they selected is lost.
function isInUse(part) {
  const selection = document.getSelection();
  return part.contains(document.activeElement) || (selection?.isCollapsed === false && selection.containsNode(part, true));
}

function showWaiting() {
  for (const [part, newer] of waiting) {
    if (!isInUse(part)) {
      waiting.delete(part);
      become(part, newer);
    }
  }
}

// The element stays: a screen reader listens to it, and tells what changes in it.
function become(part, newer) {
  keepOpen(part, newer);
  if (part.isEqualNode(newer)) {
    return;
  }
  for (const { name } of [...part.attributes]) {
    if (!newer.hasAttribute(name)) {
      part.removeAttribute(name);
    }
  }
  for (const { name, value } of newer.attributes) {
    part.setAttribute(name, value);
  }
  part.replaceChildren(...newer.childNodes);
}

// What somebody has unfolded stays so: found again by what is in it with an `id`, else by its place.
function keepOpen(part, newer) {
  const name = (one, index) => one.id || one.querySelector("[id]")?.id || index;
  const unfolded = new Map([...part.querySelectorAll("details")].map((one, index) => [name(one, index), one.open]));
  [...newer.querySelectorAll("details")].forEach((one, index) => {
    one.open = unfolded.get(name(one, index)) ?? one.open;
  });
}

function showLate() {
  if (waiting.size > 0) {
    showWaiting();
    document.dispatchEvent(new CustomEvent("parts"));
  }
}

document.addEventListener("focusout", () => setTimeout(showLate)); // until then nothing has the focus
document.addEventListener("selectionchange", showLate);
