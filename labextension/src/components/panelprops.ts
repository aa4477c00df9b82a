/** What the parts of the panel are given. */
import type { TranslationBundle } from '@jupyterlab/translation';
import type { CommandRegistry } from '@lumino/commands';
import type { IEnvironments, ISettings } from '../tokens';

export interface IPanelProps {
  readonly model: IEnvironments;
  readonly settings: ISettings;
  readonly commands: CommandRegistry;
  readonly trans: TranslationBundle;
}

/** With which lists are open. */
export interface IListsProps extends IPanelProps {
  readonly opened: ReadonlyMap<string, boolean>;
  readonly open: (namespace: string, isOpen: boolean) => void;
}
