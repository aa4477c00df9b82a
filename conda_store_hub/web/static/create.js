// The form for a specification: sent without leaving the page, so that nothing typed is lost by what comes of it.
import { Answers } from "./answers.js";
import { Drafts } from "./drafts.js";
import { Lines } from "./lines.js";
import { Following, Previewed } from "./previews.js";
import { localise } from "./times.js";
import { Working } from "./working.js";
import { currentToken } from "./xsrf.js";

const form = document.getElementById("create");
const text = document.getElementById("specification");
const note = document.getElementById("draft");
// Not `form.action`: that is the buttons of this name.
const ADDRESS = new URL(form.getAttribute("action"), location.href);
const FIELDS = ["namespace", "name", "latest_build_id"];
const MOST_BYTES = 6_000_000; // that the service takes
const LONGEST_END = 2000; // that the next preview waits for the end of one that is given up
const NOT_KEPT = "What you type cannot be kept in this browser: it is gone when you leave this page.";

const lines = new Lines(text, document.getElementById("numbers"), document.getElementById("fault"));
const answers = new Answers(text, lines);
const begun = readForm();
const isGivenBack = "givenBack" in form.dataset;
const drafts = new Drafts(form.dataset.draft, readTyped, tellKept);
const previewed = new Previewed(form.dataset.draft.replace(/:[^:]*$/, ""));
const working = new Working(form);
let sending = null;
let isKept = true;

function readForm() {
  const fields = FIELDS.map((name) => [name, form.elements[name].value]);
  return { text: text.value, ...Object.fromEntries(fields) };
}

function fillForm(values) {
  text.value = values.text;
  for (const name of FIELDS) {
    const field = form.elements[name];
    const known = field.tagName !== "SELECT" || [...field.options].some((option) => option.value === values[name]);
    if (typeof values[name] === "string" && known) {
      field.value = values[name];
    }
  }
  text.dispatchEvent(new Event("input", { bubbles: true }));
  comeBack();
}

// A name counts where there was one to begin with: else it is shown from the text.
function isSame(draft) {
  const isNameSame = !begun.name || draft.name === begun.name;
  return !isGivenBack && draft.text === begun.text && draft.namespace === begun.namespace && isNameSame;
}

function readTyped() {
  text.dispatchEvent(new Event("csh:settle")); // the composer takes a moment to read the name in the text
  const typed = readForm();
  return isSame(typed) ? null : typed;
}

// Drafts

function tellKept(is) {
  if (is !== isKept && drafts.key) {
    isKept = is;
    say(is ? "What you type is kept in this browser again." : NOT_KEPT);
  }
}

function beginWithDraft() {
  if (isGivenBack) {
    return;
  }
  const own = drafts.find();
  if (own && !isSame(own)) {
    takeUp(own);
  } else {
    offerOther();
  }
}

function makeButton(words, act) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "btn btn-link p-0 align-baseline";
  button.textContent = words;
  button.addEventListener("click", () => {
    act();
    text.focus();
  });
  return button;
}

function makeTime(draft) {
  const time = document.createElement("time");
  time.dateTime = new Date(draft.savedOn).toISOString();
  return time;
}

function say(...parts) {
  note.replaceChildren(...parts);
  localise(note);
}

function takeUp(draft) {
  const later = draft.latest_build_id === begun.latest_build_id ? "" : " Something was built here since.";
  const discard = makeButton("Discard it", () => {
    fillForm(begun);
    drafts.remove();
    say("Discarded.");
  });
  say("This is what you typed on ", makeTime(draft), ` and did not build.${later} `, discard);
  fillForm(draft);
}

// What the address asked for stays: what another page has left is offered.
function offerOther() {
  const [other] = drafts.listOthers().filter((one) => !isSame(one.draft));
  if (!other) {
    return;
  }
  const { draft, key } = other;
  const goOn = makeButton("Go on with it", () => {
    drafts.putAside(readTyped());
    takeUp(draft);
    drafts.save();
    drafts.removeAt(key);
  });
  const discard = makeButton("Discard it", () => {
    drafts.removeAt(key);
    say("Discarded.");
    offerOther();
  });
  const what = [draft.namespace, draft.name].filter(Boolean).join("/");
  say(`You were writing ${what || "another one"} on `, makeTime(draft), " and did not build it. ", goOn, " · ", discard);
}

// Sending

async function post(body) {
  body.set("_xsrf", currentToken());
  return fetch(ADDRESS, { method: "POST", body, headers: { "X-XSRFToken": currentToken() } });
}

// What a preview depends on.
function readDocument() {
  return `${form.elements.namespace.value}\n${text.value}`;
}

// What was asked for as something else is given up; what was asked for as it is, is gone on with.
async function send(submitter, isBack = false) {
  if (sending && !sending.isPreview) {
    return; // pressed twice: the service may have taken the first already
  }
  const [isPreview, typed] = [["preview", "look"].includes(submitter.value), readDocument()];
  const left = leave(isPreview && sending?.typed === typed);
  const what = { isPreview, isBack, typed, focused: document.activeElement };
  const mine = (sending = Object.assign(new AbortController(), what));
  document.getElementById("preview").replaceChildren();
  document.getElementById("awaited")?.remove(); // it was asked for before this script was there
  try {
    const body = new FormData(form, submitter);
    await take(await (isPreview ? preview(body, mine, left) : build(body)), mine);
  } catch {
    if (!mine.signal.aborted) {
      answers.complain(sayAway(), isPreview);
    }
  } finally {
    if (sending === mine) {
      leave(true);
    }
  }
}

