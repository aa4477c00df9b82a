/** Tells notebooks which environment they run in, adds packages to it, and offers its new builds. */
import { type JupyterFrontEnd, type JupyterFrontEndPlugin } from '@jupyterlab/application';
import {
  Dialog,
  ICommandPalette,
  IToolbarWidgetRegistry,
  Notification,
  showDialog,
  showErrorMessage
} from '@jupyterlab/apputils';
import { INotebookTracker, type NotebookPanel } from '@jupyterlab/notebook';
import { IStateDB } from '@jupyterlab/statedb';
import { ITranslator, nullTranslator, type TranslationBundle } from '@jupyterlab/translation';
import { ReactWidget } from '@jupyterlab/ui-components';
import type { ReadonlyPartialJSONObject } from '@lumino/coreutils';
import * as React from 'react';
import { createNotebookButton, findRunning, RunningView } from '../components/notebook';
import { type IRunning, RunningBuilds } from '../running';
import { COMMANDS, EVENTS, IEnvironments, PACKAGE } from '../tokens';

/** As `schema/notebook.json` calls it. */
const ITEM = 'conda-store-hub-environment';
const ARGS = { args: { type: 'object', properties: { path: { type: 'string' } } } } as const;

interface IParts {
  readonly app: JupyterFrontEnd;
  readonly model: IEnvironments;
  readonly tracker: INotebookTracker;
  readonly running: RunningBuilds;
  readonly trans: TranslationBundle;
}

export const notebook: JupyterFrontEndPlugin<void> = {
  id: `${PACKAGE}:notebook`,
  description: 'The environment of conda-store-hub that a notebook runs in.',
  autoStart: true,
  requires: [IEnvironments],
  // Pages of Notebook 7 that are no notebook have none.
  optional: [INotebookTracker, ITranslator, IStateDB, IToolbarWidgetRegistry, ICommandPalette],
  activate: (
    app: JupyterFrontEnd,
    model: IEnvironments,
    tracker: INotebookTracker | null,
    translator: ITranslator | null,
    database: IStateDB | null,
    toolbars: IToolbarWidgetRegistry | null,
    palette: ICommandPalette | null
  ): void => {
    if (!tracker) {
      return;
    }
    const trans = (translator ?? nullTranslator).load('conda-store-hub');
    const running = new RunningBuilds(model, database);
    const parts = { app, model, tracker, running, trans };
    void running.load();
    tracker.widgetAdded.connect((_, panel) => follow(panel, parts));
    toolbars?.addFactory<NotebookPanel>('Notebook', ITEM, panel =>
      createNotebookButton({ ...parts, commands: app.commands, context: panel.sessionContext })
    );
    const offerAll = () => tracker.forEach(panel => offer(panel, parts));
    model.changed.connect(offerAll);
    running.changed.connect(offerAll);
    app.serviceManager.events.stream.connect((_, event) => {
      // Told only of kernels that run; a page without notebooks asks nothing.
      if (event.schema_id === EVENTS.running && tracker.size > 0) {
        void running.refresh();
      }
    });
    addCommands(parts);
    for (const command of [COMMANDS.notebookEnvironment, COMMANDS.addPackage, COMMANDS.restartIntoBuild]) {
      palette?.addItem({ command, category: trans.__('Environments') });
      app.contextMenu.addItem({ command, selector: '.jp-Notebook', rank: 40 });
    }
  }
};

/** Note in which build a notebook's kernel starts, each time it does, and ask the server once it has. */
function follow(panel: NotebookPanel, { app, running }: IParts): void {
  const { sessionContext } = panel;
  let isStarting = true;
  sessionContext.kernelChanged.connect((_, { newValue, oldValue }) => {
    // One that was there before the notebook was opened has run in what it started in.
    if (newValue && oldValue) {
      running.noteStart(newValue);
    }
    isStarting = true;
    app.commands.notifyCommandChanged();
  });
  sessionContext.statusChanged.connect((_, status) => {
    const kernel = sessionContext.session?.kernel;
    if (kernel && (status === 'restarting' || status === 'autorestarting' || status === 'starting')) {
      isStarting = true;
      running.noteStart(kernel);
    } else if (kernel && isStarting && status === 'idle') {
      isStarting = false;
      if (running.find(kernel)) {
        void running.refresh();
      }
    }
  });
}

/** What was said of kernels: of which build, and under which notification. */
const offered = new Map<string, { readonly build: number; readonly notification: string }>();

