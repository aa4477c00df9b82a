// Searches while one types: the list is asked for again, and the address says what it shows.
import { refreshParts } from "./parts.js";

const PAUSE = 250;
const form = document.getElementById("filters");
const help = document.getElementById("search-help");
const note = document.getElementById("found");
let waiting = 0;

function wanted() {
  const address = new URL(form.action);
  for (const [name, value] of new FormData(form)) {
    if (value.trim()) {
      address.searchParams.set(name, value.trim());
    }
  }
  return address;
}

async function search() {
  clearTimeout(waiting);
  history.replaceState(null, "", wanted());
  if (!(await refreshParts())) {
    note.textContent = "This could not be searched: load the page again";
  }
}

// Who had nothing to search in may have something by now.
function sayFound() {
  const { found, some, problem } = document.getElementById("environments").dataset;
  form.hidden = help.hidden = some === undefined;
  note.classList.toggle("text-danger-emphasis", problem !== undefined);
  if (note.textContent !== found) {
    note.textContent = found; // only what changes is told by screen readers
  }
}

form.addEventListener("input", ({ target }) => {
  clearTimeout(waiting);
  waiting = setTimeout(search, target.type === "search" ? PAUSE : 0);
});

form.addEventListener("submit", (event) => {
  event.preventDefault();
  search();
});

document.addEventListener("parts", sayFound);
