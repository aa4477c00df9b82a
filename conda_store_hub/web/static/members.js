// Asks for a name only where one is needed; without this the name of everybody is left out when it is sent.
const subject = document.getElementById("subject");
const part = document.getElementById("name-part");

function showName() {
  // Hidden, not removed: nothing moves when another choice is looked at.
  part.classList.toggle("invisible", !["user", "group"].includes(subject.value));
}

if (subject) {
  subject.addEventListener("change", showName);
  showName();
}

// A role ends with the reader's day; without this with that of UTC.
const until = document.querySelector("input#until[type=date]");

function pad(number) {
  return String(number).padStart(2, "0");
}

// With the zone's offset on that day, so that the day is still to be read in it.
function endOf(day) {
  const minutes = -new Date(`${day}T23:59:59`).getTimezoneOffset();
  if (Number.isNaN(minutes)) {
    return day;
  }
  const [hours, rest] = [Math.trunc(Math.abs(minutes) / 60), Math.abs(minutes) % 60];
  return `${day}T23:59:59${minutes < 0 ? "-" : "+"}${pad(hours)}:${pad(rest)}`;
}

if (until) {
  document.querySelector("#until-help [data-zone]").remove();
  until.form.addEventListener("formdata", ({ formData }) => formData.set("until", until.value && endOf(until.value)));
}
