/** What the page knows of environments: asked for while somebody looks, and told by the server's events. */
import type { Event, Kernel, KernelSpec } from '@jupyterlab/services';
import { DisposableDelegate, type IDisposable } from '@lumino/disposable';
import { Poll } from '@lumino/polling';
import { type ISignal, Signal } from '@lumino/signaling';
import { ApiError } from './api';
import { BegunBuilds, type TabStorage } from './begun';
import { followName, pinOf } from './kernels';
import { Makings } from './makings';
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
  type IPage,
  isActive,
  type NamespaceSummary,
  type Permission,
  type PermissionSummary,
  type Standing,
  type Usage
} from './tokens';

/** How many environments are asked for at once; the service gives no more. */
export const PAGE = 100;
/** More namespaces than a person can look through; the search finds what is in others. */
const MOST_NAMESPACES = 1000;
/** Favourites are asked for one by one. */
const MOST_FAVOURITES = 30;
/** Milliseconds in which several pushes are taken for one. */
const GATHER = 150;

export interface IModelOptions {
  readonly api: IApi;
  /** The server's events. */
  readonly events: ISignal<unknown, Event.Emission>;
  readonly kernelspecs: Pick<KernelSpec.IManager, 'specs' | 'specsChanged' | 'refreshSpecs'>;
  readonly kernels: Pick<Kernel.IManager, 'running' | 'runningChanged'>;
  /** What one's own namespace is probably called: asked for at once, before the service has said so. */
  readonly probablyOwn?: string;
  /** What is kept of this page when it is loaded again. */
  readonly tab?: TabStorage | null;
  /** Seconds between two looks at builds that go on, while somebody watches; 0 is never. */
  readonly refreshSeconds?: number;
}

