/** The search for packages, as a page asks the service. */
import type { IPackages } from '../src/completion';
import type { ISearchPage } from '../src/tokens';

type Query = Readonly<Record<string, string | number | readonly string[] | undefined>>;

/** A page of a list, or why there is none. */
interface IAnswer<T> {
  readonly data?: readonly T[];
  readonly count: number;
  readonly problems: ISearchPage<T>['problems'];
  readonly message?: string;
}

export class Packages implements IPackages {
  /** `prefix` is the path of the service. */
  constructor(private readonly _prefix: string) {}

  searchPackages: IPackages['searchPackages'] = ({ channels, ...query }, signal) =>
    this._get('package/', { ...query, channel: channels }, signal);

  packageVersions: IPackages['packageVersions'] = (name, { channels, ...query }, signal) =>
    this._get(`package/${encodeURIComponent(name)}/`, { ...query, channel: channels }, signal);

  private async _get<T>(path: string, query: Query, signal?: AbortSignal): Promise<ISearchPage<T>> {
    const address = new URL(`${this._prefix}api/v1/${path}`, location.href);
    for (const [name, value] of Object.entries(query)) {
      for (const one of Array.isArray(value) ? (value as readonly string[]) : [value]) {
        if (one !== undefined) {
          address.searchParams.append(name, String(one));
        }
      }
    }
    const answer = await fetch(address, { signal, headers: { 'X-XSRFToken': token() }, redirect: 'manual' });
    const body = (await answer.json().catch(() => null)) as IAnswer<T> | null;
    if (!answer.ok || !body?.data) {
      throw new Error(body?.message ?? 'The service cannot be reached; try again in a moment.');
    }
    return { items: body.data, count: body.count, problems: body.problems };
  }
}

function token(): string {
  const found = /(?:^|; )_xsrf="?([^;"]*)/.exec(document.cookie);
  return found?.[1] ?? document.body.dataset.xsrf ?? '';
}
