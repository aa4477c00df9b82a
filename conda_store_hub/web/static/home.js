// Searches while one types: the list is asked for again, and the address says what it shows.
import { refreshParts } from "./parts.js";

const PAUSE = 250;
const form = document.getElementById("filters");
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
  if (await refreshParts()) {
    note.textContent = document.getElementById("environments").dataset.found;
  } else {
    note.textContent = "This could not be searched: load the page again";
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
