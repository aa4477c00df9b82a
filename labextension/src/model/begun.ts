/** The builds that this page has begun: known after it was loaded again, and by no other page. */

const PLACE = 'conda-store-hub-begun';
/** So many; the last ones. */
const MOST = 100;

/** Where it is kept: the tab's own storage, which a browser may refuse. */
export type TabStorage = Pick<Storage, 'getItem' | 'setItem' | 'removeItem'>;

/** The tab's own storage; null where there is none. */
export function findTabStorage(): TabStorage | null {
  try {
    return window.sessionStorage;
  } catch {
    return null;
  }
}

export class BegunBuilds {
  constructor(private readonly _tab: TabStorage | null) {
    this._ids = this._read();
  }

  has(buildId: number): boolean {
    return this._ids.includes(buildId);
  }

  note(buildId: number): void {
    this._ids = [...this._ids.filter(one => one !== buildId), buildId].slice(-MOST);
    try {
      this._tab?.setItem(PLACE, JSON.stringify(this._ids));
    } catch {
      // It is full: known until the page is loaded again.
    }
  }

  private _read(): readonly number[] {
    try {
      const kept: unknown = JSON.parse(this._tab?.getItem(PLACE) ?? '[]');
      return Array.isArray(kept) ? kept.filter((one): one is number => typeof one === 'number') : [];
    } catch {
      return [];
    }
  }

  private _ids: readonly number[];
}
