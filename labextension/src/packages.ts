/** The packages of one build: a page after the other, searched at the service, and those that departed. */
import { type ISignal, Signal } from '@lumino/signaling';
import { type DepartedPackages, type IApi, type Package, PAGE } from './tokens';

export class BuildPackages {
  readonly changed: ISignal<this, void>;

  constructor(
    private readonly _api: Pick<IApi, 'departed' | 'packages'>,
    readonly buildId: number
  ) {
    this.changed = this._changed = new Signal(this);
  }

  /** Those that were found so far; null while none were asked for. */
  items: readonly Package[] | null = null;
  count = 0;
  isLoading = false;
  /** Why the last request failed, in words; null when it did not. */
  problem: Error | null = null;
  /** What is no longer in its channel as it was; null while that is not known. */
  departed: DepartedPackages | null = null;
  /** Why that could not be found out. */
  departedProblem: Error | null = null;

  /** List those with a text in their name, from the first one on; an empty text lists all. */
  find(text: string): Promise<void> {
    this._search = text.trim();
    return this._load(1);
  }

  /** The next page of the same. */
  async more(): Promise<void> {
    if (!this.isLoading && this.items && this.items.length < this.count) {
      await this._load(Math.floor(this.items.length / PAGE) + 1);
    }
  }

  /** Ask whether they are still in their channels, which the service looks up there. */
  async checkDeparted(): Promise<void> {
    try {
      this.departed = await this._api.departed(this.buildId);
      this.departedProblem = null;
    } catch (error) {
      this.departedProblem = error as Error;
    }
    this._changed.emit();
  }

  private async _load(page: number): Promise<void> {
    const asked = (this._asked += 1);
    this.isLoading = true;
    this._changed.emit();
    try {
      const search = this._search ? { search: this._search } : {};
      const { items, count } = await this._api.packages(this.buildId, { page, size: PAGE, why: true, ...search });
      if (asked === this._asked) {
        this.items = [...(this.items ?? []).slice(0, (page - 1) * PAGE), ...items];
        this.count = count;
        this.problem = null;
      }
    } catch (error) {
      if (asked === this._asked) {
        this.problem = error as Error;
      }
    }
    if (asked === this._asked) {
      this.isLoading = false;
      this._changed.emit();
    }
  }

  private readonly _changed: Signal<this, void>;
  private _search = '';
  /** Who asks later gets what was asked last, whichever answer comes first. */
  private _asked = 0;
}
