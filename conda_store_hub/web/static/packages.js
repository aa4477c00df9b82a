// Searches the packages of a build as one types; what was typed stays when the page brings itself up to date.
import { currentToken } from "./xsrf.js";

const PAUSE = 200;
let wanted = document.getElementById("package-search")?.value ?? "";
let timer;

async function search(isSent) {
  const form = document.getElementById("package-form");
  if (!form) {
    return;
  }
  const text = wanted;
  const address = new URL(form.action);
  address.searchParams.set("search", text);
  const headers = { "X-XSRFToken": currentToken() };
  const answer = await fetch(address, { headers, redirect: "manual" }).catch(() => null);
  if (text !== wanted) {
    return;
  }
  if (!answer?.ok) {
    fail(form, isSent);
    return;
  }
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("package-list");
  if (fresh && text === wanted) {
    document.getElementById("package-list").replaceWith(fresh);
  }
}

// Who sends the form is led to where it is said why; nobody is led away while they type.
function fail(form, isSent) {
  if (isSent) {
    form.submit();
  } else {
    document.querySelector("#package-list [role=status]").textContent = "This could not be searched: press Enter.";
  }
}

document.addEventListener("input", (event) => {
  if (event.target.id === "package-search") {
    wanted = event.target.value;
    clearTimeout(timer);
    timer = setTimeout(() => search(false), PAUSE);
  }
});

document.addEventListener("submit", (event) => {
  if (event.target.id === "package-form") {
    event.preventDefault();
    clearTimeout(timer);
    search(true);
  }
});

document.addEventListener("parts", () => {
  const field = document.getElementById("package-search");
  if (field && field.value !== wanted) {
    field.value = wanted;
    search(false);
  }
});
