// The form for a specification: sent without leaving the page, so that nothing typed is lost by what comes of it.
import { Drafts } from "./drafts.js";
import { Lines } from "./lines.js";
import { localise } from "./times.js";
import { currentToken } from "./xsrf.js";

const form = document.getElementById("create");
const text = document.getElementById("specification");
const working = document.getElementById("working");
const note = document.getElementById("draft");
const PARTS = ["problem", "preview"];
// Not `form.action`: that is the buttons of this name.
const ADDRESS = new URL(form.getAttribute("action"), location.href);
const FIELDS = ["namespace", "name", "latest_build_id"];

const lines = new Lines(text, document.getElementById("numbers"), document.getElementById("fault"));
const begun = readForm();
const drafts = new Drafts(form.dataset.draft, readForm);
let sending = null;

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
}

// A name counts where there was one to begin with: else it is shown from the text.
function isSame(draft) {
  return draft.text === begun.text && draft.namespace === begun.namespace && (!begun.name || draft.name === begun.name);
}

// Drafts

function takeUpDraft() {
  const draft = drafts.find();
  if ("givenBack" in form.dataset || !draft || isSame(draft)) {
    return;
  }
  const time = document.createElement("time");
  time.dateTime = new Date(draft.savedOn).toISOString();
  const button = document.createElement("button");
  button.type = "button";
  button.className = "btn btn-link p-0 align-baseline";
  button.textContent = "Discard it";
  button.addEventListener("click", () => {
    fillForm(begun);
    drafts.remove();
    note.textContent = "Discarded.";
    text.focus();
  });
  const later = draft.latest_build_id === begun.latest_build_id ? "" : " Something was built here since.";
  note.replaceChildren("This is what you typed on ", time, ` and did not build.${later} `, button);
  localise(note);
  fillForm(draft);
}

// Sending

function setWorking(said) {
  working.hidden = !said;
  document.getElementById("working-text").textContent = said;
  form.setAttribute("aria-busy", String(Boolean(said)));
}

async function post(submitter, signal) {
  const body = new FormData(form, submitter);
  body.set("_xsrf", currentToken());
  return fetch(ADDRESS, { method: "POST", body, signal, headers: { "X-XSRFToken": currentToken() } });
}

async function send(submitter) {
  const isPreview = submitter.value === "preview";
  if (sending && !sending.isPreview) {
    return; // pressed twice: the service may have taken the first already
  }
  sending?.abort();
  const mine = (sending = Object.assign(new AbortController(), { isPreview }));
  const sent = text.value;
  setWorking(isPreview ? "The service is choosing packages…" : "Sending…");
  document.getElementById("preview").replaceChildren();
  try {
    await take(await post(submitter, mine.signal), isPreview, sent);
  } catch (error) {
    if (!mine.signal.aborted) {
      complain("The service cannot be reached. What you typed is kept in this browser; try again in a moment.");
    }
  } finally {
    if (sending === mine) {
      sending = null;
      setWorking("");
    }
  }
}

async function take(answer, isPreview, sent) {
  if (answer.redirected && answer.url.startsWith(new URL("../build/", ADDRESS).href)) {
    drafts.remove();
    location.assign(answer.url);
    return;
  }
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  if (fresh.getElementById("create") === null) {
    const said = fresh.querySelector("main")?.innerText.trim();
    complain(said || "The service cannot be reached. What you typed is kept in this browser; try again in a moment.");
    return;
  }
  for (const id of PARTS) {
    document.getElementById(id).replaceWith(fresh.getElementById(id));
  }
  showProblem(fresh.querySelector("#specification").value);
  if (!isPreview || !answer.ok) {
    return;
  }
  if (sent === text.value) {
    document.getElementById("preview-title").focus();
  } else {
    document.querySelector("[data-stale]")?.removeAttribute("hidden"); // somebody went on typing
  }
}

function complain(said) {
  const alert = document.createElement("div");
  alert.className = "alert alert-danger pre-line";
  alert.setAttribute("role", "alert");
  alert.id = "error";
  alert.textContent = said;
  document.getElementById("problem").replaceChildren(alert);
  alert.scrollIntoView({ block: "nearest" });
}

// What the service said is shown at its line, unless the text is another by now.
function showProblem(sent) {
  const error = document.getElementById("error");
  if (!error) {
    return;
  }
  error.scrollIntoView({ block: "nearest" });
  const { line, column } = error.dataset;
  if (line && sent.trimEnd() === text.value.trimEnd()) {
    const place = { line: Number(line), column: Number(column) };
    lines.show({ ...place, message: error.querySelector("p").textContent.replace(/ \(line [^()]*\)$/, "") });
    text.classList.add("is-invalid");
    lines.goTo(place);
  }
}

// Files

async function load(file) {
  try {
    text.value = new TextDecoder("utf-8", { fatal: true }).decode(await file.arrayBuffer()).replace(/\r\n?/g, "\n");
  } catch {
    complain("That file is no text in UTF-8.");
    return;
  }
  text.dispatchEvent(new Event("input", { bubbles: true }));
  note.textContent = `Loaded ${file.name}.`;
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
    document.querySelector("[data-stale]")?.removeAttribute("hidden");
  }
  drafts.saveSoon();
});

// The composer reads the text as it is typed.
text.addEventListener("csh:fault", (event) => lines.show(event.detail));

document.getElementById("cancel").addEventListener("click", () => {
  sending?.abort();
  text.focus();
});

document.addEventListener("click", (event) => {
  if (event.target.closest("[data-discards]")) {
    drafts.remove();
  }
});

addEventListener("pagehide", () => drafts.saveIfAwaited());

takeUpDraft();
showProblem(text.value);
if ("givenBack" in form.dataset) {
  drafts.save();
}
