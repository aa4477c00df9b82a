// Copies the new token, or the lines with it, which stay selected.
import { copy } from "./copy.js";

const note = document.getElementById("copied");

for (const button of document.querySelectorAll("[data-copies]")) {
  const source = document.getElementById(button.dataset.copies);
  button.addEventListener("click", async () => {
    const done = await copy(source);
    getSelection().selectAllChildren(source);
    note.textContent = done ? "Copied." : "It is selected: copy it with the keyboard.";
  });
  button.hidden = false;
  button.classList.remove("invisible");
}

document.getElementById("copy").focus();
