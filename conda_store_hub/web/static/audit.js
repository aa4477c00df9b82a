// Times in the fields are the reader's own, as those of the list are; without this they are in UTC.
const form = document.querySelector("form[role=search]");
const fields = [...form.querySelectorAll("input[type=datetime-local]")];

// What a field shows has no zone: it is taken for UTC, so a time is written as if it were there.
function showHere(field) {
  const when = new Date(`${field.value}Z`);
  if (!Number.isNaN(when.valueOf())) {
    const shifted = new Date(when.valueOf() - when.getTimezoneOffset() * 60000);
    field.value = shifted.toISOString().slice(0, 16);
  }
}

for (const field of fields) {
  showHere(field);
  document.querySelector(`label[for=${field.id}] [data-zone]`).remove();
}

form.addEventListener("formdata", ({ formData }) => {
  for (const { name, value } of fields) {
    const when = new Date(value); // of the reader's zone, as it has none of its own
    formData.set(name, Number.isNaN(when.valueOf()) ? "" : when.toISOString());
  }
});
