/** Which build of its environment each kernel runs in: as the server tells, or as this page has seen it start. */
import type { IStateDB } from '@jupyterlab/statedb';
import { type ISignal, Signal } from '@lumino/signaling';
import { pinOf } from './kernels';
import type { IApi, IEnvironmentArgs, IEnvironments } from './tokens';

/** Where it is kept in the state database, so that it is known after the page was loaded again. */
const PLACE = 'conda-store-hub-kernels:builds';
/** Of how many kernels; the last that started. */
const MOST = 200;

/** A kernel as Jupyter knows it. */
export interface IKernel {
  readonly id: string;
  readonly name: string;
}

export interface IRunning extends IEnvironmentArgs {
  /** The build that the kernel runs in. */
  readonly buildId: number;
  /** The build that it would restart into: another one, or null. */
  readonly next: number | null;
  /** Whether it stays in its build, whatever becomes active. */
  readonly pinned: boolean;
}

export class RunningBuilds {
  readonly changed: ISignal<this, void>;

  constructor(
    private readonly _model: Pick<IEnvironments, 'findByKernel'> & { readonly api: Pick<IApi, 'running'> },
    private readonly _database: Pick<IStateDB, 'fetch' | 'save'> | null
  ) {
    this.changed = this._changed = new Signal(this);
  }

  /** Take up what was known before the page was loaded; what was seen since counts more. */
  async load(): Promise<void> {
    const kept: unknown = await this._database?.fetch(PLACE).catch(() => null);
    for (const [id, build] of Object.entries(kept ?? {})) {
      if (typeof build === 'number' && !this._started.has(id)) {
        this._builds.set(id, build);
      }
    }
    this._changed.emit();
  }

  /** Ask the server, which knows all of its kernels; whoever asks while it is asked gets the same. */
  refresh(): Promise<void> {
    this._asking ??= this._ask().finally(() => {
      this._asking = null;
    });
    return this._asking;
  }

  /** What is known of a kernel; null for one that is of no environment. */
  find(kernel: IKernel): IRunning | null {
    const active = this._model.findByKernel(kernel.name);
    if (!active) {
      return null;
    }
    // Of one that has run before this page came, it is taken that it runs in what is active.
    const buildId = this._builds.get(kernel.id) ?? active.buildId;
    if (!this._builds.has(kernel.id)) {
      this._builds.set(kernel.id, buildId);
      this._keep();
    }
    const pinned = pinOf(kernel.name) !== null;
    return { ...active, buildId, next: buildId === active.buildId ? null : active.buildId, pinned };
  }

  /** A kernel has started, or started again: it runs in what is active now. */
  noteStart(kernel: IKernel): void {
    const active = this._model.findByKernel(kernel.name);
    if (active) {
      this._builds.delete(kernel.id); // to stand last
      this._builds.set(kernel.id, active.buildId);
      this._started.add(kernel.id);
      this._keep();
      this._changed.emit();
    }
  }

  private async _ask(): Promise<void> {
    try {
      for (const one of (await this._model.api.running()) ?? []) {
        this._builds.set(one.kernel_id, one.build_id);
        this._started.add(one.kernel_id);
      }
    } catch {
      return; // what was seen has to do
    }
    this._keep();
    this._changed.emit();
  }

  private _keep(): void {
    const kept = Object.fromEntries([...this._builds].slice(-MOST));
    this._database?.save(PLACE, kept).catch(() => undefined);
  }

  private readonly _changed: Signal<this, void>;
  private readonly _builds = new Map<string, number>();
  private readonly _started = new Set<string>();
  private _asking: Promise<void> | null = null;
}
