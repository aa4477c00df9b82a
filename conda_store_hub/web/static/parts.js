// Brings the parts of a page that change up to date: the page is asked for again, and they are taken from it.
import { localise } from "./times.js";
import { currentToken } from "./xsrf.js";

let last = 0;

// False when the page can no longer be had: the session has ended, or the service is away.
export async function refreshParts() {
  last += 1;
  const turn = last;
  const answer = await fetch(location.href, {
    headers: { "X-XSRFToken": currentToken() },
    redirect: "manual",
  }).catch(() => null);
  if (!answer?.ok) {
    return false;
  }
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  if (turn !== last) {
    return true; // what was asked for since comes later, and is newer
  }
  for (const part of document.querySelectorAll("[data-live]")) {
    const newer = fresh.getElementById(part.id);
    if (newer && !part.contains(document.activeElement)) {
      part.replaceWith(newer);
      localise(newer);
    }
  }
  document.dispatchEvent(new CustomEvent("parts"));
  return true;
}
