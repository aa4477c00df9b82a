/** A field for a package, which offers names and versions as one types (WAI-ARIA: combobox with a list). */
import { type IPackages, type ISuggestion, type ISuggestions, type IWhere, suggest } from '../src/completion';
import { make, makeId } from './dom';

/** Milliseconds of silence before somebody is asked. */
const PAUSE = 200;

export interface IFieldOptions {
  readonly label: string;
  readonly packages: IPackages | null;
  /** Where packages are looked for now. */
  readonly where: () => IWhere;
  /** What is wrong with what stands in it; null for nothing. */
  readonly check: (text: string) => string | null;
  /** Something whole was typed or chosen: with Enter, or by leaving a field that was changed. False if it was refused. */
  readonly onDone: (value: string) => boolean;
  /** Whether leaving it is enough. */
  readonly takesOnLeave: boolean;
}

export class Field {
  readonly node: HTMLElement;
  readonly input: HTMLInputElement;
  readonly said: HTMLElement;

  constructor(private readonly _options: IFieldOptions) {
    const id = makeId();
    this._list = make('ul', { id: `${id}-list`, role: 'listbox', class: 'suggestions', hidden: true });
    this.said = make('div', { id: `${id}-said`, class: 'composer-said', role: 'status' });
    this.input = make('input', {
      class: 'form-control form-control-sm code-input',
      'aria-describedby': `${id}-said`,
      spellcheck: 'false',
      autocomplete: 'off',
      autocapitalize: 'off',
      oninput: () => this._typed(),
      onchange: (event: Event) => event.stopPropagation(),
      onblur: () => this._left(),
      onkeydown: (event: KeyboardEvent) => this._pressed(event)
    });
    if (_options.packages) {
      const values = { role: 'combobox', 'aria-autocomplete': 'list', 'aria-expanded': 'false', 'aria-controls': this._list.id };
      Object.entries(values).forEach(([name, value]) => this.input.setAttribute(name, value));
    }
    this.node = make('div', { class: 'composer-field' }, this.input, ...(_options.packages ? [this._list] : []));
    this.name(_options.label);
  }

  name(words: string): void {
    this.input.setAttribute('aria-label', words);
    this._list.setAttribute('aria-label', words);
  }

  get value(): string {
    return this.input.value;
  }

  /** Show a text; one that somebody is typing stays. */
  set value(text: string) {
    if (text !== this._saved) {
      this._saved = this.input.value = text;
    }
    this._judge();
  }

  /** What stands in it is whole; false if it was refused. */
  take(): boolean {
    return this._done();
  }

  /** Show again what the text has. */
  reset(): void {
    this.input.value = this._saved;
    this._judge();
  }

  private _typed(): void {
    this._active = -1;
    this._judge();
    this._asking?.abort();
    clearTimeout(this._timer);
    if (this._options.packages && this.value.trim()) {
      this._timer = setTimeout(() => void this._ask(this._options.packages!), PAUSE);
    } else {
      this._offer([]);
    }
  }

  private async _ask(packages: IPackages): Promise<void> {
    const asking = (this._asking = new AbortController());
    const isOpen = () => !asking.signal.aborted && document.activeElement === this.input;
    try {
      const found = await suggest(packages, this.value, this._options.where(), asking.signal);
      if (isOpen()) {
        this._offer(found.items);
        this._say(sayFound(found, this.value));
      }
    } catch (error) {
      if (isOpen()) {
        this._offer([]);
        this._say(error instanceof Error ? error.message : String(error));
      }
    }
  }

  private _offer(items: readonly ISuggestion[]): void {
    this._items = items;
    this._active = -1;
    this._list.replaceChildren(
      ...items.map((one, index) =>
        make(
          'li',
          {
            id: `${this._list.id}-${index}`,
            role: 'option',
            'aria-selected': 'false',
            // Before the field loses the focus.
            onmousedown: (event: MouseEvent) => {
              event.preventDefault();
              this._take(one);
            }
          },
          make('strong', {}, one.label),
          ' ',
          make('span', { class: 'text-body-secondary' }, one.detail)
        )
      )
    );
    this._list.hidden = items.length === 0;
    if (this._options.packages) {
      this.input.setAttribute('aria-expanded', String(items.length > 0));
    }
    this.input.removeAttribute('aria-activedescendant');
  }

  private _go(step: number): void {
    const { length } = this._items;
    if (length === 0) {
      return;
    }
    const from = this._active < 0 && step < 0 ? length : this._active;
    this._active = (from + step + length) % length;
    [...this._list.children].forEach((one, index) => one.setAttribute('aria-selected', String(index === this._active)));
    const active = this._list.children[this._active]!;
    this.input.setAttribute('aria-activedescendant', active.id);
    active.scrollIntoView({ block: 'nearest' });
  }

  private _take(one: ISuggestion): void {
    this.input.value = one.value;
    this._offer([]);
    this._judge();
    if (one.isWhole) {
      this._done();
    }
  }

  private _done(): boolean {
    clearTimeout(this._timer);
    this._asking?.abort();
    this._offer([]);
    const value = this.value.trim();
    if (value === '') {
      this.reset(); // what is removed is removed by its button: the text has it still
    }
    return value === '' || value === this._saved || this._options.onDone(value);
  }

  private _left(): void {
    this._asking?.abort();
    clearTimeout(this._timer);
    this._offer([]);
    if (this._options.takesOnLeave) {
      this._done();
    }
    this._judge();
  }

  private _pressed(event: KeyboardEvent): void {
    if (event.altKey) {
      return; // moves what stands in it
    }
    if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
      this._go(event.key === 'ArrowDown' ? 1 : -1);
    } else if (event.key === 'Enter') {
      const chosen = this._items[this._active];
      chosen ? this._take(chosen) : this._done();
    } else if (event.key === 'Escape' && this._items.length > 0) {
      this._offer([]);
    } else if (event.key === 'Escape') {
      this.reset();
    } else {
      return;
    }
    event.preventDefault();
  }

  private _judge(): void {
    const fault = this.value.trim() ? this._options.check(this.value) : null;
    this.input.setAttribute('aria-invalid', String(fault !== null));
    this.input.classList.toggle('is-invalid', fault !== null);
    this.said.classList.toggle('text-danger-emphasis', fault !== null);
    this._say(fault ?? '');
  }

  /** What is wrong is said before what was found. */
  private _say(words: string): void {
    const fault = this.value.trim() ? this._options.check(this.value) : null;
    const said = fault ?? words;
    if (said !== this.said.textContent) {
      this.said.textContent = said;
    }
  }

  private readonly _list: HTMLUListElement;
  private _items: readonly ISuggestion[] = [];
  private _active = -1;
  private _saved = '';
  private _timer: ReturnType<typeof setTimeout> | undefined;
  private _asking: AbortController | null = null;
}

function sayFound({ items, problems }: ISuggestions, typed: string): string {
  const unread = problems.length ? ` Not read: ${problems.join(' ')}` : '';
  if (items.length === 0) {
    return /[=<>~!\s]/.test(typed.trim()) ? unread : `Nothing like that was found in the channels.${unread}`;
  }
  return `${items.length} suggestion${items.length === 1 ? '' : 's'}${unread}`;
}
