// What was typed and not built yet, kept in this browser: in the tab, and for the next one.
const SPACE = "conda-store-hub-draft:";
const PAUSE = 400;
const MOST_OTHERS = 8;
const LONGEST = 30 * 24 * 3600 * 1000; // a month
// What follows the name in a key: `#` is in no name.
const PART = /^(#[a-z0-9]+)?$/;

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

// A page that is only loaded, or come back to, has typed nothing: its draft is as old as before.
function isKept(key, values) {
  const isSame = (draft) => draft !== null && Object.keys(values).every((name) => draft[name] === values[name]);
  return stores().length > 0 && stores().every((store) => isSame(readFrom(store, key)));
}

let lastSaved = 0;

function makePart() {
  return `#${Date.now().toString(36)}${Math.floor(Math.random() * 36 ** 4).toString(36)}`;
}

// Each page that begins something new is one of its own, also when it is loaded again or come back to; a change of an
// environment is the same wherever it is begun, but for one that begins with an older build.
function findPart(isNew) {
  if (!isNew) {
    const build = new URLSearchParams(location.search).get("build") ?? "";
    return /^[0-9]+$/.test(build) ? `#${build}` : "";
  }
  const known = history.state?.draft;
  const part = typeof known === "string" && PART.test(known) ? known : makePart();
  history.replaceState({ ...history.state, draft: part }, "");
  return part;
}

// What is old goes, and so does what somebody else left who used this browser: logged out means logged out.
function prune(ours, mine) {
  for (const store of stores()) {
    for (const key of Object.keys(store).filter((one) => one.startsWith(ours))) {
      const draft = readFrom(store, key);
      if (!key.startsWith(mine) || draft === null || Date.now() - draft.savedOn > LONGEST) {
        store.removeItem(key);
      }
    }
  }
}

// `name` is `USER:WHAT`; empty for nobody. `read` returns what was typed, null where that is nothing. `tell` is told
// whether it was kept.
export class Drafts {
  constructor(name, read, tell) {
    this.prefix = name && `${SPACE}${location.pathname}:${name}`;
    this.key = name && `${this.prefix}${findPart(name.endsWith(":new"))}`;
    this.read = read;
    this.tell = tell;
    if (name) {
      const ours = `${SPACE}${location.pathname}:`;
      prune(ours, ours + name.slice(0, name.lastIndexOf(":") + 1));
    }
  }

  // This page's own: the tab's before that of another tab.
  find() {
    const found = this.key ? stores().map((store) => readFrom(store, this.key)) : [];
    return found.find((draft) => draft !== null) ?? null;
  }

  // What other pages of this kind have left, the newest first; the oldest of many go.
  listOthers() {
    const store = this.key ? stores().at(-1) : undefined;
    const isOther = (key) => key.startsWith(this.prefix) && key !== this.key && PART.test(key.slice(this.prefix.length));
    const found = Object.keys(store ?? {})
      .filter(isOther)
      .map((key) => ({ key, draft: readFrom(store, key) }))
      .sort((one, other) => (other.draft?.savedOn ?? 0) - (one.draft?.savedOn ?? 0));
    found.slice(MOST_OTHERS).forEach((one) => this.removeAt(one.key));
    return found.slice(0, MOST_OTHERS).filter((one) => one.draft !== null);
  }

  saveSoon() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.save(), PAUSE);
  }

  save() {
    clearTimeout(this.timer);
    this.timer = undefined;
    const typed = this.read();
    if (!typed) {
      this.removeAt(this.key);
    }
    this.tell(!typed || isKept(this.key, typed) || this.saveAt(this.key, typed));
  }

  // Keep something as if another page had left it; its key, null where it could not be kept.
  putAside(values) {
    const key = values && this.prefix && `${this.prefix}${makePart()}`;
    return key && this.saveAt(key, values) ? key : null;
  }

  // Another page offers it instead of going on with it.
  putOwnAside() {
    const typed = this.read() ?? this.find();
    this.remove();
    return this.putAside(typed);
  }

  saveIfAwaited() {
    if (this.timer !== undefined) {
      this.save();
    }
  }

  remove() {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.removeAt(this.key);
  }

  // False where it is not kept: the browser lets nothing be, or its room is full.
  saveAt(key, values) {
    lastSaved = Math.max(Date.now(), lastSaved + 1); // of two that are kept at once, one is the newer
    const kept = JSON.stringify({ ...values, savedOn: lastSaved });
    const isIn = (store) => {
      try {
        store.setItem(key, kept);
        return true;
      } catch {
        store.removeItem(key); // what stood there is older, and would be taken for this
        return false;
      }
    };
    return Boolean(key) && stores().map(isIn).some(Boolean);
  }

  removeAt(key) {
    for (const store of key ? stores() : []) {
      store.removeItem(key);
    }
  }
}
