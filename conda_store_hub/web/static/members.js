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
