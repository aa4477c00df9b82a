/** What somebody has set. */
import { Token } from '@lumino/coreutils';
import type { ISignal } from '@lumino/signaling';
import { PACKAGE } from './names';

/** What somebody has set. */
export interface ISettings {
  readonly changed: ISignal<ISettings, void>;
  readonly current: ISettingValues;
  set<K extends keyof ISettingValues>(key: K, value: ISettingValues[K]): Promise<void>;
}

/** The values of `schema/plugin.json`. */
export interface ISettingValues {
  readonly showSizes: boolean;
  readonly showUpdated: boolean;
  readonly showEmptyNamespaces: boolean;
  readonly namePattern: string;
  readonly confirmDelete: boolean;
  readonly confirmCancel: boolean;
  readonly confirmActivate: boolean;
  readonly notify: 'all' | 'failures' | 'none';
  readonly refreshSeconds: number;
  readonly favourites: readonly string[];
}

export const ISettings = new Token<ISettings>(
  `${PACKAGE}:ISettings`,
  'The settings of the environments of conda-store-hub.'
);
