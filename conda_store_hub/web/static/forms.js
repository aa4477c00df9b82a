// A form that was open while its session ended is sent with the token of the session there is now; and only once.
import { currentToken } from "./xsrf.js";

const PATIENCE = 10_000;
const sent = new Map();

document.addEventListener("submit", (event) => {
  const form = event.target;
  const field = form.elements._xsrf;
  if (!field) {
    return;
  }
  field.value = currentToken();
  if (event.defaultPrevented) {
    return; // a script of the page sends it
  }
  // Who presses twice means it once. Who presses again after a while was not answered.
  if (Date.now() - (sent.get(form) ?? -Infinity) < PATIENCE) {
    event.preventDefault();
    return;
  }
  sent.set(form, Date.now());
});

// A page that one came back to is sent anew.
addEventListener("pageshow", () => sent.clear());
