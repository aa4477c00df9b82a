/** A build's log as it grows: the last of it, where the build is, and how far. */
import type { IDisposable } from '@lumino/disposable';
import { type ISignal, Signal } from '@lumino/signaling';
import type { BuildStatus, IApi, LogEvent } from './tokens';

/** What is kept of a log; all of it can be downloaded. */
const MOST = 400_000;

export interface IProgress {
  readonly phase: string;
  readonly done: number;
  readonly total: number;
  readonly unit: string;
}

export class LogModel implements IDisposable {
  readonly changed: ISignal<this, void>;
  /** The build is in another phase, or has ended: what else is shown of it is old. */
  readonly turned: ISignal<this, void>;

  constructor(
    private readonly _api: IApi,
    readonly buildId: number
  ) {
    this.changed = this._changed = new Signal(this);
    this.turned = this._turned = new Signal(this);
  }

  text = '';
  /** Whether the beginning was left out. */
  isCut = false;
  status: BuildStatus | null = null;
  progress: IProgress | null = null;
  isComplete = false;
  problem: Error | null = null;

  get isDisposed(): boolean {
    return this._stop.signal.aborted;
  }

  dispose(): void {
    this._stop.abort();
    Signal.clearData(this);
  }

  async follow(): Promise<void> {
    try {
      for await (const event of this._api.followLog(this.buildId, 0, this._stop.signal)) {
        this._take(event);
        this._changed.emit();
      }
    } catch (error) {
      if (!this.isDisposed) {
        this.problem = error as Error;
        this._changed.emit();
      }
    }
  }

  private _take(event: LogEvent): void {
    switch (event.kind) {
      case 'log': {
        const text = this.text + event.text;
        this.isCut ||= text.length > MOST;
        this.text = text.length > MOST ? cutStart(text) : text;
        break;
      }
      case 'state': {
        const isOther = this.status !== event.status;
        this.status = event.status;
        if (isOther) {
          this._turned.emit();
        }
        break;
      }
      case 'progress': {
        const isOther = this.progress?.phase !== event.phase;
        this.progress = event;
        if (isOther) {
          this._turned.emit();
        }
        break;
      }
      case 'end':
        this.isComplete = true;
        this._turned.emit();
        break;
    }
  }

  private readonly _changed: Signal<this, void>;
  private readonly _turned: Signal<this, void>;
  private readonly _stop = new AbortController();
}

/** The end of a text, from the beginning of a line, unless what is left is a single one. */
function cutStart(text: string): string {
  const start = text.length - MOST;
  const line = text.indexOf('\n', start) + 1;
  return text.slice(line > 0 && line < text.length ? line : start);
}
