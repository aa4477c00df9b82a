// Times of the page in the reader's own zone and manner; without this they are in UTC.
const FORMAT = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

export function localise(root) {
  for (const element of root.querySelectorAll("time")) {
    element.title = element.dateTime;
    element.textContent = FORMAT.format(new Date(element.dateTime));
  }
}

localise(document);
