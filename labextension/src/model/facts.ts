/** What is known of namespaces and builds beside the lists: how much they hold, and where in the queue they are. */
import { type Environment, type IApi, PAGE, type Usage } from '../tokens';

export class Facts {
  constructor(
    private readonly _api: IApi,
    /** What is called when something is other than it was. */
    private readonly _emit: () => void
  ) {}

  /** Bytes that would be free if a namespace went; null while that is not known. */
  size(namespace: string): number | null {
    return this._usage[namespace]?.storage ?? null;
  }

  /** The place in the queue of an environment's latest build. */
  position(environment: Environment): number | null {
    return (environment.latest_build_id && this._positions.get(environment.latest_build_id)) || null;
  }

  async load(shown: readonly Environment[]): Promise<void> {
    await Promise.all([this._loadPositions(shown), this._loadUsage()]);
  }

  /** Asked for only if one of what is shown waits. */
  private async _loadPositions(shown: readonly Environment[]): Promise<void> {
    const waits = shown.some(one => one.latest_status === 'QUEUED');
    const queued = waits ? (await this._api.builds({ status: 'QUEUED', size: PAGE })).items : [];
    this._positions = new Map(queued.map(one => [one.id, one.position ?? 0]));
    this._emit();
  }

  /** Of the namespaces that stand first. */
  private async _loadUsage(): Promise<void> {
    this._usage = await this._api.usage({ size: PAGE });
    this._emit();
  }

  private _usage: Readonly<Record<string, Usage>> = {};
  private _positions: ReadonlyMap<number, number> = new Map();
}
