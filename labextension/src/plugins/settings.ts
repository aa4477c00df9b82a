/** Provides the settings. */
import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ISettingRegistry } from '@jupyterlab/settingregistry';
import { Settings } from '../settings';
import { ISettings, SETTINGS_ID } from '../tokens';

export const settings: JupyterFrontEndPlugin<ISettings> = {
  // Settings belong to the plugin that is called as their schema is.
  id: SETTINGS_ID,
  description: 'The settings of the environments of conda-store-hub.',
  autoStart: true,
  provides: ISettings,
  optional: [ISettingRegistry],
  activate: (_: JupyterFrontEnd, registry: ISettingRegistry | null): ISettings => {
    const made = new Settings();
    registry?.load(SETTINGS_ID).then(
      registered => made.follow(registered),
      reason => console.error(`The settings of ${SETTINGS_ID} cannot be read.`, reason)
    );
    return made;
  }
};
