/** Channels and packages of a specification as lists: each change is made in its text, which stays as it was typed. */
import type { IPackages, IWhere } from '../src/completion';
import { checkDependency, checkPip } from '../src/constraints';
import { addEntry, moveEntry, putDependency, removeEntry, replaceEntry } from '../src/document';
import { type IOutline, isLockfile, type ListName, read } from '../src/reading';
import { label, make, makeButton, makeId } from './dom';
import { Field } from './field';
import { Rows } from './rows';

/** The document: what is typed on the page. */
export interface IDocument {
  text: string;
  readonly namespace: string;
}

interface ISection {
  readonly list: ListName;
  readonly title: string;
  readonly hint: string;
  readonly noun: string;
  readonly add: string;
  readonly check: (text: string) => string | null;
}

const SECTIONS: readonly ISection[] = [
  {
    list: 'channels',
    title: 'Channels',
    hint: 'The first has priority. None: those that are set for the namespace.',
    noun: 'channel',
    add: 'Add a channel',
    check: () => null
  },
  {
    list: 'dependencies',
    title: 'Packages',
    hint: 'Type to search the channels; “=” behind a name shows its versions.',
    noun: 'package',
    add: 'Add a package',
    check: checkDependency
  },
  {
    list: 'pip',
    title: 'Packages of pip',
    hint: 'Installed after the others: name[extra]>=version.',
    noun: 'package of pip',
    add: 'Add a package of pip',
    check: checkPip
  }
];
const LOCKED = 'This is a lock file: exactly what it lists is built, and there is nothing to compose.';
const UNREADABLE = 'The text has to be readable first: what is wrong stands below it.';
const REFUSED = 'That cannot be done here without changing something else: do it in the text.';

export class Composer {
  constructor(
    root: HTMLElement,
    private readonly _document: IDocument,
    private readonly _packages: IPackages
  ) {
    const sections = SECTIONS.map(section => this._makeSection(section));
    this._lists = make('div', {}, ...sections);
    root.replaceChildren(this._note, this._lists, this._said);
  }

  /** Show the text as it is now. */
  refresh(): void {
    const { text } = this._document;
    const isLock = isLockfile(text);
    const { outline } = isLock ? { outline: null } : read(text);
    this._lists.hidden = outline === null;
    this._tell(outline ? '' : isLock ? LOCKED : UNREADABLE);
    this._outline = outline;
    if (outline) {
      this._rows.forEach((rows, list) => rows.show(outline[list].map(entry => entry.text)));
    }
  }

  /** Take over what was typed and not added yet: who builds means it. False if some of it was refused, which is said. */
  takePending(): boolean {
    if (this._outline === null) {
      return true; // there is only the text
    }
    const refused = [...this._rows.values(), ...this._adders.values()].filter(one => !one.take());
    const isTaken = refused.length === 0 && !this._isRefused;
    this._isRefused = false;
    if (!isTaken) {
      this._tell(REFUSED);
      this._note.scrollIntoView({ block: 'nearest' });
    }
    return isTaken;
  }

  private _makeSection(section: ISection): HTMLElement {
    const { list, noun, title, hint } = section;
    const id = makeId();
    const field = {
      packages: list === 'dependencies' ? this._packages : null,
      where: () => this._where(),
      check: section.check
    };
    const rows = new Rows({
      list,
      noun,
      isOrdered: list === 'channels',
      field,
      onReplace: (index, value) => this._change(replaceEntry(this._document.text, list, index, value), `It is ${value} now.`),
      onRemove: index => this._remove(list, index),
      onMove: (from, to) => this._change(moveEntry(this._document.text, list, from, to), `It is ${noun} ${to + 1} now.`)
    });
    this._rows.set(list, rows);
    return make(
      'section',
      { 'aria-labelledby': id, class: 'mb-3' },
      make('h2', { id }, title),
      make('p', { class: 'form-text mt-0 mb-1' }, hint),
      rows.node,
      this._makeAdder(section, field)
    );
  }

  private _makeAdder(section: ISection, options: Pick<ConstructorParameters<typeof Field>[0], 'packages' | 'where' | 'check'>) {
    const { list, add } = section;
    const field: Field = new Field({ ...options, label: add, takesOnLeave: false, onDone: value => put(value) });
    const put = (value: string): boolean => {
      const { text } = this._document;
      const made = list === 'channels' ? addEntry(text, list, value) : putDependency(text, list, value);
      const isPut = this._change(made, `${value} is in the list.`);
      if (isPut) {
        field.input.value = '';
        field.value = '';
      }
      field.input.focus();
      return isPut;
    };
    field.input.placeholder = add;
    const button = makeButton('+', () => (field.value.trim() ? put(field.value.trim()) : field.input.focus()));
    label(button, add);
    this._adders.set(list, field);
    return make('div', { class: 'composer-row' }, field.node, button, field.said);
  }

  private _remove(list: ListName, index: number): void {
    const text = this._outline?.[list][index]?.text ?? '';
    if (this._change(removeEntry(this._document.text, list, index), `Removed ${text}.`)) {
      const rows = this._rows.get(list)!;
      rows.length > 0 ? rows.focus(index, false) : this._adders.get(list)!.input.focus();
    }
  }

  /** Put a changed text in place and say so; false if the change could not be made. */
  private _change(made: string | null, said: string): boolean {
    if (made !== null) {
      this._document.text = made;
    }
    this._isRefused = made === null;
    this.refresh();
    this._tell(made === null ? REFUSED : '');
    this._said.textContent = made === null ? '' : said;
    return made !== null;
  }

  private _tell(words: string): void {
    this._note.hidden = words === '';
    this._note.textContent = words;
  }

  private _where(): IWhere {
    const channels = this._outline?.channels.map(one => one.text) ?? [];
    return { namespace: this._document.namespace, channels: channels.filter(one => one !== 'nodefaults') };
  }

  private readonly _note = make('p', { class: 'alert alert-info', role: 'status', hidden: true });
  private readonly _said = make('div', { class: 'visually-hidden', role: 'status' });
  private readonly _lists: HTMLElement;
  private readonly _rows = new Map<ListName, Rows>();
  private readonly _adders = new Map<ListName, Field>();
  private _outline: IOutline | null = null;
  /** What somebody left by pressing the button that sends it would be said too late. */
  private _isRefused = false;
}
