// Searches the packages of a build as one types; what was typed stays when the page brings itself up to date.
import { currentToken } from "./xsrf.js";

const PAUSE = 200;
let wanted = document.getElementById("package-search")?.value ?? "";
let timer;

async function search() {
  const form = document.getElementById("package-form");
  if (!form) {
    return;
  }
  const text = wanted;
  const address = new URL(form.action);
  address.searchParams.set("search", text);
  const headers = { "X-XSRFToken": currentToken() };
  const answer = await fetch(address, { headers, redirect: "manual" }).catch(() => null);
  if (!answer?.ok || text !== wanted) {
    return;
  }
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("package-list");
  if (fresh && text === wanted) {
    document.getElementById("package-list").replaceWith(fresh);
  }
}

document.addEventListener("input", (event) => {
  if (event.target.id === "package-search") {
    wanted = event.target.value;
    clearTimeout(timer);
    timer = setTimeout(search, PAUSE);
  }
});

document.addEventListener("submit", (event) => {
  if (event.target.id === "package-form") {
    event.preventDefault();
    clearTimeout(timer);
    search();
  }
});

document.addEventListener("parts", () => {
  const field = document.getElementById("package-search");
  if (field && field.value !== wanted) {
    field.value = wanted;
    search();
  }
});
