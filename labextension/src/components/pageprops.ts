/** What the parts of an environment's page are given. */
import type { TranslationBundle } from '@jupyterlab/translation';
import type { CommandRegistry } from '@lumino/commands';
import type { Environment } from '../tokens';
import type { EnvironmentView } from '../view';

export interface IPageProps {
  readonly view: EnvironmentView;
  readonly commands: CommandRegistry;
  readonly trans: TranslationBundle;
}

export interface IShownProps extends IPageProps {
  readonly environment: Environment;
}
