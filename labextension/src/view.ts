/** One environment in full, with its builds: what a page of it shows, asked for while that is shown. */
import type { IDisposable } from '@lumino/disposable';
import { type ISignal, Signal } from '@lumino/signaling';
import { ApiError } from './api';
import { listDownloads } from './downloads';
import {
  type Build,
  type BuildSummary,
  COMMANDS,
  type Environment,
  type IEnvironmentArgs,
  type IEnvironments,
  type IPage,
  isActive,
  type PackageDiff
} from './tokens';

const BUILDS = 20;

/** What is shown below the table of builds. */
export type Detail =
  | { readonly kind: 'build'; readonly buildId: number; readonly build: Build | null }
  | { readonly kind: 'diff'; readonly buildId: number; readonly other: number; readonly diff: PackageDiff | null };

export class EnvironmentView implements IDisposable {
  readonly changed: ISignal<this, void>;

  constructor(
    readonly model: IEnvironments,
    readonly target: IEnvironmentArgs
  ) {
    this.changed = this._changed = new Signal(this);
    model.news.connect(this._onNews, this);
  }

  environment: Environment | null = null;
  builds: readonly BuildSummary[] = [];
  count = 0;
  detail: Detail | null = null;
  /** Why the last request failed, in words. */
  problem: Error | null = null;
  isGone = false;

  get isDisposed(): boolean {
    return this._isDisposed;
  }

  dispose(): void {
    if (!this._isDisposed) {
      this._isDisposed = true;
      this.hide();
      Signal.clearData(this);
    }
  }

  /** Be fresh until `hide`. */
  show(): void {
    if (!this._watching) {
      this._watching = this.model.watch(() => this.isWaiting);
      void this.refresh();
    }
  }

  hide(): void {
    this._watching?.dispose();
    this._watching = null;
  }

  /** Whether files of the active build are being made, which nobody pushes. */
  get isWaiting(): boolean {
    const build = this.environment?.current_build;
    return build != null && listDownloads(build).some(one => one.state === 'pending');
  }

  async refresh(): Promise<void> {
    const { namespace, name } = this.target;
    await this._ask(async api => {
      const environment = await this._findEnvironment(api, namespace, name);
      const { items, count } = await listBuilds(api, environment.id, Math.max(BUILDS, this.builds.length));
      this.environment = environment;
      this.builds = items;
      this.count = count;
      const { detail } = this;
      if (detail?.kind === 'build') {
        await this._loadBuild(detail.buildId);
      }
    });
  }

  async more(): Promise<void> {
    const [environment, last] = [this.environment, this.builds[this.builds.length - 1]];
    if (environment && last) {
      await this._ask(async api => {
        const { items } = await api.builds({ environmentId: environment.id, after: last.id, size: BUILDS });
        this.builds = [...this.builds, ...items];
      });
    }
  }

  /** Show a build below the table, with its log. */
  async openBuild(buildId: number): Promise<void> {
    this.detail = { kind: 'build', buildId, build: null };
    this._changed.emit();
    await this._ask(() => this._loadBuild(buildId));
  }

  /** Show what changed from one build to another. */
  async openDiff(buildId: number, other: number): Promise<void> {
    this.detail = { kind: 'diff', buildId, other, diff: null };
    this._changed.emit();
    await this._ask(async api => {
      const diff = await api.diff(buildId, other);
      this.detail = { kind: 'diff', buildId, other, diff };
    });
  }

  closeDetail(): void {
    this.detail = null;
    this._changed.emit();
  }

  /** The commands that make sense for a build and that one may use. */
  offers(build: BuildSummary): readonly string[] {
    const { namespace, name } = this.target;
    const may = (permission: Parameters<IEnvironments['may']>[0]) => this.model.may(permission, namespace, name);
    const isKept = build.status === 'COMPLETED' && !build.deleted_on;
    const offered: [string, boolean][] = [
      [COMMANDS.activateBuild, isKept && !build.active && may('environment::update')],
      [COMMANDS.togglePin, isKept && may('environment::update')],
      [COMMANDS.cancelBuild, isActive(build.status) && may('build::cancel')],
      [COMMANDS.deleteBuild, isKept && !build.active && may('build::delete')]
    ];
    return offered.flatMap(([id, isOffered]) => (isOffered ? [id] : []));
  }

  /** It alone tells whether there is one: what is opened of a build may be gone by itself. */
  private async _findEnvironment(api: IEnvironments['api'], namespace: string, name: string): Promise<Environment> {
    try {
      const found = await api.environment(namespace, name);
      this.isGone = false;
      return found;
    } catch (error) {
      this.isGone = error instanceof ApiError && error.status === 404;
      throw error;
    }
  }

  private async _loadBuild(buildId: number): Promise<void> {
    const build = await this.model.api.build(buildId);
    if (this.detail?.kind === 'build' && this.detail.buildId === buildId) {
      this.detail = { kind: 'build', buildId, build };
    }
  }

  private async _ask(ask: (api: IEnvironments['api']) => Promise<void>): Promise<void> {
    try {
      await ask(this.model.api);
      this.problem = null;
    } catch (error) {
      this.problem = error as Error;
    }
    if (!this._isDisposed) {
      this._changed.emit();
    }
  }

  private _onNews(): void {
    if (this._watching) {
      void this.refresh();
    }
  }

  private readonly _changed: Signal<this, void>;
  private _watching: IDisposable | null = null;
  private _isDisposed = false;
}

/** The newest builds of an environment, so many: the service gives a hundred at once. */
async function listBuilds(api: IEnvironments['api'], environmentId: number, most: number): Promise<IPage<BuildSummary>> {
  const { items, count } = await api.builds({ environmentId, page: 1, size: most });
  const found = [...items];
  while (found.length > 0 && found.length < Math.min(most, count)) {
    const { id } = found[found.length - 1]!;
    const next = await api.builds({ environmentId, after: id, size: most - found.length });
    if (next.items.length === 0) {
      break;
    }
    found.push(...next.items);
  }
  return { items: found, count };
}
