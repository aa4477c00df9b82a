/** Undoes what lists have changed in a text: a browser forgets what was typed into a field once a script changes it. */
import { difference, splice } from '../src/splices';

/** Of steps back. */
const MOST = 200;

interface IStep {
  readonly start: number;
  readonly removed: string;
  readonly added: string;
}

export class History {
  /** `put` changes the text as if it was typed. */
  constructor(
    private readonly _text: HTMLTextAreaElement,
    private readonly _put: (made: string) => void
  ) {
    this._known = this._last = _text.value;
    _text.addEventListener('keydown', event => this._pressed(event));
  }

  /** Somebody has typed, and paused: a step, once the browser has forgotten it. */
  mark(): void {
    this._go(this._typed, this._text.value);
  }

  /** Keep the way back from a change that a script makes, and from what was typed before it. */
  note(made: string): void {
    this.mark();
    this._done.push(...this._typed);
    this._go(this._done, made);
    this._begin(made);
    this._undone.length = 0;
  }

  private _go(steps: IStep[], after: string): void {
    if (this._last !== after) {
      const { start, end, text } = difference(this._last, after);
      steps.push({ start, removed: this._last.slice(start, end), added: text });
      steps.splice(0, steps.length - MOST);
      this._last = after;
    }
  }

  private _begin(known: string): void {
    this._known = this._last = known;
    this._typed.length = 0;
  }

  /** What was typed since is the browser's to undo: until it has come back to what a script has put there. */
  private _pressed(event: KeyboardEvent): void {
    const key = event.key.toLowerCase();
    const isAsked = (event.ctrlKey || event.metaKey) && !event.altKey && (key === 'z' || key === 'y');
    if (!isAsked || this._text.value !== this._known) {
      return;
    }
    const isRedo = key === 'y' || event.shiftKey;
    const step = (isRedo ? this._undone : this._done).pop();
    if (step !== undefined) {
      event.preventDefault();
      (isRedo ? this._done : this._undone).push(step);
      this._take(isRedo ? step : { ...step, removed: step.added, added: step.removed });
    }
  }

  private _take({ start, removed, added }: IStep): void {
    this._begin(splice(this._known, start, start + removed.length, added));
    this._put(this._known);
    this._text.setSelectionRange(start + added.length, start + added.length);
  }

  /** What a script has put there last, and what was there at the last pause. */
  private _known: string;
  private _last: string;
  private readonly _typed: IStep[] = [];
  private readonly _done: IStep[] = [];
  private readonly _undone: IStep[] = [];
}
