// A form that was open while its session ended is sent with the token of the session there is now.
import { currentToken } from "./xsrf.js";

document.addEventListener("submit", (event) => {
  const field = event.target.elements._xsrf;
  if (field) {
    field.value = currentToken();
  }
});
