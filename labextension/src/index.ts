/** What JupyterLab loads: each plugin stands in a file of its own. */
import type { JupyterFrontEndPlugin } from '@jupyterlab/application';
import { actions } from './plugins/actions';
import { arrival } from './plugins/arrival';
import { editor } from './plugins/editor';
import { environments } from './plugins/environments';
import { notebook } from './plugins/notebook';
import { notifications } from './plugins/notifications';
import { pages } from './plugins/pages';
import { panel } from './plugins/panel';
import { settings } from './plugins/settings';

export { IEnvironments, ISettings } from './tokens';

const plugins: JupyterFrontEndPlugin<unknown>[] = [
  settings,
  environments,
  actions,
  pages,
  panel,
  notifications,
  editor,
  notebook,
  arrival
];

export default plugins;
