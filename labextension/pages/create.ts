/** The form for a specification, with its text as lists beside it: both are one document, and that is the text. */
import { setName } from '../src/document';
import { isLockfile, read } from '../src/reading';
import { Composer, type IDocument } from './composer';
import { History } from './history';
import { Packages } from './service';

/** Milliseconds of silence after which what was typed is read. */
const PAUSE = 150;

const text = document.getElementById('specification') as HTMLTextAreaElement;
const place = document.getElementById('namespace') as HTMLInputElement | HTMLSelectElement;
const name = document.getElementById('name') as HTMLInputElement | null;
const root = document.getElementById('composer')!;

const page: IDocument = {
  get text() {
    return text.value;
  },
  set text(made: string) {
    change(made);
  },
  get namespace() {
    return place.value;
  }
};
const composer = new Composer(root, page, new Packages(root.dataset.prefix!));
const history = new History(text, made => {
  put(made);
  composer.refresh();
});
let timer: ReturnType<typeof setTimeout> | undefined;
let isPutting = false;

/** Change the text so that it can be undone. */
function change(made: string): void {
  history.note(made);
  put(made);
}

/** Change the text as if it was typed, so that it is kept and looked at. */
function put(made: string): void {
  isPutting = true;
  const { scrollTop } = text;
  text.value = made;
  text.scrollTop = scrollTop;
  text.dispatchEvent(new Event('input', { bubbles: true }));
  isPutting = false;
  look();
}

/** Say what is wrong with the text, and show its name where a name is typed. */
function look(): void {
  const isLock = isLockfile(text.value);
  const { outline, fault } = isLock ? { outline: null, fault: null } : read(text.value);
  text.dispatchEvent(new CustomEvent('csh:fault', { bubbles: true, detail: fault }));
  if (name && outline?.name && document.activeElement !== name) {
    name.value = outline.name;
  }
}

text.addEventListener('input', () => {
  if (!isPutting) {
    clearTimeout(timer);
    timer = setTimeout(settle, PAUSE);
  }
});

/** Read what was typed. */
function settle(): void {
  clearTimeout(timer);
  timer = undefined;
  history.mark();
  composer.refresh();
  look();
}

// Who keeps what stands in the form keeps the name that belongs to it.
text.addEventListener('csh:settle', () => {
  if (timer !== undefined) {
    settle();
  }
});

// A name that is typed beside the text is written into it; a lock file has no place for one.
name?.addEventListener('input', () => {
  const { outline } = isLockfile(text.value) ? { outline: null } : read(text.value);
  const made = outline && name.value.trim() ? setName(text.value, name.value.trim()) : null;
  if (made !== null && made !== text.value) {
    change(made);
  }
});

// Before it is sent: what was typed a moment ago counts. What is refused is said, and nothing is built without it.
text.form?.addEventListener(
  'submit',
  event => {
    clearTimeout(timer);
    timer = undefined;
    composer.refresh();
    const isTaken = composer.takePending();
    look();
    if (!isTaken) {
      event.preventDefault();
      event.stopImmediatePropagation();
    }
  },
  { capture: true }
);

composer.refresh();
if (document.querySelector('#error[data-line]') === null) {
  look();
}
