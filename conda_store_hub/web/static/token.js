// Copies the new token, or the lines with it. Where the page is not https, a browser has no clipboard: then what is
// selected is copied.
const note = document.getElementById("copied");

async function copy(source) {
  try {
    await navigator.clipboard.writeText(source.textContent);
    return true;
  } catch {
    getSelection().selectAllChildren(source);
    return document.execCommand("copy");
  }
}

for (const button of document.querySelectorAll("[data-copies]")) {
  const source = document.getElementById(button.dataset.copies);
  button.addEventListener("click", async () => {
    const done = await copy(source);
    getSelection().selectAllChildren(source);
    note.textContent = done ? "Copied." : "It is selected: copy it with the keyboard.";
  });
  button.hidden = false;
}

document.getElementById("copy").focus();