interface IMutableList {
  namespace: NamespaceSummary;
  environments: Environment[];
  count: number;
  isLoaded: boolean;
  isLoading: boolean;
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
    this._begun = new BegunBuilds(_options.tab ?? null);
    this.api.begun.connect((_, buildId) => this._begun.note(buildId), this);
    _options.events.connect(this._onEvent, this);
    _options.kernelspecs.specsChanged.connect(this._onKernels, this);
    _options.kernels.runningChanged.connect(this._onKernels, this);
    this._poll = new Poll({
      auto: false,
      factory: () => this._look(),
      frequency: { interval: Poll.NEVER, backoff: false },
      name: 'conda-store-hub:environments',
      standby: 'when-hidden'
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
    this._poll.dispose();
    clearTimeout(this._gathering);
    this._searching?.abort();
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
    return this._lists;
  }

  get search(): IFound | null {
    return this._found;
  }

  get favourites(): readonly Environment[] {
    return this._favourites;
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
    return (environment.latest_build_id && this._positions.get(environment.latest_build_id)) || null;
  }

  watch(waits: () => boolean = () => false): IDisposable {
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

  /** Ask for everything that is shown; while that goes on, whoever asks for the same gets the same. */
  refresh(): Promise<void> {
    this._refreshing ??= this._refresh().finally(() => {
      this._refreshing = null;
    });
    return this._refreshing;
  }

  async load(namespace: string): Promise<void> {
    const list = this._lists.find(one => one.namespace.name === namespace);
    if (list && !list.isLoading) {
      await this._guard(() => this._loadPage(list));
    }
  }

  async find(text: string): Promise<void> {
    this._searching?.abort();
    this._searching = null;
    const wanted = text.trim();
    this._found = wanted ? { text: wanted, environments: [], count: 0, isLoading: true } : null;
    this._changed.emit();
    if (wanted) {
      await this._guard(() => this._findPage(1));
    }
  }

  async findMore(): Promise<void> {
    const found = this._found;
    if (found && !found.isLoading && found.environments.length < found.count) {
      this._found = { ...found, isLoading: true };
      this._changed.emit();
      await this._guard(() => this._findPage(Math.floor(found.environments.length / PAGE) + 1));
    }
  }

  isFavourite(environment: IEnvironmentArgs): boolean {
    return this._favouriteNames.includes(`${environment.namespace}/${environment.name}`);
  }

  setFavourites(names: readonly string[]): void {
    if (names.join('\n') === this._favouriteNames.join('\n')) {
      return;
    }
    this._favouriteNames = names;
    this._favourites = this._favourites.filter(one => names.includes(fullName(one)));
    this._changed.emit();
    if (this._watchers > 0) {
      void this._guard(() => this._loadFavourites());
    } else {
      this._isStale = true;
    }
  }

  /** Look every so many seconds at builds that go on, and whether the service is back; 0 is never. */
  setRefreshSeconds(seconds: number): void {
    const interval = seconds > 0 ? 1000 * seconds : Poll.NEVER;
    this._poll.frequency = { backoff: false, interval, max: Math.max(interval, Poll.NEVER) };
  }

  may(permission: Permission, namespace: string, name?: string): boolean {
    const held = this._permissions?.entity_permissions ?? {};
    const keys = ['*/*', `${namespace}/*`, ...(name === undefined ? [] : [`${namespace}/${name}`])];
    return keys.some(key => held[key]?.includes(permission));
  }

  get writableNamespaces(): readonly string[] {
    const own = this._permissions?.primary_namespace;
    const names = this._lists.map(one => one.namespace.name).filter(one => this.may('environment:create', one));
    return own !== undefined && !names.includes(own) && this.may('environment:create', own) ? [own, ...names] : names;
  }

  size(namespace: string): number | null {
    return this._usage[namespace]?.storage ?? null;
  }

  get knowsKernels(): boolean {
    return this._options.kernelspecs.specs !== null;
  }

  kernels(environment: IEnvironmentArgs): readonly IEnvironmentKernel[] {
    // What is pinned to a build is listed too, so that Lab opens its notebooks; new ones follow the active build.
    return this._listed(environment).filter(one => pinOf(one.kernelName) === null);
  }

  countRunning(environment: IEnvironmentArgs): number {
    const names = new Set(this._listed(environment).map(one => followName(one.kernelName)));
    let count = 0;
    for (const model of this._options.kernels.running()) {
      count += names.has(followName(model.name)) ? 1 : 0;
    }
    return count;
  }

  findByKernel(kernelName: string): (IEnvironmentArgs & { readonly buildId: number }) | null {
    const follows = followName(kernelName);
    for (const [full, kernels] of this._kernelsByName()) {
      const found = kernels.find(one => one.kernelName === kernelName) ?? kernels.find(one => one.kernelName === follows);
      if (found) {
        const slash = full.indexOf('/');
        const buildId = pinOf(kernelName) ?? found.buildId;
        return { namespace: full.slice(0, slash), name: full.slice(slash + 1), buildId };
      }
    }
    return null;
  }

  // What is asked for

  private async _refresh(): Promise<void> {
    this._isStale = false;
    await this._guard(async () => {
      const guess = this._guess();
      const [permissions, namespaces] = await Promise.all([this.api.permissions(), this._listNamespaces()]);
      this._permissions = permissions;
      const shared = listShared(permissions, namespaces);
      this._lists = this._merge([...namespaces, ...shared], permissions.primary_namespace);
      const own = this._lists.find(one => one.namespace.name === permissions.primary_namespace);
      const guessed = await guess;
      if (own && guessed && own.namespace.name === this._options.probablyOwn) {
        this._fill(own, [guessed]);
      }
      this._changed.emit();
      const wanted = this._lists.filter(one => one.isLoaded || one === own);
      const found = this._found;
      await Promise.all([
        ...wanted.filter(one => !guessed || one !== own || !own.isLoaded).map(one => this._reload(one)),
        this._loadFavourites(),
        ...(found ? [this._findPage(1)] : [])
      ]);
      await Promise.all([this._loadPositions(), this._loadUsage()]);
    });
  }

  /** The first environments of what is probably one's own namespace, if there are none yet; null if that failed. */
  private async _guess(): Promise<IPage<Environment> | null> {
    const namespace = this._options.probablyOwn;
    if (!namespace || this._lists.length > 0) {
      return null;
    }
    try {
      return await this.api.environments({ namespace, page: 1, size: PAGE });
    } catch {
      return null; // what went wrong is said by the other requests
    }
  }

  /** Where in the queue builds are: asked for only if one of what is shown waits. */
  private async _loadPositions(): Promise<void> {
    const waits = this._shown().some(one => one.latest_status === 'QUEUED');
    const queued = waits ? (await this.api.builds({ status: 'QUEUED', size: PAGE })).items : [];
    this._positions = new Map(queued.map(one => [one.id, one.position ?? 0]));
    this._changed.emit();
  }

  /** How much the namespaces hold that stand first. */
  private async _loadUsage(): Promise<void> {
    this._usage = await this.api.usage({ size: PAGE });
    this._changed.emit();
  }

  private _shown(): Environment[] {
    const found = this._found?.environments ?? [];
    return [...this._lists.flatMap(one => one.environments), ...this._favourites, ...found];
  }

  private async _listNamespaces(): Promise<NamespaceSummary[]> {
    const found: NamespaceSummary[] = [];
    for (let page = 1; found.length < MOST_NAMESPACES; page += 1) {
      const { items, count } = await this.api.namespaces({ page, size: PAGE });
      found.push(...items);
      if (items.length < PAGE || found.length >= count) {
        break;
      }
    }
    return found;
  }

  /** One's own first; what was loaded of those that are still there stays until it is loaded again. */
  private _merge(namespaces: readonly NamespaceSummary[], own: string): IMutableList[] {
    const before = new Map(this._lists.map(one => [one.namespace.name, one]));
    const merged = namespaces.map(namespace => {
      const known = before.get(namespace.name);
      return known
        ? { ...known, namespace }
        : { namespace, environments: [], count: namespace.environments, isLoaded: false, isLoading: false };
    });
    return [
      ...merged.filter(one => one.namespace.name === own),
      ...merged.filter(one => one.namespace.name !== own)
    ];
  }

  /** Ask again for as many as are shown. */
  private async _reload(list: IMutableList): Promise<void> {
    const shown = Math.max(1, Math.ceil(list.environments.length / PAGE));
    const namespace = list.namespace.name;
    const pages = Array.from({ length: shown }, (_, index) =>
      this.api.environments({ namespace, page: index + 1, size: PAGE })
    );
    this._fill(list, await Promise.all(pages));
    this._changed.emit();
  }

  private _fill(list: IMutableList, pages: readonly IPage<Environment>[]): void {
    list.environments = pages.flatMap(one => [...one.items]);
    list.count = pages[0]!.count;
    list.isLoaded = true;
  }

  private async _loadPage(list: IMutableList): Promise<void> {
    list.isLoading = true;
    this._changed.emit();
    try {
      const page = Math.floor(list.environments.length / PAGE) + 1;
      const answer = await this.api.environments({ namespace: list.namespace.name, page, size: PAGE });
      list.environments = [...list.environments.slice(0, (page - 1) * PAGE), ...answer.items];
      list.count = answer.count;
      list.isLoaded = true;
    } finally {
      list.isLoading = false;
      this._changed.emit();
    }
  }

  private async _findPage(page: number): Promise<void> {
    const found = this._found;
    if (!found) {
      return;
    }
    this._searching?.abort();
    const searching = (this._searching = new AbortController());
    const answer = await this.api.environments({ search: found.text, page, size: PAGE }, searching.signal);
    if (searching.signal.aborted) {
      return;
    }
    const environments = [...found.environments.slice(0, (page - 1) * PAGE), ...answer.items];
    this._found = { text: found.text, environments, count: answer.count, isLoading: false };
    this._changed.emit();
  }

  private async _loadFavourites(): Promise<void> {
    const names = this._favouriteNames.slice(0, MOST_FAVOURITES);
    const found = await Promise.all(names.map(name => this._findFavourite(name)));
    this._favourites = found.filter((one): one is Environment => one !== null);
    this._changed.emit();
  }

  /** A favourite that was deleted, renamed or is no longer shared is not shown. */
  private async _findFavourite(name: string): Promise<Environment | null> {
    const [namespace, environment] = name.split('/');
    if (!namespace || !environment) {
      return null;
    }
    try {
      return await this.api.environment(namespace, environment);
    } catch (error) {
      if (error instanceof ApiError && (error.status === 404 || error.status === 403)) {
        return null;
      }
      throw error;
    }
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
      this._isStale = true;
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

  /** Look again if something goes on that nobody pushes, or the service was away. */
  private async _look(): Promise<void> {
    const goesOn =
      this._shown().some(one => isActive(one.latest_status)) || [...this._waiting].some(waits => waits());
    if (this._watchers > 0 && (goesOn || this._standing === 'unavailable')) {
      await this.refresh();
      this._news.emit();
    }
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
    this._isStale = true;
    this._gather();
  }

  /** Every page hears of every build: who shows nothing and has not begun it has nothing to ask about it. */
  private _tellOfBuild(buildId: unknown, status: unknown): void {
    if (status && typeof buildId === 'number' && (this._watchers > 0 || this._begun.has(buildId))) {
      this._buildChanged.emit({ buildId, status: status as BuildStatus });
    }
  }

  private _gather(): void {
    if (this._watchers === 0 || this._gathering !== undefined) {
      return;
    }
    this._gathering = setTimeout(() => {
      this._gathering = undefined;
      if (this._watchers > 0) {
        this._news.emit();
        void (this._refreshing ?? Promise.resolve()).then(() => this.refresh());
      }
    }, GATHER);
  }

  private _onKernels(): void {
    this._byName = null;
    this._changed.emit();
  }

  /** What the server lists of an environment, pinned ones too. */
  private _listed(environment: IEnvironmentArgs): readonly IEnvironmentKernel[] {
    return this._kernelsByName().get(`${environment.namespace}/${environment.name}`) ?? [];
  }

  /** The kernels that the server lists, by the full name of their environment. */
  private _kernelsByName(): ReadonlyMap<string, readonly IEnvironmentKernel[]> {
    if (this._byName === null) {
      const found = new Map<string, IEnvironmentKernel[]>();
      for (const spec of Object.values(this._options.kernelspecs.specs?.kernelspecs ?? {})) {
        const about = spec && readMetadata(spec);
        if (about) {
          found.set(about.full, [...(found.get(about.full) ?? []), about.kernel]);
        }
      }
      this._byName = found;
    }
    return this._byName;
  }

  private readonly _changed: Signal<this, void>;
  private readonly _buildChanged: Signal<this, IBuildNews>;
  private readonly _news: Signal<this, void>;
  private readonly _poll: Poll;
  private readonly _begun: BegunBuilds;
  private _isDisposed = false;
  private _isStale = true;
  private _watchers = 0;
  private readonly _waiting = new Set<() => boolean>();
  private _gathering: ReturnType<typeof setTimeout> | undefined;
  private _refreshing: Promise<void> | null = null;
  private _searching: AbortController | null = null;
  private _standing: Standing = 'unknown';
  private _problem: Error | null = null;
  private _permissions: PermissionSummary | null = null;
  private _lists: IMutableList[] = [];
  private _found: IFound | null = null;
  private _selected: IEnvironmentArgs | null = null;
  private _usage: Readonly<Record<string, Usage>> = {};
  private _positions: ReadonlyMap<number, number> = new Map();
  private _favouriteNames: readonly string[] = [];
  private _favourites: readonly Environment[] = [];
  private _byName: ReadonlyMap<string, readonly IEnvironmentKernel[]> | null = null;
}

/** The namespaces of which one may see single environments, which the service does not list as namespaces. */
function listShared(permissions: PermissionSummary, namespaces: readonly NamespaceSummary[]): NamespaceSummary[] {
  const known = new Set(namespaces.map(one => one.name));
  const counts = new Map<string, number>();
  for (const key of Object.keys(permissions.entity_permissions)) {
    const [namespace, name] = key.split('/');
    if (namespace && name !== '*' && !known.has(namespace)) {
      counts.set(namespace, (counts.get(namespace) ?? 0) + 1);
    }
  }
  // Whose they are is told with their environments; that the name is a user's is a guess until then.
  return [...counts].map(([name, environments]) => ({ id: 0, name, kind: 'user', hub_name: null, environments }));
}

/** What `conda_store_hub.lab.specs` writes into a kernel spec; null for kernels that are not of an environment. */
function readMetadata(spec: KernelSpec.ISpecModel): { full: string; kernel: IEnvironmentKernel } | null {
  const metadata = spec.metadata ?? {};
  const ours = metadata['conda_store_hub'] as { readonly build_id?: number } | undefined;
  if (typeof ours?.build_id !== 'number') {
    return null;
  }
  return {
    full: `${String(metadata['Namespace'])}/${String(metadata['conda_env_name'])}`,
    kernel: {
      kernelName: spec.name,
      displayName: spec.display_name,
      language: spec.language,
      buildId: ours.build_id
    }
  };
}
