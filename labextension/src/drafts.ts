/** What somebody has typed and not built yet: kept over closed tabs, ended logins, and a service that is away. */
import type { IStateDB } from '@jupyterlab/statedb';

/** Where drafts are in the state database, which lists what is before the colon. */
const SPACE = 'conda-store-hub-drafts';
/** Of one text, in characters: as large as a specification may be. */
const MOST = 1_000_000;

export interface IDraft {
  readonly text: string;
  readonly namespace: string;
  /** For a text without a name of its own. */
  readonly name: string;
  /** The newest build when one began to edit; 0 for what has to be new. */
  readonly latestBuildId: number;
  /** Milliseconds since 1970. */
  readonly savedOn: number;
}

/** The key of the draft for an environment that is there. */
export function draftKey(environment: { readonly namespace: string; readonly name: string }): string {
  return `${environment.namespace}/${environment.name}`;
}

/** A key for one that is new: without the slash of those that are there, whose namespace may begin in the same way. */
export function newDraftKey(): string {
  return `new-${Date.now().toString(36)}-${Math.floor(Math.random() * 36 ** 4).toString(36)}`;
}

/**
 * Keeps drafts in the state database, which the server has, and in the tab's own storage: the first cannot be written
 * once a login has ended, the second is gone with the tab.
 */
export class Drafts {
  constructor(
    private readonly _database: Pick<IStateDB, 'fetch' | 'save' | 'remove' | 'list'> | null,
    private readonly _tab: Pick<Storage, 'getItem' | 'setItem' | 'removeItem'> | null,
    /** Of whose server this is: several may have one origin. */
    private readonly _server: string
  ) {}

  /** The newest that was kept; null where there is none. */
  async find(key: string): Promise<IDraft | null> {
    const found = [this._readTab(key), await this._readDatabase(key)].filter((one): one is IDraft => one !== null);
    return found.sort((one, other) => other.savedOn - one.savedOn)[0] ?? null;
  }

  /** Keep a draft; false if it is too large, or nothing takes it. */
  async save(key: string, draft: IDraft): Promise<boolean> {
    if (draft.text.length > MOST) {
      return false;
    }
    const inTab = this._writeTab(key, draft);
    try {
      await this._database?.save(`${SPACE}:${key}`, { ...draft });
      return this._database !== null || inTab;
    } catch {
      return inTab;
    }
  }

  async remove(key: string): Promise<void> {
    this._tab?.removeItem(this._tabKey(key));
    await this._database?.remove(`${SPACE}:${key}`).catch(() => undefined);
  }

  /** The keys of what was begun as new, the newest first. */
  async listNew(): Promise<readonly string[]> {
    const listed = await this._database?.list(SPACE).catch(() => null);
    const found = (listed?.ids ?? []).map((id, index) => ({ key: id.slice(SPACE.length + 1), value: listed!.values[index] }));
    return found
      .filter(one => one.key.startsWith('new-') && !one.key.includes('/') && isDraft(one.value))
      .sort((one, other) => (other.value as unknown as IDraft).savedOn - (one.value as unknown as IDraft).savedOn)
      .map(one => one.key);
  }

  private async _readDatabase(key: string): Promise<IDraft | null> {
    const found: unknown = await this._database?.fetch(`${SPACE}:${key}`).catch(() => null);
    return isDraft(found) ? found : null;
  }

  private _readTab(key: string): IDraft | null {
    try {
      const found: unknown = JSON.parse(this._tab?.getItem(this._tabKey(key)) ?? 'null');
      return isDraft(found) ? found : null;
    } catch {
      return null;
    }
  }

  private _writeTab(key: string, draft: IDraft): boolean {
    try {
      this._tab?.setItem(this._tabKey(key), JSON.stringify(draft));
      return this._tab !== null;
    } catch {
      return false; // it is full, or the browser lets nothing be kept
    }
  }

  private _tabKey(key: string): string {
    return `${SPACE}:${this._server}:${key}`;
  }
}

/** What an older version has kept, or somebody else, may be anything. */
function isDraft(value: unknown): value is IDraft {
  const { text, namespace, name, latestBuildId, savedOn } = (value ?? {}) as Record<string, unknown>;
  const texts = [text, namespace, name].every(one => typeof one === 'string');
  return texts && typeof latestBuildId === 'number' && typeof savedOn === 'number';
}
