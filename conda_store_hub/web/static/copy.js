// Copies what stands on the page. Where it is not https, a browser has no clipboard: then what is selected is copied.
export async function copy(element) {
  const selection = getSelection();
  try {
    await navigator.clipboard.writeText(element.textContent);
    return true;
  } catch {
    selection.selectAllChildren(element);
    return document.execCommand("copy");
  }
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest?.("[data-copy]");
  if (button) {
    const element = document.getElementById(button.dataset.copy);
    const done = await copy(element);
    document.getElementById(`${element.id}-copied`).textContent = done
      ? "Copied."
      : "It is selected: copy it with the keyboard.";
  }
});

export function showButtons() {
  for (const button of document.querySelectorAll("[data-copy]")) {
    button.hidden = false;
    button.classList.remove("invisible");
  }
}

showButtons();
document.addEventListener("parts", showButtons);
