/** Puts the panel into the left sidebar. */
import { ILayoutRestorer, type JupyterFrontEnd, type JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette } from '@jupyterlab/apputils';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import { EnvironmentsPanel } from '../components/panel';
import { COMMANDS, IEnvironments, ISettings, PACKAGE } from '../tokens';

export const panel: JupyterFrontEndPlugin<void> = {
  id: `${PACKAGE}:panel`,
  description: 'The environments of conda-store-hub in the left sidebar.',
  autoStart: true,
  requires: [IEnvironments, ISettings],
  optional: [ITranslator, ILayoutRestorer, ICommandPalette],
  activate: (
    app: JupyterFrontEnd,
    model: IEnvironments,
    settings: ISettings,
    translator: ITranslator | null,
    restorer: ILayoutRestorer | null,
    palette: ICommandPalette | null
  ): void => {
    const trans = (translator ?? nullTranslator).load('conda-store-hub');
    const widget = new EnvironmentsPanel({ model, settings, commands: app.commands, trans });
    app.shell.add(widget, 'left', { rank: 350, type: 'Environments' });
    restorer?.add(widget, widget.id);
    app.commands.addCommand(COMMANDS.openPanel, {
      label: trans.__('Show Environments'),
      describedBy: { args: { type: 'object', properties: {} } },
      execute: () => app.shell.activateById(widget.id)
    });
    palette?.addItem({ command: COMMANDS.openPanel, category: trans.__('Environments') });
  }
};
