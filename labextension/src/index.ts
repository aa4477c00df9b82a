/** What JupyterLab loads: each plugin stands in a file of its own. */
import type { JupyterFrontEndPlugin } from '@jupyterlab/application';
import { environments } from './plugins/environments';
import { panel } from './plugins/panel';
import { settings } from './plugins/settings';

export { IEnvironments, ISettings } from './tokens';

const plugins: JupyterFrontEndPlugin<unknown>[] = [settings, environments, panel];

export default plugins;