/** Say once of each kernel that there is a newer build, and no longer than there is. */
function offer(panel: NotebookPanel, { app, running, trans }: IParts): void {
  const id = panel.sessionContext.session?.kernel?.id;
  const found = findRunning(panel.sessionContext, running);
  const before = id === undefined ? undefined : offered.get(id);
  if (!id || !found || before?.build === found.next) {
    return;
  }
  if (before) {
    Notification.dismiss(before.notification);
    offered.delete(id);
  }
  if (found.next === null) {
    return;
  }
  const { path } = panel.sessionContext;
  const said = trans.__(
    '%1 runs in build %2 of %3; build %4 is active now.',
    panel.title.label,
    found.buildId,
    full(found),
    found.next
  );
  const notification = Notification.info(said, {
    autoClose: false,
    actions: [
      {
        label: trans.__('Restart into build %1', found.next),
        displayType: 'accent',
        callback: () => void app.commands.execute(COMMANDS.restartIntoBuild, { path })
      }
    ]
  });
  offered.set(id, { build: found.next, notification });
}

function addCommands(parts: IParts): void {
  const { app, model, running, trans } = parts;
  const all: readonly [string, string, (found: IRunning) => boolean, (panel: NotebookPanel, found: IRunning) => unknown][] = [
    [
      COMMANDS.notebookEnvironment,
      trans.__('Environment of This Notebook'),
      () => true,
      (_, found) => showEnvironment(parts, found)
    ],
    [
      COMMANDS.addPackage,
      trans.__('Add a Package to the Environment of This Notebook…'),
      found => model.permissions === null || model.may('environment::update', found.namespace, found.name),
      (_, found) => addPackage(parts, found)
    ],
    [
      COMMANDS.restartIntoBuild,
      trans.__('Restart the Kernel into the Active Build'),
      found => found.next !== null,
      (panel, found) => restart(parts, panel, found)
    ]
  ];
  for (const [id, label, isOffered, execute] of all) {
    const find = (args: ReadonlyPartialJSONObject) => {
      const panel = findNotebook(parts.tracker, args['path']);
      const found = panel && findRunning(panel.sessionContext, running);
      return found ? { panel, found } : null;
    };
    app.commands.addCommand(id, {
      label,
      describedBy: ARGS,
      isVisible: args => find(args) !== null,
      isEnabled: args => {
        const about = find(args);
        return about !== null && isOffered(about.found);
      },
      execute: async args => {
        const about = find(args);
        if (about) {
          await execute(about.panel, about.found);
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

async function showEnvironment(parts: IParts, found: IRunning): Promise<void> {
  const { app, model, trans } = parts;
  const body = ReactWidget.create(React.createElement(RunningView, { api: model.api, found, trans }));
  const add = Dialog.okButton({ label: trans.__('Add a package…') });
  const open = Dialog.okButton({ label: trans.__('Open environment'), displayType: 'default' });
  const buttons = [Dialog.cancelButton({ label: trans.__('Close') }), open, add];
  const { button } = await showDialog({ title: trans.__('Environment of this notebook'), body, buttons });
  if (button.label === add.label) {
    await addPackage(parts, found);
  } else if (button.label === open.label) {
    await app.commands.execute(COMMANDS.openEnvironment, { namespace: found.namespace, name: found.name });
  }
}

/** Beside the notebook: edit, preview, build; its new build is offered once it is active. */
async function addPackage({ app }: IParts, { namespace, name }: IRunning): Promise<void> {
  await app.commands.execute(COMMANDS.editEnvironment, { namespace, name, add: true });
}

async function restart({ app, running, trans }: IParts, panel: NotebookPanel, found: IRunning): Promise<void> {
  const title = trans.__('Restart into build %1?', found.next);
  const body = trans.__('Variables of %1 are lost; what is written in it stays.', panel.title.label);
  const accept = Dialog.warnButton({ label: trans.__('Restart') });
  const { button } = await showDialog({ title, body, buttons: [Dialog.cancelButton(), accept] });
  if (!button.accept) {
    return;
  }
  app.shell.activateById(panel.id);
  try {
    await panel.sessionContext.restartKernel();
    await running.refresh();
  } catch (error) {
    await showErrorMessage(trans.__('The kernel did not restart'), error as Error);
  }
}

function full({ namespace, name }: IRunning): string {
  return `${namespace}/${name}`;
}
