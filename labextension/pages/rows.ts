/** The entries of one list of a specification, each a field; in a list with an order, they can be moved. */
import type { ListName } from '../src/reading';
import { label, make, makeButton } from './dom';
import { Field, type IFieldOptions } from './field';

export interface IRowsOptions {
  readonly list: ListName;
  /** What an entry is called: “channel”, “package”. */
  readonly noun: string;
  readonly isOrdered: boolean;
  readonly field: Omit<IFieldOptions, 'onDone' | 'label' | 'takesOnLeave'>;
  /** False if it was refused. */
  readonly onReplace: (index: number, value: string) => boolean;
  readonly onRemove: (index: number) => void;
  readonly onMove: (from: number, to: number) => void;
}

/** What one row has that can be moved. */
interface IRow {
  readonly node: HTMLLIElement;
  readonly field: Field;
  readonly grip: HTMLElement;
  readonly up: HTMLButtonElement;
  readonly down: HTMLButtonElement;
  readonly remove: HTMLButtonElement;
}

export class Rows {
  readonly node: HTMLElement;

  constructor(private readonly _options: IRowsOptions) {
    this.node = make(_options.isOrdered ? 'ol' : 'ul');
  }

  get length(): number {
    return this._rows.length;
  }

  /** Show these entries. Rows stay where they are, so that the focus and what is being typed do. */
  show(entries: readonly string[]): void {
    while (this._rows.length > entries.length) {
      this._rows.pop()!.node.remove();
    }
    while (this._rows.length < entries.length) {
      const row = this._makeRow(this._rows.length);
      this._rows.push(row);
      this.node.append(row.node);
    }
    entries.forEach((text, index) => this._update(this._rows[index]!, text, index, entries.length));
  }

  /** Take over what was typed; false if something was refused. */
  take(): boolean {
    return [...this._rows].map(row => row.field.take()).every(Boolean);
  }

  /** Put the focus on an entry: on what moves it, or on its field. */
  focus(index: number, onGrip: boolean): void {
    const row = this._rows[Math.min(index, this._rows.length - 1)];
    (onGrip ? row?.grip : row?.remove)?.focus();
  }

  private _makeRow(index: number): IRow {
    const { list, field: options, onReplace, onRemove } = this._options;
    const put = (value: string): boolean => {
      const isPut = onReplace(index, value);
      if (!isPut) {
        field.reset();
      }
      return isPut;
    };
    const field: Field = new Field({ ...options, label: list, takesOnLeave: true, onDone: put });
    const grip = make('span', { class: 'grip text-body-secondary', tabindex: '0', role: 'button', 'aria-pressed': 'false' }, '⠿');
    const up = makeButton('↑', () => this._move(index, index - 1));
    const down = makeButton('↓', () => this._move(index, index + 1));
    const remove = makeButton('×', () => onRemove(index));
    const parts = this._options.isOrdered ? [grip, field.node, up, down, remove] : [field.node, remove];
    const row = { node: make('li', { class: 'composer-row' }, ...parts, field.said), field, grip, up, down, remove };
    if (this._options.isOrdered) {
      this._makeMovable(row, index);
    }
    return row;
  }

  private _update(row: IRow, text: string, index: number, count: number): void {
    const { noun } = this._options;
    row.field.name(`${noun} ${index + 1} of ${count}`);
    row.field.value = text;
    label(row.remove, `Remove ${text}`);
    label(row.up, `Move ${text} up`);
    label(row.down, `Move ${text} down`);
    label(row.grip, `Move ${text}, ${noun} ${index + 1} of ${count}: Enter, then the arrow keys`);
    row.up.disabled = index === 0;
    row.down.disabled = index === count - 1;
  }

  private _move(from: number, to: number): void {
    if (to >= 0 && to < this.length && to !== from) {
      const isHeld = this._isHeld;
      this._options.onMove(from, to);
      this.focus(to, true);
      this._hold(this._rows[Math.min(to, this.length - 1)]!.grip, isHeld);
    }
  }

  /** Pick an entry up by its grip, so that the arrow keys move it, or put it down. */
  private _hold(grip: HTMLElement, isHeld: boolean): void {
    this._isHeld = isHeld;
    grip.setAttribute('aria-pressed', String(isHeld));
  }

  private _makeMovable({ node, grip }: IRow, index: number): void {
    node.addEventListener('keydown', event => {
      const isMoving = event.altKey || (this._isHeld && event.target === grip);
      const step = isMoving ? { ArrowUp: -1, ArrowDown: 1 }[event.key] : undefined;
      if (step) {
        event.preventDefault();
        this._move(index, index + step);
      }
    });
    grip.addEventListener('keydown', event => {
      if (event.key === 'Enter' || event.key === ' ' || (event.key === 'Escape' && this._isHeld)) {
        event.preventDefault();
        this._hold(grip, !this._isHeld);
      }
    });
    grip.addEventListener('blur', () => this._hold(grip, false));
    // Only by the grip: text in the field can be selected.
    grip.draggable = true;
    grip.addEventListener('dragstart', event => {
      event.dataTransfer?.setData('text/plain', String(index));
      event.dataTransfer?.setDragImage(node, 0, 0);
      this._dragged = index;
    });
    grip.addEventListener('dragend', () => this._end());
    node.addEventListener('dragover', event => {
      if (this._dragged !== null) {
        event.preventDefault();
        this._rows.forEach(row => row.node.classList.toggle('over', row.node === node && this._dragged !== index));
      }
    });
    node.addEventListener('drop', event => {
      const from = this._dragged;
      if (from !== null) {
        event.preventDefault();
        event.stopPropagation();
        this._end();
        this._move(from, index);
      }
    });
  }

  private _end(): void {
    this._dragged = null;
    this._rows.forEach(row => row.node.classList.remove('over'));
  }

  private readonly _rows: IRow[] = [];
  private _dragged: number | null = null;
  private _isHeld = false;
}
