/** Opens a notebook in the environment that the address names: a link on the service's pages leads here. */
import { IRouter, type JupyterFrontEnd, type JupyterFrontEndPlugin } from '@jupyterlab/application';
import { Dialog, Notification, showDialog } from '@jupyterlab/apputils';
import { ITranslator, nullTranslator, type TranslationBundle } from '@jupyterlab/translation';
import { OPEN, readArrival, withoutArrival } from '../arrival';
import { COMMANDS, type IEnvironmentArgs, IEnvironments, PACKAGE } from '../tokens';
import { waitUntil } from '../waiting';

const COMMAND = `${PACKAGE}:arrive`;
/** Milliseconds that the list of kernels may be behind the service. */
const BEHIND = 5000;
const TEXT = { type: 'string' } as const;

export const arrival: JupyterFrontEndPlugin<void> = {
  id: `${PACKAGE}:arrival`,
  description: 'Opens notebooks in environments of conda-store-hub by a link.',
  autoStart: true,
  requires: [IEnvironments, IRouter],
  optional: [ITranslator],
  activate: (app: JupyterFrontEnd, model: IEnvironments, router: IRouter, translator: ITranslator | null): void => {
    const trans = (translator ?? nullTranslator).load('conda-store-hub');
    app.commands.addCommand(COMMAND, {
      describedBy: { args: { type: 'object', properties: { path: TEXT, search: TEXT, hash: TEXT } } },
      execute: async args => {
        const { path, search = '', hash = '' } = args as unknown as IRouter.ILocation;
        const target = readArrival(search);
        router.navigate(withoutArrival(path, search, hash), { skipRouting: true });
        await app.restored;
        if (target && (await isWanted(model, target, trans))) {
          await open(app, model, target, trans);
        }
      }
    });
    router.register({ command: COMMAND, pattern: new RegExp(`[?&]${OPEN}=`) });
  }
};

/**
 * A notebook starts a kernel, and what runs then is up to who builds the environment. Anybody can make a link, so one
 * is asked first where others build.
 */
async function isWanted(model: IEnvironments, target: IEnvironmentArgs, trans: TranslationBundle): Promise<boolean> {
  await model.refresh();
  if (model.may('environment::update', target.namespace, target.name)) {
    return true;
  }
  const { button } = await showDialog({
    title: trans.__('Open a notebook in %1/%2?', target.namespace, target.name),
    body: trans.__('A link asks for it. What others have put into this environment then runs on your server.'),
    buttons: [Dialog.cancelButton(), Dialog.okButton({ label: trans.__('Open') })]
  });
  return button.accept;
}

async function open(
  app: JupyterFrontEnd,
  model: IEnvironments,
  target: IEnvironmentArgs,
  trans: TranslationBundle
): Promise<void> {
  await app.serviceManager.kernelspecs.ready;
  if (await waitForKernel(app, model, target)) {
    await app.commands.execute(COMMANDS.openNotebook, { ...target });
    return;
  }
  const said = trans.__('No notebook can run in %1/%2: it has no kernel, or you may not see it.', target.namespace, target.name);
  Notification.warning(said, { autoClose: false });
  await app.commands.execute(COMMANDS.openEnvironment, { ...target });
}

/** Whether a notebook can run in an environment; a server that has just started may learn of it a moment later. */
async function waitForKernel(app: JupyterFrontEnd, model: IEnvironments, target: IEnvironmentArgs): Promise<boolean> {
  const isThere = () => model.kernels(target).length > 0;
  if (!isThere()) {
    await app.serviceManager.kernelspecs.refreshSpecs();
  }
  return waitUntil(model, isThere, BEHIND);
}
