/** Makes commands of what people do, in the palette and in context menus. */
import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette } from '@jupyterlab/apputils';
import { ITranslator, nullTranslator, type TranslationBundle } from '@jupyterlab/translation';
import type { ReadonlyPartialJSONObject } from '@lumino/coreutils';
import { Actions } from '../actions';
import {
  COMMANDS,
  type IArtifactArgs,
  type IBuildArgs,
  type IEnvironmentArgs,
  IEnvironments,
  ISettings,
  PACKAGE,
  type Permission
} from '../tokens';

/** Where in the page an environment or a build is shown. */
const ENVIRONMENT = '.csh-Environment';
const BUILD = '.csh-Build';

/** Between the groups of an environment's menu: use, look, change, share, delete. */
const SEPARATORS = [15, 25, 45] as const;

const TEXT = { type: 'string' } as const;
const ENVIRONMENT_ARGS = { type: 'object', properties: { namespace: TEXT, name: TEXT } } as const;
const BUILD_ARGS = {
  type: 'object',
  properties: { namespace: TEXT, name: TEXT, buildId: { type: 'number' } },
  required: ['buildId']
} as const;

const ARTIFACT_ARGS = {
  type: 'object',
  properties: { ...BUILD_ARGS.properties, type: TEXT },
  required: ['buildId', 'type']
} as const;

interface IEnvironmentCommand {
  readonly id: string;
  readonly label: string;
  readonly needs: Permission;
  readonly execute: (target: IEnvironmentArgs) => Promise<unknown>;
  readonly isToggled?: (target: IEnvironmentArgs) => boolean;
  readonly isVisible?: (target: IEnvironmentArgs) => boolean;
  /** Groups of context menus. */
  readonly rank: number;
}

export const actions: JupyterFrontEndPlugin<void> = {
  id: `${PACKAGE}:actions`,
  description: 'Commands for the environments of conda-store-hub.',
  autoStart: true,
  requires: [IEnvironments, ISettings],
  optional: [ITranslator, ICommandPalette],
  activate: (
    app: JupyterFrontEnd,
    model: IEnvironments,
    settings: ISettings,
    translator: ITranslator | null,
    palette: ICommandPalette | null
  ): void => {
    const trans = (translator ?? nullTranslator).load('conda-store-hub');
    const done = new Actions({ model, settings, commands: app.commands, trans });
    const find = (args: ReadonlyPartialJSONObject): IEnvironmentArgs | null => findEnvironment(model, args);
    for (const command of listEnvironmentCommands(done, model, app, trans)) {
      app.commands.addCommand(command.id, {
        label: command.label,
        describedBy: { args: ENVIRONMENT_ARGS },
        isEnabled: args => isAllowed(model, find(args), command.needs),
        isVisible: args => command.isVisible?.(find(args) ?? { namespace: '', name: '' }) ?? true,
        isToggled: args => {
          const target = find(args);
          return target !== null && (command.isToggled?.(target) ?? false);
        },
        execute: async args => {
          const target = find(args);
          if (target) {
            await command.execute(target);
          }
        }
      });
      app.contextMenu.addItem({ command: command.id, selector: ENVIRONMENT, rank: command.rank });
      palette?.addItem({ command: command.id, category: trans.__('Environments') });
    }
    for (const rank of SEPARATORS) {
      app.contextMenu.addItem({ type: 'separator', selector: ENVIRONMENT, rank });
    }
    addBuildCommands(app, done, trans);
    app.commands.addCommand(COMMANDS.makeArtifact, {
      label: trans.__('Make This File of the Build'),
      describedBy: { args: ARTIFACT_ARGS },
      execute: args => done.makeArtifact(args as unknown as IArtifactArgs)
    });
    app.commands.addCommand(COMMANDS.cancelMaking, {
      label: trans.__('Cancel Making Environments on This Machine'),
      describedBy: { args: { type: 'object', properties: { kernelId: TEXT } } },
      isEnabled: () => model.makings.current.length > 0,
      execute: args => done.cancelMaking(args['kernelId'] as string | undefined)
    });
    app.commands.addCommand(COMMANDS.refresh, {
      label: trans.__('Refresh Environments'),
      describedBy: { args: { type: 'object', properties: {} } },
      execute: () => model.refresh()
    });
    for (const command of [COMMANDS.cancelMaking, COMMANDS.refresh]) {
      palette?.addItem({ command, category: trans.__('Environments') });
    }
    // Somebody may come to have a right, or select what they have it for.
    model.changed.connect(() => app.commands.notifyCommandChanged());
    model.makings.changed.connect(() => app.commands.notifyCommandChanged(COMMANDS.cancelMaking));
  }
};

