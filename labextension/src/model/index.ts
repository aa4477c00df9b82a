/** What the page knows of environments: asked for while somebody looks, and told by the server's events. */
import type { Event } from '@jupyterlab/services';
import type { IDisposable } from '@lumino/disposable';
import { type ISignal, Signal } from '@lumino/signaling';
import { ApiError } from '../api';
import {
  type BuildStatus,
  type Environment,
  EVENTS,
  fullName,
  type IApi,
  type IBuildNews,
  type IEnvironmentArgs,
  type IEnvironmentKernel,
  type IEnvironments,
  type IFound,
  type IMakingNews,
  type INamespaceList,
  isActive,
  type Permission,
  type PermissionSummary,
  type Standing
} from '../tokens';
import { BegunBuilds, type TabStorage } from './begun';
import { Facts } from './facts';
import { Favourites } from './favourites';
import { Freshness } from './freshness';
import { type IKernelSources, KernelIndex } from './kernels';
import { NamespaceLists } from './lists';
import { Makings } from './makings';
import { isAllowed, listWritable } from './rights';
import { EnvironmentSearch } from './search';

export interface IModelOptions extends IKernelSources {
  readonly api: IApi;
  /** The server's events. */
  readonly events: ISignal<unknown, Event.Emission>;
  /** What one's own namespace is probably called: asked for at once, before the service has said so. */
  readonly probablyOwn?: string;
  /** What is kept of this page when it is loaded again. */
  readonly tab?: TabStorage | null;
  /** Seconds between two looks at builds that go on, while somebody watches; 0 is never. */
  readonly refreshSeconds?: number;
}

export class EnvironmentsModel implements IEnvironments {
  readonly api: IApi;
  readonly makings: Makings;
  readonly changed: ISignal<this, void>;
  readonly buildChanged: ISignal<this, IBuildNews>;
  readonly news: ISignal<this, void>;

  constructor(private readonly _options: IModelOptions) {
    this.api = _options.api;
    this.makings = new Makings(this.api);
    this.changed = this._changed = new Signal(this);
    this.buildChanged = this._buildChanged = new Signal(this);
    this.news = this._news = new Signal(this);
    const emit = () => this._changed.emit();
    this._lists = new NamespaceLists(this.api, _options.probablyOwn, emit);
    this._search = new EnvironmentSearch(this.api, emit);
    this._favourites = new Favourites(this.api, emit);
    this._facts = new Facts(this.api, emit);
    this._kernels = new KernelIndex(_options);
    this._begun = new BegunBuilds(_options.tab ?? null);
    this.api.begun.connect((_, buildId) => this._begun.note(buildId), this);
    _options.events.connect(this._onEvent, this);
    _options.kernelspecs.specsChanged.connect(this._onKernels, this);
    _options.kernels.runningChanged.connect(this._onKernels, this);
    this._freshness = new Freshness({
      ask: () => this._guard(() => this._ask()),
      // Whether the service is back is something that nobody pushes, too.
      goesOn: () => this._standing === 'unavailable' || this._shown().some(one => isActive(one.latest_status)),
      onNews: () => this._news.emit()
    });
    this.setRefreshSeconds(_options.refreshSeconds ?? 10);
  }

  get isDisposed(): boolean {
    return this._isDisposed;
  }

  dispose(): void {
    if (this._isDisposed) {
      return;
    }
    this._isDisposed = true;
    this._freshness.dispose();
    this._search.stop();
    this.makings.dispose();
    Signal.clearData(this);
  }

  get standing(): Standing {
    return this._standing;
  }

  get problem(): Error | null {
    return this._problem;
  }

  get permissions(): PermissionSummary | null {
    return this._permissions;
  }

  get namespaces(): readonly INamespaceList[] {
    return this._lists.all;
  }

  get search(): IFound | null {
    return this._search.found;
  }

  get favourites(): readonly Environment[] {
    return this._favourites.all;
  }

  get selected(): IEnvironmentArgs | null {
    return this._selected;
  }

  select(environment: IEnvironmentArgs | null): void {
    const { namespace, name } = environment ?? {};
    if (namespace === this._selected?.namespace && name === this._selected?.name) {
      return;
    }
    this._selected = namespace === undefined || name === undefined ? null : { namespace, name };
    this._changed.emit();
  }

  known(environment: IEnvironmentArgs): Environment | null {
    const name = `${environment.namespace}/${environment.name}`;
    return this._shown().find(one => fullName(one) === name) ?? null;
  }

  position(environment: Environment): number | null {
    return this._facts.position(environment);
  }

  watch(waits: () => boolean = () => false): IDisposable {
    return this._freshness.watch(waits);
  }

  refresh(): Promise<void> {
    return this._freshness.refresh();
  }

  async load(namespace: string): Promise<void> {
    const list = this._lists.find(namespace);
    if (list && !list.isLoading) {
      await this._guard(() => this._lists.loadMore(list));
    }
  }

