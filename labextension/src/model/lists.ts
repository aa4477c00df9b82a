/** The namespaces that one may see, and of each the environments that were asked for. */
import {
  type Environment,
  type IApi,
  type INamespaceList,
  type IPage,
  type NamespaceSummary,
  type PermissionSummary,
  PAGE
} from '../tokens';

/** More namespaces than a person can look through; the search finds what is in others. */
const MOST_NAMESPACES = 1000;

export interface IMutableList extends INamespaceList {
  namespace: NamespaceSummary;
  environments: Environment[];
  count: number;
  isLoaded: boolean;
  isLoading: boolean;
}

export class NamespaceLists {
  constructor(
    private readonly _api: IApi,
    /** What one's own namespace is probably called. */
    private readonly _probablyOwn: string | undefined,
    /** What is called when something is other than it was. */
    private readonly _emit: () => void
  ) {}

  get all(): readonly IMutableList[] {
    return this._lists;
  }

  find(namespace: string): IMutableList | undefined {
    return this._lists.find(one => one.namespace.name === namespace);
  }

  /** The first environments of what is probably one's own namespace, if there are none yet; null if that failed. */
  async guess(): Promise<IPage<Environment> | null> {
    const namespace = this._probablyOwn;
    if (!namespace || this._lists.length > 0) {
      return null;
    }
    try {
      return await this._api.environments({ namespace, page: 1, size: PAGE });
    } catch {
      return null; // what went wrong is said by the other requests
    }
  }

  /** All namespaces that the service lists. */
  async listNamespaces(): Promise<NamespaceSummary[]> {
    const found: NamespaceSummary[] = [];
    for (let page = 1; found.length < MOST_NAMESPACES; page += 1) {
      const { items, count } = await this._api.namespaces({ page, size: PAGE });
      found.push(...items);
      if (items.length < PAGE || found.length >= count) {
        break;
      }
    }
    return found;
  }

  /** Take up what was answered; returns the lists that are still to be asked for. */
  take(
    permissions: PermissionSummary,
    namespaces: readonly NamespaceSummary[],
    guessed: IPage<Environment> | null
  ): IMutableList[] {
    const name = permissions.primary_namespace;
    this._lists = this._merge([...namespaces, ...listShared(permissions, namespaces)], name);
    const own = this.find(name);
    const wanted = this._lists.filter(one => one.isLoaded || one === own);
    if (!own || !guessed || name !== this._probablyOwn) {
      return wanted;
    }
    this._fill(own, [guessed]);
    return wanted.filter(one => one !== own);
  }

  /** Ask again for as many as are shown. */
  async reload(list: IMutableList): Promise<void> {
    const shown = Math.max(1, Math.ceil(list.environments.length / PAGE));
    const namespace = list.namespace.name;
    const pages = Array.from({ length: shown }, (_, index) =>
      this._api.environments({ namespace, page: index + 1, size: PAGE })
    );
    this._fill(list, await Promise.all(pages));
    this._emit();
  }

  /** Ask for the first, or for more. */
  async loadMore(list: IMutableList): Promise<void> {
    list.isLoading = true;
    this._emit();
    try {
      const page = Math.floor(list.environments.length / PAGE) + 1;
      const answer = await this._api.environments({ namespace: list.namespace.name, page, size: PAGE });
      list.environments = [...list.environments.slice(0, (page - 1) * PAGE), ...answer.items];
      list.count = answer.count;
      list.isLoaded = true;
    } finally {
      list.isLoading = false;
      this._emit();
    }
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

  private _fill(list: IMutableList, pages: readonly IPage<Environment>[]): void {
    list.environments = pages.flatMap(one => [...one.items]);
    list.count = pages[0]!.count;
    list.isLoaded = true;
  }

  private _lists: IMutableList[] = [];
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
