/** Tells when builds end that were begun from this server, and how far an environment is that a kernel waits for. */
import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { Notification } from '@jupyterlab/apputils';
import { ITranslator, nullTranslator, type TranslationBundle } from '@jupyterlab/translation';
import { MakingNotices } from '../notices';
import { type Build, COMMANDS, IEnvironments, isActive, ISettings, PACKAGE } from '../tokens';
import { waitUntil } from '../waiting';

/** Milliseconds that the list of kernels may be behind a build. */
const BEHIND = 5000;

export const notifications: JupyterFrontEndPlugin<void> = {
  id: `${PACKAGE}:notifications`,
  description: 'Notifications about builds of conda-store-hub.',
  autoStart: true,
  requires: [IEnvironments, ISettings],
  optional: [ITranslator],
  activate: (
    app: JupyterFrontEnd,
    model: IEnvironments,
    settings: ISettings,
    translator: ITranslator | null
  ): void => {
    const trans = (translator ?? nullTranslator).load('conda-store-hub');
    const cancel = (kernelId: string) => void app.commands.execute(COMMANDS.cancelMaking, { kernelId });
    const making = new MakingNotices(Notification, cancel, trans);
    model.makings.news.connect((_, news) => making.tell(news));
    model.buildChanged.connect(async (_, news) => {
      const { notify } = settings.current;
      const isWanted = notify === 'all' || (notify === 'failures' && news.status === 'FAILED');
      if (isActive(news.status) || news.status === 'CANCELED' || !isWanted) {
        return;
      }
      try {
        await tell(app, model, await model.api.build(news.buildId), trans);
      } catch (error) {
        console.warn(`Build ${news.buildId} has ended, and cannot be read.`, error);
      }
    });
  }
};

async function tell(
  app: JupyterFrontEnd,
  model: IEnvironments,
  build: Build,
  trans: TranslationBundle
): Promise<void> {
  const target = { namespace: build.namespace, name: build.environment };
  const name = `${build.namespace}/${build.environment}`;
  const open = {
    label: trans.__('Open build'),
    callback: () => void app.commands.execute(COMMANDS.openBuild, { ...target, buildId: build.id })
  };
  if (build.status === 'FAILED') {
    const said = build.status_info ? `: ${build.status_info}` : '.';
    Notification.error(trans.__('Build %1 of %2 failed', build.id, name) + said, { actions: [open], autoClose: false });
    return;
  }
  const notebook = {
    label: trans.__('Open notebook'),
    displayType: 'accent' as const,
    callback: () => void app.commands.execute(COMMANDS.openNotebook, target)
  };
  const isUsable = await waitForKernel(model, build);
  const said = build.active ? trans.__('%1 is ready.', name) : trans.__('Build %1 of %2 is ready.', build.id, name);
  Notification.success(said, { actions: isUsable ? [notebook, open] : [open], autoClose: false });
}

/** Whether notebooks can run in a build: it is active, and has a kernel, which the list may have a moment later. */
async function waitForKernel(model: IEnvironments, build: Build): Promise<boolean> {
  const target = { namespace: build.namespace, name: build.environment };
  const isThere = () => model.kernels(target).some(one => one.buildId === build.id);
  if (!build.active) {
    return false;
  }
  return waitUntil(model, isThere, BEHIND);
}
