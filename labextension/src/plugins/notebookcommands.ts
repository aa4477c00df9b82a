/** What one can do with the environment of a notebook, as commands. */
import type { JupyterFrontEnd } from '@jupyterlab/application';
import { Dialog, showDialog, showErrorMessage } from '@jupyterlab/apputils';
import type { INotebookTracker, NotebookPanel } from '@jupyterlab/notebook';
import type { TranslationBundle } from '@jupyterlab/translation';
import { ReactWidget } from '@jupyterlab/ui-components';
import type { ReadonlyPartialJSONObject } from '@lumino/coreutils';
import * as React from 'react';
import { findRunning, RunningView } from '../components/notebook';
import { followName, pinName } from '../kernels';
import type { IRunning, RunningBuilds } from '../running';
import { COMMANDS, type IEnvironments } from '../tokens';

const TEXT = { type: 'string' } as const;
const ARGS = {
  args: { type: 'object', properties: { path: TEXT, namespace: TEXT, name: TEXT, buildId: { type: 'number' } } }
} as const;

/** What the commands work with. */
export interface IParts {
  readonly app: JupyterFrontEnd;
  readonly model: IEnvironments;
  readonly tracker: INotebookTracker;
  readonly running: RunningBuilds;
  readonly trans: TranslationBundle;
}

interface INotebookCommand {
  readonly id: string;
  readonly label: (found: IRunning | null, args: ReadonlyPartialJSONObject) => string;
  readonly isOffered: (found: IRunning, args: ReadonlyPartialJSONObject) => boolean;
  readonly execute: (panel: NotebookPanel, found: IRunning, args: ReadonlyPartialJSONObject) => Promise<unknown>;
}

function listCommands(parts: IParts): readonly INotebookCommand[] {
  const { model, trans } = parts;
  return [
    {
      id: COMMANDS.notebookEnvironment,
      label: () => trans.__('Environment of This Notebook'),
      isOffered: () => true,
      execute: (panel, found) => showEnvironment(parts, panel, found)
    },
    {
      id: COMMANDS.addPackage,
      label: () => trans.__('Add a Package to the Environment of This Notebook…'),
      isOffered: found => model.permissions === null || model.may('environment::update', found.namespace, found.name),
      execute: (_, found) => addPackage(parts, found)
    },
    {
      id: COMMANDS.restartIntoBuild,
      label: () => trans.__('Restart the Kernel into the Active Build'),
      isOffered: found => found.next !== null,
      execute: (panel, found) => restart(parts, panel, found)
    },
    {
      id: COMMANDS.keepInBuild,
      label: (found, args) => trans.__('Keep This Notebook in Build %1', findBuild(found, args) ?? '…'),
      isOffered: (found, args) => mayKeep(found, args),
      execute: (panel, found, args) => keep(parts, panel, findBuild(found, args) ?? found.buildId)
    },
    {
      id: COMMANDS.followActive,
      label: () => trans.__('Have This Notebook Follow the Active Build'),
      isOffered: found => found.pinned,
      execute: panel => follow(parts, panel)
    }
  ];
}

/** The build that a command is about: the one that is said, or the one that the notebook runs in. */
function findBuild(found: IRunning | null, args: ReadonlyPartialJSONObject): number | null {
  return typeof args['buildId'] === 'number' ? args['buildId'] : (found?.buildId ?? null);
}

/** Whether a notebook is of the environment that is said, if one is, and not kept in that build as it is. */
function mayKeep(found: IRunning, args: ReadonlyPartialJSONObject): boolean {
  const { namespace = found.namespace, name = found.name } = args;
  const isOurs = namespace === found.namespace && name === found.name;
  return isOurs && !(found.pinned && found.buildId === findBuild(found, args));
}

