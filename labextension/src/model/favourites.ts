/** The environments that somebody has starred, from wherever they are. */
import { ApiError } from '../api';
import { type Environment, fullName, type IApi, type IEnvironmentArgs } from '../tokens';

/** They are asked for one by one. */
const MOST = 30;

export class Favourites {
  constructor(
    private readonly _api: IApi,
    /** What is called when something is other than it was. */
    private readonly _emit: () => void
  ) {}

  /** Those that were found. */
  get all(): readonly Environment[] {
    return this._all;
  }

  has(environment: IEnvironmentArgs): boolean {
    return this._names.includes(`${environment.namespace}/${environment.name}`);
  }

  /** Take others; tells whether they are others. */
  set(names: readonly string[]): boolean {
    if (names.join('\n') === this._names.join('\n')) {
      return false;
    }
    this._names = names;
    this._all = this._all.filter(one => names.includes(fullName(one)));
    this._emit();
    return true;
  }

  async load(): Promise<void> {
    const found = await Promise.all(this._names.slice(0, MOST).map(name => this._find(name)));
    this._all = found.filter((one): one is Environment => one !== null);
    this._emit();
  }

  /** One that was deleted, renamed or is no longer shared is not shown. */
  private async _find(name: string): Promise<Environment | null> {
    const [namespace, environment] = name.split('/');
    if (!namespace || !environment) {
      return null;
    }
    try {
      return await this._api.environment(namespace, environment);
    } catch (error) {
      if (error instanceof ApiError && (error.status === 404 || error.status === 403)) {
        return null;
      }
      throw error;
    }
  }

  private _names: readonly string[] = [];
  private _all: readonly Environment[] = [];
}
