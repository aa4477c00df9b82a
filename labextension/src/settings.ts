/** What somebody has set, with what counts where nothing was set or the settings cannot be read. */
import type { ISettingRegistry } from '@jupyterlab/settingregistry';
import { type ISignal, Signal } from '@lumino/signaling';
import type { ISettings, ISettingValues } from './tokens';

/** The same as in `schema/plugin.json`. */
export const DEFAULTS: ISettingValues = {
  showSizes: true,
  showUpdated: true,
  showEmptyNamespaces: true,
  namePattern: '{name}',
  confirmActivate: true,
  confirmCancel: true,
  confirmDelete: true,
  notify: 'all',
  refreshSeconds: 10,
  favourites: []
};

export class Settings implements ISettings {
  readonly changed: ISignal<this, void>;

  constructor() {
    this.changed = this._changed = new Signal(this);
  }

  get current(): ISettingValues {
    return this._current;
  }

  /** Take what the registry has, now and whenever it changes. */
  follow(registered: ISettingRegistry.ISettings): void {
    this._registered = registered;
    const take = () => {
      this._current = { ...DEFAULTS, ...(registered.composite as Partial<ISettingValues>) };
      this._changed.emit();
    };
    registered.changed.connect(take);
    take();
  }

  async set<K extends keyof ISettingValues>(key: K, value: ISettingValues[K]): Promise<void> {
    // Shown at once, also where there is no registry to keep it.
    this._current = { ...this._current, [key]: value };
    this._changed.emit();
    await this._registered?.set(key, value as never);
  }

  private readonly _changed: Signal<this, void>;
  private _current: ISettingValues = DEFAULTS;
  private _registered: ISettingRegistry.ISettings | null = null;
}