export function addCommands(parts: IParts): void {
  const { app, running } = parts;
  for (const { id, label, isOffered, execute } of listCommands(parts)) {
    const find = (args: ReadonlyPartialJSONObject) => {
      const panel = findNotebook(parts.tracker, args['path']);
      const found = panel && findRunning(panel.sessionContext, running);
      return found ? { panel, found } : null;
    };
    app.commands.addCommand(id, {
      label: args => label(find(args)?.found ?? null, args),
      describedBy: ARGS,
      isVisible: args => find(args) !== null,
      isEnabled: args => {
        const about = find(args);
        return about !== null && isOffered(about.found, args);
      },
      execute: async args => {
        const about = find(args);
        if (about) {
          await execute(about.panel, about.found, args);
        }
      }
    });
  }
  running.changed.connect(() => app.commands.notifyCommandChanged());
  parts.tracker.currentChanged.connect(() => app.commands.notifyCommandChanged());
}

/** The notebook at a path, or the one that one works in. */
function findNotebook(tracker: INotebookTracker, path: unknown): NotebookPanel | null {
  return typeof path === 'string' ? (tracker.find(one => one.sessionContext.path === path) ?? null) : tracker.currentWidget;
}

async function showEnvironment(parts: IParts, panel: NotebookPanel, found: IRunning): Promise<void> {
  const { app, model, trans } = parts;
  const body = ReactWidget.create(React.createElement(RunningView, { api: model.api, found, trans }));
  const add = Dialog.okButton({ label: trans.__('Add a package…') });
  const open = Dialog.okButton({ label: trans.__('Open environment'), displayType: 'default' });
  const stay = Dialog.okButton({
    label: found.pinned ? trans.__('Follow the active build') : trans.__('Keep in build %1', found.buildId),
    displayType: 'default'
  });
  const buttons = [Dialog.cancelButton({ label: trans.__('Close') }), open, stay, add];
  const { button } = await showDialog({ title: trans.__('Environment of this notebook'), body, buttons });
  if (button.label === add.label) {
    await addPackage(parts, found);
  } else if (button.label === stay.label) {
    await (found.pinned ? follow(parts, panel) : keep(parts, panel, found.buildId));
  } else if (button.label === open.label) {
    await app.commands.execute(COMMANDS.openEnvironment, { namespace: found.namespace, name: found.name });
  }
}

/** Beside the notebook: edit, preview, build; its new build is offered once it is active. */
async function addPackage({ app }: IParts, { namespace, name }: IRunning): Promise<void> {
  await app.commands.execute(COMMANDS.editEnvironment, { namespace, name, add: true });
}

async function restart(parts: IParts, panel: NotebookPanel, found: IRunning): Promise<void> {
  const title = parts.trans.__('Restart into build %1?', found.next);
  await startAgain(parts, panel, title, () => panel.sessionContext.restartKernel());
}

/** Give a notebook the kernel of one build: its name says so, and the notebook keeps the name. */
async function keep(parts: IParts, panel: NotebookPanel, buildId: number): Promise<void> {
  const title = parts.trans.__('Keep %1 in build %2?', panel.title.label, buildId);
  await startAgain(parts, panel, title, name => panel.sessionContext.changeKernel({ name: pinName(name, buildId) }));
}

async function follow(parts: IParts, panel: NotebookPanel): Promise<void> {
  const title = parts.trans.__('Have %1 follow the active build?', panel.title.label);
  await startAgain(parts, panel, title, name => panel.sessionContext.changeKernel({ name: followName(name) }));
}

/** Ask back, and have a notebook's kernel start once more in another way. */
async function startAgain(
  { app, running, trans }: IParts,
  panel: NotebookPanel,
  title: string,
  start: (kernelName: string) => Promise<unknown>
): Promise<void> {
  const body = trans.__(
    'The kernel starts again: variables of %1 are lost; what is written in it stays.',
    panel.title.label
  );
  const accept = Dialog.warnButton({ label: trans.__('Restart') });
  const { button } = await showDialog({ title, body, buttons: [Dialog.cancelButton(), accept] });
  const kernel = panel.sessionContext.session?.kernel;
  if (!button.accept || !kernel) {
    return;
  }
  app.shell.activateById(panel.id);
  try {
    await start(kernel.name);
    await running.refresh();
  } catch (error) {
    await showErrorMessage(trans.__('The kernel did not start'), error as Error);
  }
}
