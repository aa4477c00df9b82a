/** Provides what the page knows of environments, and has the picker follow the server's kernels. */
import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { PageConfig } from '@jupyterlab/coreutils';
import { Api } from '../api';
import { findTabStorage } from '../model/begun';
import { EnvironmentsModel } from '../model';
import { IEnvironments, ISettings, PACKAGE } from '../tokens';

export const environments: JupyterFrontEndPlugin<IEnvironments> = {
  id: `${PACKAGE}:environments`,
  description: 'What JupyterLab knows of the environments of conda-store-hub.',
  autoStart: true,
  provides: IEnvironments,
  requires: [ISettings],
  activate: (app: JupyterFrontEnd, settings: ISettings): IEnvironments => {
    const { events, kernels, kernelspecs, serverSettings } = app.serviceManager;
    const model = new EnvironmentsModel({
      api: new Api(serverSettings),
      events: events.stream,
      kernels,
      kernelspecs,
      probablyOwn: PageConfig.getOption('hubServerUser'),
      tab: findTabStorage()
    });
    const apply = () => {
      model.setFavourites(settings.current.favourites);
      model.setRefreshSeconds(settings.current.refreshSeconds);
    };
    settings.changed.connect(apply);
    apply();
    return model;
  }
};
