/** What is searched for among all environments that one may see, on the service's side. */
import { type IApi, type IFound, PAGE } from '../tokens';

export class EnvironmentSearch {
  constructor(
    private readonly _api: IApi,
    /** What is called when something is other than it was. */
    private readonly _emit: () => void
  ) {}

  /** What was found; null while nothing is searched for. */
  get found(): IFound | null {
    return this._found;
  }

  /** Take up another text; an empty one ends the search. Tells whether there is something to ask for. */
  begin(text: string): boolean {
    this.stop();
    const wanted = text.trim();
    this._found = wanted ? { text: wanted, environments: [], count: 0, isLoading: true } : null;
    this._emit();
    return this._found !== null;
  }

  /** Go on with the same: returns the page to ask for, or null. */
  beginMore(): number | null {
    const found = this._found;
    if (!found || found.isLoading || found.environments.length >= found.count) {
      return null;
    }
    this._found = { ...found, isLoading: true };
    this._emit();
    return Math.floor(found.environments.length / PAGE) + 1;
  }

  /** Ask for a page of what is searched for, if something is. */
  async load(page: number): Promise<void> {
    const found = this._found;
    if (!found) {
      return;
    }
    this.stop();
    const searching = (this._searching = new AbortController());
    const answer = await this._api.environments({ search: found.text, page, size: PAGE }, searching.signal);
    if (searching.signal.aborted) {
      return;
    }
    const environments = [...found.environments.slice(0, (page - 1) * PAGE), ...answer.items];
    this._found = { text: found.text, environments, count: answer.count, isLoading: false };
    this._emit();
  }

  /** Wait no longer for an answer. */
  stop(): void {
    this._searching?.abort();
  }

  private _found: IFound | null = null;
  private _searching: AbortController | null = null;
}
