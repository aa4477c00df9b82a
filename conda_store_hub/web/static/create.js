// Puts the cursor where the fault is, and fills the form from a file.
const text = document.getElementById("specification");
const fault = document.querySelector("#error[data-line]");

if (fault) {
  const before = text.value.split("\n").slice(0, Number(fault.dataset.line) - 1);
  const start = before.reduce((sum, line) => sum + line.length + 1, 0) + Number(fault.dataset.column) - 1;
  text.focus();
  text.setSelectionRange(start, start);
}

const upload = document.getElementById("upload");
upload.hidden = false;
upload.querySelector("input").addEventListener("change", async (event) => {
  const [file] = event.target.files;
  if (file) {
    text.value = await file.text();
  }
});
