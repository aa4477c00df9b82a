/** When the service is asked: while somebody watches, and again when something is pushed or goes on. */
import { DisposableDelegate, type IDisposable } from '@lumino/disposable';
import { Poll } from '@lumino/polling';

/** Milliseconds in which several pushes are taken for one. */
const GATHER = 150;

export interface IFreshnessOptions {
  /** Ask for everything that is shown. */
  readonly ask: () => Promise<void>;
  /** Whether something goes on that nobody pushes. */
  readonly goesOn: () => boolean;
  /** What else is shown may be other than it was. */
  readonly onNews: () => void;
}

export class Freshness implements IDisposable {
  constructor(private readonly _options: IFreshnessOptions) {
    this._poll = new Poll({
      auto: false,
      factory: () => this._look(),
      frequency: { interval: Poll.NEVER, backoff: false },
      name: 'conda-store-hub:environments',
      standby: 'when-hidden'
    });
  }

  get isWatched(): boolean {
    return this._watchers > 0;
  }

  get isDisposed(): boolean {
    return this._poll.isDisposed;
  }

  dispose(): void {
    this._poll.dispose();
    clearTimeout(this._gathering);
  }

  /** Keep what is shown fresh until the returned handle is disposed of; `waits`: whether more is to come by itself. */
  watch(waits: () => boolean): IDisposable {
    this._watchers += 1;
    const waiting = () => waits(); // of its own, also where two bring the same
    this._waiting.add(waiting);
    if (this._watchers === 1) {
      void this._poll.start();
      if (this._isStale) {
        void this.refresh();
      }
    }
    return new DisposableDelegate(() => {
      this._watchers -= 1;
      this._waiting.delete(waiting);
      if (this._watchers === 0) {
        void this._poll.stop();
        // What is not watched is not kept fresh: whoever looks next sees it asked for again.
        this._isStale = true;
      }
    });
  }

  /** Ask; while that goes on, whoever asks for the same gets the same. */
  refresh(): Promise<void> {
    if (this._refreshing === null) {
      this._isStale = false;
      this._refreshing = this._options.ask().finally(() => {
        this._refreshing = null;
      });
    }
    return this._refreshing;
  }

  /** Whoever watches next sees it asked for again. */
  noteStale(): void {
    this._isStale = true;
  }

  /** Something was pushed; it is asked about once for several. */
  notePush(): void {
    this._isStale = true;
    if (!this.isWatched || this._gathering !== undefined) {
      return;
    }
    this._gathering = setTimeout(() => {
      this._gathering = undefined;
      if (this.isWatched) {
        this._options.onNews();
        void (this._refreshing ?? Promise.resolve()).then(() => this.refresh());
      }
    }, GATHER);
  }

  /** Look every so many seconds at what goes on; 0 is never. */
  setSeconds(seconds: number): void {
    const interval = seconds > 0 ? 1000 * seconds : Poll.NEVER;
    this._poll.frequency = { backoff: false, interval, max: Math.max(interval, Poll.NEVER) };
  }

  private async _look(): Promise<void> {
    const waits = [...this._waiting].some(one => one());
    if (this.isWatched && (waits || this._options.goesOn())) {
      await this.refresh();
      this._options.onNews();
    }
  }

  private readonly _poll: Poll;
  private _isStale = true;
  private _watchers = 0;
  private readonly _waiting = new Set<() => boolean>();
  private _gathering: ReturnType<typeof setTimeout> | undefined;
  private _refreshing: Promise<void> | null = null;
}
