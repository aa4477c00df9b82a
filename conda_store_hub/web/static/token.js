// Copies the new token. Where the page is not https, a browser has no clipboard: then what is selected is copied.
const token = document.getElementById("token");
const button = document.getElementById("copy");
const note = document.getElementById("copied");

function select() {
  getSelection().selectAllChildren(token);
}

async function copy() {
  try {
    await navigator.clipboard.writeText(token.textContent);
    return true;
  } catch {
    select();
    return document.execCommand("copy");
  }
}

button.addEventListener("click", async () => {
  const done = await copy();
  select();
  note.textContent = done ? "Copied." : "It is selected: copy it with the keyboard.";
});

button.hidden = false;
button.focus();