function listEnvironmentCommands(
  done: Actions,
  model: IEnvironments,
  app: JupyterFrontEnd,
  trans: TranslationBundle
): IEnvironmentCommand[] {
  const lacksKernel = (target: IEnvironmentArgs) =>
    model.knowsKernels && model.kernels(target).length === 0 && model.known(target)?.current_build_id != null;
  return [
    {
      id: COMMANDS.openNotebook,
      label: trans.__('New Notebook in Environment'),
      needs: 'environment::read',
      rank: 10,
      isVisible: target => model.kernels(target).length > 0,
      execute: target => openNotebook(app, model, target)
    },
    {
      id: COMMANDS.addKernel,
      label: trans.__('Add a Kernel to Environment (ipykernel) and Build'),
      needs: 'environment::update',
      rank: 11,
      isVisible: lacksKernel,
      execute: target => done.addKernel(target)
    },
    {
      id: COMMANDS.toggleFavourite,
      label: trans.__('Environment Is a Favourite'),
      needs: 'environment::read',
      rank: 20,
      isToggled: target => model.isFavourite(target),
      execute: target => done.toggleFavourite(target)
    },
    {
      id: COMMANDS.rebuild,
      label: trans.__('Rebuild Environment'),
      needs: 'environment::update',
      rank: 31,
      execute: target => done.rebuild(target)
    },
    {
      id: COMMANDS.clone,
      label: trans.__('Copy Environment…'),
      needs: 'environment::read',
      rank: 32,
      execute: target => done.clone(target)
    },
    {
      id: COMMANDS.rename,
      label: trans.__('Rename Environment…'),
      needs: 'environment::update',
      rank: 33,
      execute: target => done.rename(target)
    },
    {
      id: COMMANDS.deleteEnvironment,
      label: trans.__('Delete Environment'),
      needs: 'environment::delete',
      rank: 50,
      execute: target => done.deleteEnvironment(target)
    },
    {
      id: COMMANDS.restoreEnvironment,
      label: trans.__('Bring Back Deleted Environment'),
      needs: 'environment::delete',
      rank: 51,
      // Only where something says which: what is shown is not deleted.
      isVisible: () => false,
      execute: target => done.restore(target)
    }
  ];
}

function addBuildCommands(app: JupyterFrontEnd, done: Actions, trans: TranslationBundle): void {
  const all: readonly [string, string, (args: IBuildArgs) => Promise<unknown>][] = [
    [COMMANDS.activateBuild, trans.__('Make This Build the Active One'), args => done.activate(args)],
    [COMMANDS.togglePin, trans.__('Pin This Build, or Let It Go'), args => done.togglePin(args)],
    [COMMANDS.cancelBuild, trans.__('Cancel This Build'), args => done.cancel(args)],
    [COMMANDS.deleteBuild, trans.__('Delete This Build'), args => done.deleteBuild(args)]
  ];
  all.forEach(([id, label, execute], index) => {
    app.commands.addCommand(id, {
      label,
      describedBy: { args: BUILD_ARGS },
      isEnabled: args => isOffered(app, id, args),
      execute: async args => {
        const target = findBuild(app, args);
        if (target) {
          await execute(target);
        }
      }
    });
    app.contextMenu.addItem({ command: id, selector: BUILD, rank: 10 * (index + 1) });
  });
}

/** A new notebook that runs in an environment; the list of kernels may be a moment behind its build. */
async function openNotebook(app: JupyterFrontEnd, model: IEnvironments, target: IEnvironmentArgs): Promise<void> {
  if (model.kernels(target).length === 0) {
    await app.serviceManager.kernelspecs.refreshSpecs();
  }
  const [kernel] = model.kernels(target);
  if (kernel) {
    await app.commands.execute('notebook:create-new', { kernelName: kernel.kernelName });
  }
}

/** What a command is about: its arguments, or what is selected, which a click with the other button does too. */
function findEnvironment(model: IEnvironments, args: ReadonlyPartialJSONObject): IEnvironmentArgs | null {
  if (typeof args['namespace'] === 'string' && typeof args['name'] === 'string') {
    return { namespace: args['namespace'], name: args['name'] };
  }
  return model.selected;
}

function findBuild(app: JupyterFrontEnd, args: ReadonlyPartialJSONObject): IBuildArgs | null {
  if (typeof args['buildId'] === 'number') {
    return args as unknown as IBuildArgs;
  }
  const buildId = Number(hit(app, BUILD)?.dataset['cshBuild']);
  return buildId ? { buildId } : null;
}

/** What was clicked with the other button: only known to a menu that is open. */
function hit(app: JupyterFrontEnd, selector: string): HTMLElement | undefined {
  return app.contextMenuHitTest(node => node.matches(selector));
}

/** A row of the table of builds lists what may be done with it. */
function isOffered(app: JupyterFrontEnd, id: string, args: ReadonlyPartialJSONObject): boolean {
  if (typeof args['buildId'] === 'number') {
    return true;
  }
  const offered = hit(app, BUILD)?.dataset['cshOffers'] ?? '';
  return offered.split(' ').includes(id);
}

function isAllowed(model: IEnvironments, target: IEnvironmentArgs | null, needs: Permission): boolean {
  return target !== null && (needs === 'environment::read' || model.may(needs, target.namespace, target.name));
}

