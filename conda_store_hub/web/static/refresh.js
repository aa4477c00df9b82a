// A page with builds to wait for looks again every few seconds, while somebody looks at it.
import { refreshParts } from "./parts.js";

const EVERY = 4000;

function isBusy() {
  return document.querySelector("[data-live][data-busy]") !== null;
}

async function look() {
  if (!isBusy()) {
    return;
  }
  const there = document.hidden || (await refreshParts());
  setTimeout(look, there ? EVERY : 5 * EVERY);
}

setTimeout(look, EVERY);