  async find(text: string): Promise<void> {
    if (this._search.begin(text)) {
      await this._guard(() => this._search.load(1));
    }
  }

  async findMore(): Promise<void> {
    const page = this._search.beginMore();
    if (page !== null) {
      await this._guard(() => this._search.load(page));
    }
  }

  isFavourite(environment: IEnvironmentArgs): boolean {
    return this._favourites.has(environment);
  }

  setFavourites(names: readonly string[]): void {
    if (!this._favourites.set(names)) {
      return;
    }
    if (this._freshness.isWatched) {
      void this._guard(() => this._favourites.load());
    } else {
      this._freshness.noteStale();
    }
  }

  /** Look every so many seconds at builds that go on, and whether the service is back; 0 is never. */
  setRefreshSeconds(seconds: number): void {
    this._freshness.setSeconds(seconds);
  }

  may(permission: Permission, namespace: string, name?: string): boolean {
    return isAllowed(this._permissions, permission, namespace, name);
  }

  get writableNamespaces(): readonly string[] {
    return listWritable(this._permissions, this._lists.all.map(one => one.namespace.name));
  }

  size(namespace: string): number | null {
    return this._facts.size(namespace);
  }

  get knowsKernels(): boolean {
    return this._kernels.isThere;
  }

  kernels(environment: IEnvironmentArgs): readonly IEnvironmentKernel[] {
    return this._kernels.offered(environment);
  }

  countRunning(environment: IEnvironmentArgs): number {
    return this._kernels.countRunning(environment);
  }

  findByKernel(kernelName: string): (IEnvironmentArgs & { readonly buildId: number }) | null {
    return this._kernels.find(kernelName);
  }

  // What is asked for

  private async _ask(): Promise<void> {
    const guess = this._lists.guess();
    const [permissions, namespaces] = await Promise.all([this.api.permissions(), this._lists.listNamespaces()]);
    this._permissions = permissions;
    const wanted = this._lists.take(permissions, namespaces, await guess);
    this._changed.emit();
    const lists = wanted.map(one => this._lists.reload(one));
    await Promise.all([...lists, this._favourites.load(), this._search.load(1)]);
    await this._facts.load(this._shown());
  }

  private _shown(): Environment[] {
    const found = this._search.found?.environments ?? [];
    return [...this._lists.all.flatMap(one => one.environments), ...this._favourites.all, ...found];
  }

  /** Do what asks the service, and note how it stands by what comes of it. */
  private async _guard(ask: () => Promise<void>): Promise<void> {
    try {
      await ask();
      this._note('ready', null);
    } catch (error) {
      if (this._isDisposed || (error instanceof Error && error.name === 'AbortError')) {
        return;
      }
      this._freshness.noteStale();
      const isOutage = error instanceof ApiError && error.isOutage;
      this._note(isOutage ? 'unavailable' : 'refused', error instanceof Error ? error : new Error(String(error)));
    }
  }

  private _note(standing: Standing, problem: Error | null): void {
    if (this._isDisposed) {
      return;
    }
    this._standing = standing;
    this._problem = problem;
    this._changed.emit();
  }

  // What is told

  private _onEvent(_: unknown, event: Event.Emission): void {
    switch (event.schema_id) {
      case EVENTS.kernels:
        // The picker's own poll comes once a minute.
        void this._options.kernelspecs.refreshSpecs();
        break;
      case EVENTS.environments:
        this._tellOfBuild(event['build_id'], event['status']);
        break;
      case EVENTS.making:
        this.makings.tell(event as unknown as IMakingNews);
        return;
      default:
        return;
    }
    this._freshness.notePush();
  }

  /** Every page hears of every build: who shows nothing and has not begun it has nothing to ask about it. */
  private _tellOfBuild(buildId: unknown, status: unknown): void {
    if (status && typeof buildId === 'number' && (this._freshness.isWatched || this._begun.has(buildId))) {
      this._buildChanged.emit({ buildId, status: status as BuildStatus });
    }
  }

  private _onKernels(): void {
    this._kernels.forget();
    this._changed.emit();
  }

  private readonly _changed: Signal<this, void>;
  private readonly _buildChanged: Signal<this, IBuildNews>;
  private readonly _news: Signal<this, void>;
  private readonly _freshness: Freshness;
  private readonly _begun: BegunBuilds;
  private readonly _lists: NamespaceLists;
  private readonly _search: EnvironmentSearch;
  private readonly _favourites: Favourites;
  private readonly _facts: Facts;
  private readonly _kernels: KernelIndex;
  private _isDisposed = false;
  private _standing: Standing = 'unknown';
  private _problem: Error | null = null;
  private _permissions: PermissionSummary | null = null;
  private _selected: IEnvironmentArgs | null = null;
}
