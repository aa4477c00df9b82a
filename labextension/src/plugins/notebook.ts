/** Tells notebooks which environment they run in, adds packages to it, and offers its new builds. */
import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette, IToolbarWidgetRegistry } from '@jupyterlab/apputils';
import { INotebookTracker, type NotebookPanel } from '@jupyterlab/notebook';
import { IStateDB } from '@jupyterlab/statedb';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import { createNotebookButton } from '../components/notebook';
import { RunningBuilds } from '../running';
import { COMMANDS, EVENTS, IEnvironments, PACKAGE } from '../tokens';
import { addCommands } from './notebookcommands';
import { BuildOffers } from './notebookoffers';

/** As `schema/notebook.json` calls it. */
const ITEM = 'conda-store-hub-environment';
/** In the palette, and in the menu of a notebook. */
const OFFERED = [
  COMMANDS.notebookEnvironment,
  COMMANDS.addPackage,
  COMMANDS.restartIntoBuild,
  COMMANDS.keepInBuild,
  COMMANDS.followActive
] as const;

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
    const offers = new BuildOffers(app.commands, running, trans);
    void running.load();
    tracker.widgetAdded.connect((_, panel) => noteStarts(panel, app, running, offers));
    toolbars?.addFactory<NotebookPanel>('Notebook', ITEM, panel =>
      createNotebookButton({ ...parts, commands: app.commands, context: panel.sessionContext })
    );
    const offerAll = () => tracker.forEach(panel => offers.update(panel));
    model.changed.connect(offerAll);
    running.changed.connect(offerAll);
    app.serviceManager.events.stream.connect((_, event) => {
      // Told only of kernels that run; a page without notebooks asks nothing.
      if (event.schema_id === EVENTS.running && tracker.size > 0) {
        void running.refresh();
      }
    });
    addCommands(parts);
    for (const command of OFFERED) {
      palette?.addItem({ command, category: trans.__('Environments') });
      app.contextMenu.addItem({ command, selector: '.jp-Notebook', rank: 40 });
    }
  }
};

/** Note in which build a notebook's kernel starts, each time it does, and ask the server once it has. */
function noteStarts(panel: NotebookPanel, app: JupyterFrontEnd, running: RunningBuilds, offers: BuildOffers): void {
  const { sessionContext } = panel;
  let isStarting = true;
  let kernelId: string | undefined;
  // Of a notebook that is closed nothing can be restarted; it is offered again when that is opened.
  panel.disposed.connect(() => offers.withdraw(kernelId));
  sessionContext.kernelChanged.connect((_, { newValue, oldValue }) => {
    kernelId = newValue?.id ?? kernelId;
    // One that was there before the notebook was opened has run in what it started in.
    if (newValue && oldValue) {
      running.noteStart(newValue);
    }
    offers.withdraw(oldValue?.id);
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