// Wait no longer for what was sent; a preview that does not go on is ended, which takes a moment.
function leave(goesOn) {
  const ended = goesOn ? null : sending?.following?.end();
  sending?.abort();
  sending = null;
  working.end();
  return ended;
}

function build(body) {
  working.begin("Sending…", false);
  return post(body);
}

// Who comes back finds what they asked for, also where that has ended, or failed; who presses the button has it anew.
// It may be of the same packages as the one that was `left`: it is asked for once that has ended.
async function preview(body, mine, left) {
  document.getElementById("problem").replaceChildren();
  working.begin("The service is choosing packages…", true);
  if (!mine.isBack) {
    previewed.add(mine.typed);
  }
  const ask = (action) => {
    body.set("action", action);
    return post(body);
  };
  await Promise.race([left, new Promise((resolve) => setTimeout(resolve, LONGEST_END))]);
  mine.signal.throwIfAborted();
  mine.following = new Following(ADDRESS, ask, mine.signal, (said, seconds) => working.tell(said, seconds));
  return mine.following.run(mine.isBack ? "resume" : "follow");
}

function comeBack() {
  if (!sending && previewed.has(readDocument())) {
    send(form.querySelector("[value=preview]"), true);
  }
}

async function take(answer, mine) {
  const { isPreview, isBack, typed } = mine;
  if (answer.redirected && answer.url.startsWith(new URL("../build/", ADDRESS).href)) {
    drafts.remove();
    previewed.remove(typed);
    location.assign(answer.url);
    return;
  }
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  mine.signal.throwIfAborted();
  if (fresh.getElementById("create") === null) {
    const said = fresh.querySelector("main")?.innerText.trim();
    answers.complain(said || sayAway(), isPreview);
    return;
  }
  answers.show(fresh, isPreview);
  answers.showProblem(fresh.querySelector("#specification").value, isBack);
  if (isPreview && answer.ok && !answers.showPreview(mine, typed !== readDocument())) {
    working.over.textContent = "The preview is there, below the text.";
  }
}

function sayAway() {
  const kept = isKept && drafts.key ? "What you typed is kept in this browser" : "What you typed is on this page alone";
  return `The service cannot be reached. ${kept}; try again in a moment.`;
}

// Files

async function load(file) {
  if (file.size > MOST_BYTES) {
    answers.complain(`${file.name} is larger than 6 MB, which is the most that can be sent.`);
    return;
  }
  try {
    const loaded = new TextDecoder("utf-8", { fatal: true }).decode(await file.arrayBuffer());
    putLoaded(loaded.replace(/\r\n?/g, "\n"), file.name);
  } catch {
    answers.complain("That file is no text in UTF-8.");
  }
}

// What was typed is put aside before, and can be had back.
function putLoaded(loaded, name) {
  const typed = text.value === loaded ? null : readTyped();
  const key = drafts.putAside(typed);
  text.value = loaded;
  text.dispatchEvent(new Event("input", { bubbles: true }));
  const back = makeButton("Go back to what you had typed", () => {
    drafts.putAside(text.value === loaded ? null : readTyped());
    fillForm(typed);
    drafts.removeAt(key);
    say("");
  });
  say(`Loaded ${name}. `, ...(typed ? [back] : []));
}

const hasFiles = (event) => event.dataTransfer?.types.includes("Files");

for (const kind of ["dragover", "dragleave", "drop"]) {
  form.addEventListener(kind, (event) => {
    if (!hasFiles(event)) {
      return;
    }
    event.preventDefault();
    text.parentElement.classList.toggle("drop", kind === "dragover");
    if (kind === "drop" && event.dataTransfer.files[0]) {
      load(event.dataTransfer.files[0]);
    }
  });
}

form.elements.file.addEventListener("change", async (event) => {
  const [file] = event.target.files;
  if (file) {
    await load(file);
    event.target.value = "";
  }
});

// The page

form.addEventListener("submit", (event) => {
  event.preventDefault();
  drafts.save();
  send(event.submitter ?? form.querySelector("[value=build]"));
});

form.addEventListener("input", (event) => {
  if (event.target === text) {
    lines.show(null);
    text.classList.remove("is-invalid");
  }
  if ([text, form.elements.namespace, form.elements.name].includes(event.target)) {
    document.querySelector("[data-stale]")?.removeAttribute("hidden");
  }
  drafts.saveSoon();
});

// The composer reads the text as it is typed.
text.addEventListener("csh:fault", (event) => lines.show(event.detail));

document.getElementById("cancel").addEventListener("click", () => {
  previewed.remove(sending?.typed);
  leave(false);
  text.focus();
});

document.addEventListener("click", (event) => {
  if (event.target.closest("[data-puts-aside]")) {
    drafts.putOwnAside();
  }
});

addEventListener("pagehide", () => drafts.saveIfAwaited());

beginWithDraft();
answers.showProblem(text.value);
if (isGivenBack) {
  drafts.save();
} else {
  comeBack();
}
