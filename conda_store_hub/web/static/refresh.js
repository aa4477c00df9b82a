// A page is brought up to date while somebody looks at it: soon where there is something to wait for, else seldom.
import { refreshParts } from "./parts.js";

const SOON = 4000;
const SELDOM = 60000;
let timer;
let pause = SOON;

function isBusy() {
  return document.querySelector("[data-live][data-busy]") !== null;
}

function plan(after) {
  clearTimeout(timer);
  if (!document.hidden) {
    timer = setTimeout(look, after);
  }
}

// While the service is away, or the session has ended, it is asked more and more seldom.
async function look() {
  clearTimeout(timer);
  const there = await refreshParts();
  pause = there ? SOON : Math.min(2 * pause, SELDOM);
  plan(there && !isBusy() ? SELDOM : pause);
}

// Nothing is asked for a page that nobody sees; what happened meanwhile is there when it is seen again.
document.addEventListener("visibilitychange", () => {
  clearTimeout(timer);
  if (!document.hidden) {
    look();
  }
});
document.addEventListener("parts", () => plan(isBusy() ? SOON : SELDOM));

plan(isBusy() ? SOON : SELDOM);
