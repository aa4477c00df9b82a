// What was typed and not built yet, kept in this browser: in the tab, and for the next one.
const SPACE = "conda-store-hub-draft:";
const PAUSE = 400;
const MOST = 1_000_000;

function stores() {
  try {
    return [sessionStorage, localStorage];
  } catch {
    return []; // this browser lets nothing be kept
  }
}

function isDraft(value) {
  return typeof value?.text === "string" && typeof value.savedOn === "number";
}

function readFrom(store, key) {
  try {
    const found = JSON.parse(store.getItem(key));
    return isDraft(found) ? found : null;
  } catch {
    return null; // what another version has kept may be anything
  }
}

export class Drafts {
  constructor(name, read) {
    this.key = name && `${SPACE}${location.pathname}:${name}`;
    this.read = read;
  }

  // The tab's own before that of another tab.
  find() {
    const found = this.key ? stores().map((store) => readFrom(store, this.key)) : [];
    return found.find((draft) => draft !== null) ?? null;
  }

  saveSoon() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.save(), PAUSE);
  }

  save() {
    clearTimeout(this.timer);
    this.timer = undefined;
    const draft = { ...this.read(), savedOn: Date.now() };
    if (!this.key || draft.text.length > MOST) {
      return;
    }
    for (const store of stores()) {
      try {
        store.setItem(this.key, JSON.stringify(draft));
      } catch {
        // It is full.
      }
    }
  }

  saveIfAwaited() {
    if (this.timer !== undefined) {
      this.save();
    }
  }

  remove() {
    clearTimeout(this.timer);
    this.timer = undefined;
    for (const store of this.key ? stores() : []) {
      store.removeItem(this.key);
    }
  }
}
